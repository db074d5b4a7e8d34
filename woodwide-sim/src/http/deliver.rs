//! How an answer goes onto the wire, and the faults that happen there.

use std::io::Write as _;
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::stream::{self, StreamExt as _};

use super::call::Reply;
use crate::fault::{Fault, Struck};

const PAGE: &str =
    "<!doctype html><html><head><title>Just a moment</title></head><body><h1>We'll be right back</h1></body></html>";

/// The answer as it is sent. Faults of the body strike good answers only.
pub(crate) fn response(mut reply: Reply, struck: &[Struck]) -> Response {
    let good = reply.status.is_success();
    let mut declared_length = None;
    let mut content_type = reply.content_type.map(str::to_owned);
    for struck in struck {
        match &struck.fault {
            _ if !good => {}
            Fault::EmptyBody => reply.body = Bytes::new(),
            Fault::WhitespaceBody => reply.body = Bytes::from_static(b" \n\t \n"),
            Fault::TruncatedJson => reply.body.truncate(reply.body.len() / 2),
            Fault::Html200 => {
                reply.status = StatusCode::OK;
                reply.body = Bytes::from_static(PAGE.as_bytes());
                content_type = Some("text/html; charset=utf-8".to_owned());
            }
            Fault::WrongContentType(other) => content_type = Some(other.clone()),
            Fault::UrlGzip => {
                reply.body = gzip(&reply.body).into();
                reply.headers.push(("content-encoding", "gzip".to_owned()));
            }
            Fault::UrlWrongLength => declared_length = Some(reply.body.len() + 64),
            _ => {}
        }
    }
    let has_no_body = reply.status == StatusCode::NO_CONTENT;
    let broken = struck.iter().any(|struck| struck.fault == Fault::Reset);
    let dribble = struck.iter().find_map(|struck| if let Fault::Dribble(ms) = struck.fault { Some(ms) } else { None });
    let body = match (has_no_body, broken, declared_length, dribble) {
        (true, ..) => Body::empty(),
        (_, true, ..) => {
            declared_length = Some(reply.body.len().max(1));
            broken_off(&reply.body)
        }
        (_, _, Some(_), _) => ended_early(reply.body, None),
        (_, _, _, Some(pause)) => {
            declared_length = Some(reply.body.len());
            dribbled(reply.body, Duration::from_millis(pause))
        }
        _ => Body::from(reply.body),
    };

    let mut response = Response::new(body);
    *response.status_mut() = reply.status;
    let headers = response.headers_mut();
    if let Some(value) = content_type.and_then(|text| HeaderValue::try_from(text).ok()) {
        headers.insert(CONTENT_TYPE, value);
    }
    if let Some(length) = declared_length {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    for (name, value) in reply.headers {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    response
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    // Writing to memory cannot fail.
    let _ = encoder.write_all(body);
    encoder.finish().unwrap_or_default()
}

/// Half of the body, then an error, which ends the connection.
fn broken_off(body: &Bytes) -> Body {
    let broken = Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset));
    ended_early(body.slice(..body.len() / 2), Some(broken))
}

/// The content, and then the end of the stream or an error. What was given goes out while the stream waits; without the
/// pause the end would overtake it.
fn ended_early(content: Bytes, end: Option<Result<Bytes, std::io::Error>>) -> Body {
    let late = async move {
        tokio::time::sleep(Duration::from_millis(20)).await;
        end
    };
    Body::from_stream(stream::iter([Ok(content)]).chain(stream::once(late).filter_map(std::future::ready)))
}

fn dribbled(body: Bytes, pause: Duration) -> Body {
    Body::from_stream(stream::unfold(0, move |at| {
        let byte = (at < body.len()).then(|| body.slice(at..=at));
        async move {
            let byte = byte?;
            tokio::time::sleep(pause).await;
            Some((Ok::<_, std::io::Error>(byte), at + 1))
        }
    }))
}
