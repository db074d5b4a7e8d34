//! Reading bodies within bounds of size, time and memory, and what kinds of them are read.

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, header};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use serde::de::DeserializeOwned;
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

use crate::access::address::ClientAddress;
use crate::access::shares::Shares;
use crate::http::respond::error::{ApiError, Code};

/// Bodies up to this size are read without asking; larger ones share [`LARGE_BODIES`] places.
const SMALL: usize = 64 << 10;
/// Most bodies beyond [`SMALL`] in memory at a time.
pub(crate) const LARGE_BODIES: usize = 128;

/// How long a body may go on arriving once the service ends.
const HALF_SENT: Duration = Duration::from_millis(3_500);

/// Most bytes of a body that holds a few fields, of one that holds a key, and of one that lists sessions.
pub(crate) const FORM: usize = 16 << 10;
pub(crate) const LOGIN: usize = 4 << 10;
pub(crate) const LIST: usize = 512 << 10;
/// What a body beyond [`SMALL`] must bring in each sixth of the time it may take: whoever sends more slowly has no place.
const PACE_BYTES: usize = 32 << 10;
const PACES: u32 = 6;

/// What callers from pages, whom nobody vouches for, have of the places for large bodies: half of all, an eighth of that
/// half for each address.
#[derive(Clone, Copy)]
pub(crate) struct PageShare<'a> {
    pub(crate) places: &'a Semaphore,
    pub(crate) by_address: &'a Shares<ClientAddress>,
    pub(crate) client: ClientAddress,
}

/// Bounds on reading a body.
pub(crate) struct BodyLimits<'a> {
    pub(crate) bytes: usize,
    pub(crate) time: Duration,
    pub(crate) large: &'a Semaphore,
    pub(crate) page: Option<PageShare<'a>>,
    /// Whether the service ends.
    pub(crate) draining: watch::Receiver<bool>,
}

/// Refuses a content type other than `accepted` and every content encoding. No content type is fine: clients of the
/// original send none.
pub(crate) fn check_type(headers: &HeaderMap, accepted: impl Fn(&str) -> bool, wanted: &str) -> Result<(), ApiError> {
    if let Some(encoding) = headers.get(header::CONTENT_ENCODING)
        && !encoding.as_bytes().eq_ignore_ascii_case(b"identity")
    {
        let message = "compressed bodies are not read; send the body without Content-Encoding";
        return Err(ApiError::at(Code::UnsupportedEncoding, "Content-Encoding", message));
    }
    check_kind(headers, accepted, wanted)
}

/// Refuses a content type other than `accepted`.
pub(crate) fn check_kind(headers: &HeaderMap, accepted: impl Fn(&str) -> bool, wanted: &str) -> Result<(), ApiError> {
    let Some(value) = headers.get(header::CONTENT_TYPE) else { return Ok(()) };
    let value = value.to_str().unwrap_or_default();
    let (essence, parameters) = value.split_once(';').unwrap_or((value, ""));
    let utf8 = parameters.split(';').all(|parameter| match parameter.split_once('=') {
        Some((name, charset)) if name.trim().eq_ignore_ascii_case("charset") => {
            matches!(charset.trim().trim_matches('"').to_ascii_lowercase().as_str(), "utf-8" | "utf8" | "us-ascii")
        }
        _ => true,
    });
    if utf8 && accepted(essence.trim().to_ascii_lowercase().as_str()) {
        return Ok(());
    }
    let message = format!("the body must be sent with Content-Type {wanted} in UTF-8");
    Err(ApiError::at(Code::UnsupportedMediaType, "Content-Type", message))
}

