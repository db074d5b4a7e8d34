//! Bodies that came compressed: gzip, named by the header or by its first bytes, to a bound.

use std::io::Read as _;

use axum::http::{HeaderMap, header};
use bytes::Bytes;
use flate2::read::GzDecoder;

use crate::http::respond::error::{ApiError, Code};

/// What every gzip begins with; no JSON does.
const MAGIC: [u8; 2] = [0x1f, 0x8b];

/// Refuses a content encoding other than gzip.
pub(crate) fn check(headers: &HeaderMap) -> Result<(), ApiError> {
    let Some(encoding) = headers.get(header::CONTENT_ENCODING) else { return Ok(()) };
    let known = ["identity", "gzip", "x-gzip"];
    if known.iter().any(|known| encoding.as_bytes().eq_ignore_ascii_case(known.as_bytes())) {
        return Ok(());
    }
    let message = "of compressed bodies only gzip is read; send it so, or without Content-Encoding";
    Err(ApiError::at(Code::UnsupportedEncoding, "Content-Encoding", message))
}

/// The body as it was before it was compressed, of at most `limit` bytes. A body that a proxy has decompressed already, and
/// whose header still says gzip, is taken as it is.
pub(crate) fn decoded(body: Bytes, limit: usize) -> Result<Bytes, ApiError> {
    if !body.starts_with(&MAGIC) {
        return Ok(body);
    }
    let mut whole = Vec::with_capacity((8 * body.len()).min(limit));
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    match GzDecoder::new(&*body).take(most).read_to_end(&mut whole) {
        Ok(_) if whole.len() > limit => Err(ApiError::too_large(limit)),
        Ok(_) => Ok(whole.into()),
        Err(_) => Err(ApiError::malformed("body", "the body is no whole gzip; send it again, or uncompressed")),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn gzip(bytes: &[u8]) -> Bytes {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap().into()
    }

    #[test]
    fn a_gzip_is_read_up_to_the_bound_and_everything_else_left_alone() {
        assert_eq!(decoded(gzip(b"{}"), 2).unwrap(), "{}");
        assert_eq!(decoded(Bytes::from_static(b"{}"), 1).unwrap(), "{}");
        assert_eq!(decoded(gzip(b"{ }"), 2).unwrap_err().code, Code::BodyTooLarge);
        let bomb = gzip(&vec![b' '; 64 << 20]);
        assert_eq!(decoded(bomb, 1 << 10).unwrap_err().code, Code::BodyTooLarge);
    }

    #[test]
    fn a_damaged_gzip_is_malformed() {
        let whole = gzip(b"{\"sessionId\":\"a\"}");
        for end in 2..whole.len() {
            assert_eq!(decoded(whole.slice(..end), 1 << 10).unwrap_err().code, Code::Malformed, "{end} bytes");
        }
    }

    #[test]
    fn other_encodings_are_refused_by_name() {
        let of = |encoding: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_ENCODING, encoding.parse().unwrap());
            check(&headers)
        };
        assert!(of("gzip").is_ok() && of("GZIP").is_ok() && of("identity").is_ok() && check(&HeaderMap::new()).is_ok());
        assert_eq!(of("br").unwrap_err().code, Code::UnsupportedEncoding);
    }
}
