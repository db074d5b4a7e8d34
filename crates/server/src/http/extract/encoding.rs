//! Bodies that came compressed: gzip or zstd, named by the header or by their first bytes, to a bound.

use std::io::{self, Read};

use axum::http::{HeaderMap, header};
use bytes::Bytes;
use flate2::read::GzDecoder;

use crate::http::respond::error::{ApiError, Code};

/// What every gzip begins with; no JSON does.
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
/// What every zstd frame begins with (RFC 8878, 3.1.1).
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// Binary logarithm of the largest window that a zstd frame may ask for: the 8 MiB that every decoder supports (RFC 8878,
/// 3.1.1.1.2), so that a few bytes cannot reserve more.
const MAX_WINDOW_LOG: u32 = 23;

/// Refuses a content encoding other than gzip and zstd.
pub(crate) fn check(headers: &HeaderMap) -> Result<(), ApiError> {
    let Some(encoding) = headers.get(header::CONTENT_ENCODING) else { return Ok(()) };
    let known = ["identity", "gzip", "x-gzip", "zstd"];
    if known.iter().any(|known| encoding.as_bytes().eq_ignore_ascii_case(known.as_bytes())) {
        return Ok(());
    }
    let message = "of compressed bodies only gzip and zstd are read; send one of them, or no Content-Encoding";
    Err(ApiError::at(Code::UnsupportedEncoding, "Content-Encoding", message))
}

/// The body as it was before it was compressed, of at most `limit` bytes. A body that a proxy has decompressed already, and
/// whose header still names an encoding, is taken as it is.
pub(crate) fn decoded(body: Bytes, limit: usize) -> Result<Bytes, ApiError> {
    if body.starts_with(&GZIP_MAGIC) {
        return read("gzip", Ok(GzDecoder::new(&*body)), body.len(), limit);
    }
    if body.starts_with(&ZSTD_MAGIC) {
        let decoder = zstd::stream::read::Decoder::with_buffer(&*body).and_then(|mut decoder| {
            decoder.window_log_max(MAX_WINDOW_LOG)?;
            Ok(decoder)
        });
        return read("zstd", decoder, body.len(), limit);
    }
    Ok(body)
}

/// Reads a decoder of `compressed` bytes to its end, or to one byte beyond `limit`.
fn read(name: &str, decoder: io::Result<impl Read>, compressed: usize, limit: usize) -> Result<Bytes, ApiError> {
    let mut whole = Vec::with_capacity((8 * compressed).min(limit));
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    match decoder.and_then(|decoder| decoder.take(most).read_to_end(&mut whole)) {
        Ok(_) if whole.len() > limit => Err(ApiError::too_large(limit)),
        Ok(_) => Ok(whole.into()),
        Err(_) => {
            let message = format!("the body is no whole {name}; send it again, or uncompressed");
            Err(ApiError::malformed("body", message))
        }
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

    fn zstd(bytes: &[u8]) -> Bytes {
        zstd::stream::encode_all(bytes, 3).unwrap().into()
    }

    #[test]
    fn a_zstd_is_read_up_to_the_bound() {
        assert_eq!(decoded(zstd(b"{}"), 2).unwrap(), "{}");
        assert_eq!(decoded(zstd(b"{ }"), 2).unwrap_err().code, Code::BodyTooLarge);
        let bomb = zstd(&vec![b' '; 64 << 20]);
        assert_eq!(decoded(bomb, 1 << 10).unwrap_err().code, Code::BodyTooLarge);
    }

    #[test]
    fn a_damaged_zstd_is_malformed() {
        let whole = zstd(b"{\"sessionId\":\"a\"}");
        for end in 4..whole.len() {
            assert_eq!(decoded(whole.slice(..end), 1 << 10).unwrap_err().code, Code::Malformed, "{end} bytes");
        }
    }

    #[test]
    fn a_zstd_that_asks_for_a_large_window_is_refused() {
        let mut encoder = zstd::stream::Encoder::new(Vec::new(), 3).unwrap();
        encoder.window_log(MAX_WINDOW_LOG + 4).unwrap();
        encoder.write_all(b"{}").unwrap();
        let large = encoder.finish().unwrap();
        assert_eq!(decoded(large.into(), 1 << 10).unwrap_err().code, Code::Malformed);
    }

    #[test]
    fn other_encodings_are_refused_by_name() {
        let of = |encoding: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_ENCODING, encoding.parse().unwrap());
            check(&headers)
        };
        assert!(
            of("gzip").is_ok()
                && of("zstd").is_ok()
                && of("GZIP").is_ok()
                && of("identity").is_ok()
                && check(&HeaderMap::new()).is_ok()
        );
        assert_eq!(of("br").unwrap_err().code, Code::UnsupportedEncoding);
    }
}
