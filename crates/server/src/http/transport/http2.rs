//! HTTP/2 without TLS is refused in its own words: this service speaks HTTP/1.1, and the proxy in front of it what it likes.

/// What a connection in HTTP/2 begins with, RFC 9113 section 3.4.
const PREFACE: &[u8] = b"PRI * HTTP/2.0";
/// Frames, section 6.5 and 6.8.
const SETTINGS: u8 = 4;
const GO_AWAY: u8 = 7;
/// The error code that asks for HTTP/1.1, section 7.
const HTTP_1_1_REQUIRED: u32 = 0xd;
const WHY: &str = "this service speaks HTTP/1.1; ask without HTTP/2, or through a proxy that translates";

/// What a client has sent so far, compared with the preface.
#[derive(Default)]
pub(super) struct Opening {
    /// Bytes of the preface that came.
    matched: usize,
    /// It is another protocol.
    is_other: bool,
}

impl Opening {
    /// Takes the next bytes; whether the preface is complete with them.
    pub(super) fn is_preface_with(&mut self, bytes: &[u8]) -> bool {
        if self.is_other || bytes.is_empty() {
            return false;
        }
        let left = &PREFACE[self.matched..];
        let common = left.len().min(bytes.len());
        self.is_other = left[..common] != bytes[..common];
        self.matched += common;
        let is_complete = !self.is_other && self.matched == PREFACE.len();
        // A connection opens once.
        self.is_other |= is_complete;
        is_complete
    }
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
