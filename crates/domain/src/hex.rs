//! Bytes as hexadecimal digits: digests, pseudonyms and made keys as text.

/// Most digits that [`decode`] reads: 64 bytes.
const MAX_DIGITS: usize = 128;

/// The bytes as lower-case digits, two each.
#[must_use]
pub fn encode(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from(b"0123456789abcdef"[usize::from(value)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// The bytes of such a text, of at most 64 bytes; `None` where it is none.
#[must_use]
pub fn decode(text: &str) -> Option<Vec<u8>> {
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    (text.len().is_multiple_of(2) && text.len() <= MAX_DIGITS)
        .then(|| text.as_bytes().chunks_exact(2).map(byte).collect())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_encoded_is_read_again_and_nothing_else() {
        let bytes: Vec<u8> = (0..64).map(|n| n * 4).collect();
        assert_eq!(encode(&[0x00, 0x7f, 0xab]), "007fab");
        assert_eq!(decode(&encode(&bytes)), Some(bytes));
        for bad in ["0", "zz", "0é", &"0".repeat(130)] {
            assert_eq!(decode(bad), None, "{bad}");
        }
    }
}
