//! HTTP/2 without TLS is refused in its own words: this service speaks HTTP/1.1, and the proxy in front of it what it likes.

/// What a connection in HTTP/2 begins with, RFC 9113 section 3.4.
const PREFACE: &[u8] = b"PRI * HTTP/2.0";
/// Frames, section 6.5 and 6.8.
const SETTINGS: u8 = 4;
const GO_AWAY: u8 = 7;
/// The error code that asks for HTTP/1.1, section 7.
const HTTP_1_1_REQUIRED: u32 = 0xd;
const WHY: &str = "this service speaks HTTP/1.1; ask without HTTP/2, or through a proxy that translates";

/// Whether these are the first bytes of a connection in HTTP/2.
pub(super) fn begins(bytes: &[u8]) -> bool {
    bytes.starts_with(PREFACE)
}

/// Settings, which must come first, and the farewell with its reason.
pub(super) fn refusal() -> Vec<u8> {
    let farewell = [&0u32.to_be_bytes(), &HTTP_1_1_REQUIRED.to_be_bytes(), WHY.as_bytes()].concat();
    [frame(SETTINGS, &[]), frame(GO_AWAY, &farewell)].concat()
}

/// A frame of the connection, section 4.1: length, type, no flags, stream 0.
fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or_default().to_be_bytes();
    [&length[1..], &[kind, 0, 0, 0, 0, 0], payload].concat()
}