/// `application/json` and every `+json`.
pub(crate) fn is_json(essence: &str) -> bool {
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

/// The same, and the text that a program sends which names no type of its own.
pub(crate) fn is_json_or_text(essence: &str) -> bool {
    essence == "text/plain" || is_json(essence)
}

/// Reads a whole body.
pub(crate) async fn read(headers: &HeaderMap, body: Body, limits: BodyLimits<'_>) -> Result<Bytes, ApiError> {
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > limits.bytes) {
        return Err(ApiError::too_large(limits.bytes));
    }
    let mut draining = limits.draining.clone();
    let ended = async {
        if draining.wait_for(|draining| *draining).await.is_err() {
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(HALF_SENT).await;
    };
    tokio::select! {
        biased;
        read = collect(body, announced.unwrap_or(0), &limits) => read,
        () = tokio::time::sleep(limits.time) => Err(ApiError::timeout()),
        () = ended => {
            let message = "the service ends and the body is not there in whole; send the request again";
            Err(ApiError::new(Code::ShuttingDown, message))
        }
    }
}

async fn collect(mut body: Body, announced: usize, limits: &BodyLimits<'_>) -> Result<Bytes, ApiError> {
    let mut whole = Vec::new();
    let mut place = None;
    let mut pace = (Instant::now() + limits.time / PACES, 0);
    loop {
        let frame = if place.is_some() {
            tokio::time::timeout_at(pace.0, body.frame()).await.map_err(|_| ApiError::timeout())?
        } else {
            body.frame().await
        };
        let Some(frame) = frame else { return Ok(whole.into()) };
        let Ok(frame) = frame else {
            return Err(ApiError::malformed("body", "the body ended before it was complete; send it again"));
        };
        let Ok(data) = frame.into_data() else { continue };
        if whole.is_empty() && data.len() == announced {
            return Ok(data);
        }
        let length = whole.len() + data.len();
        if length > limits.bytes {
            return Err(ApiError::too_large(limits.bytes));
        }
        if length > SMALL && place.is_none() {
            let busy = || ApiError::new(Code::Busy, "too many large bodies arrive at once; send this one again later");
            let page = match limits.page {
                Some(page) => Some((
                    page.by_address.take(page.client).ok_or_else(busy)?,
                    page.places.try_acquire().map_err(|_| busy())?,
                )),
                None => None,
            };
            place = Some((limits.large.try_acquire().map_err(|_| busy())?, page));
            pace = (Instant::now() + limits.time / PACES, length);
        }
        if length >= pace.1 + PACE_BYTES {
            pace = (Instant::now() + limits.time / PACES, length);
        }
        if whole.is_empty() {
            whole.reserve(announced.clamp(data.len(), SMALL.max(data.len())));
        }
        whole.extend_from_slice(&data);
    }
}

/// Reads a body as JSON of a known shape; `None` for an empty one.
pub(crate) fn json<T: DeserializeOwned>(body: &[u8]) -> Result<Option<T>, ApiError> {
    let body = body.trim_ascii();
    match body.first() {
        None => return Ok(None),
        Some(b'{') => {}
        Some(_) if body == b"null" => return Ok(None),
        // Fields in an order of their own would be taken as well otherwise.
        Some(_) => return Err(ApiError::malformed("body", "the body must be a JSON object, such as {}")),
    }
    serde_json::from_slice(body).map(Some).map_err(|e| ApiError::malformed("body", format!("the body is wrong: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(content_type: &str) -> Result<(), ApiError> {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, content_type.parse().unwrap());
        check_type(&headers, is_json, "application/json")
    }

    #[test]
    fn json_types_pass_and_others_do_not() {
        for good in [
            "application/json",
            "Application/JSON; charset=utf-8",
            "application/json;charset=\"UTF-8\"",
            "application/vnd.x+json",
        ] {
            typed(good).unwrap();
        }
        for bad in ["text/plain", "application/x-ndjson", "application/json; charset=utf-16", "multipart/form-data", ""]
        {
            assert_eq!(typed(bad).unwrap_err().code, Code::UnsupportedMediaType, "{bad}");
        }
        assert!(check_type(&HeaderMap::new(), is_json, "").is_ok());
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_ENCODING, "gzip".parse().unwrap());
        assert_eq!(check_type(&headers, is_json, "").unwrap_err().code, Code::UnsupportedEncoding);
    }
}
