//! A frame: the unit in which the log is written. Truncated, torn and changed frames are detected.
//!
//! | bytes | content |
//! |---|---|
//! | 0–3 | length of everything after the checksum, little-endian; 0 marks the end |
//! | 4–7 | CRC-32C of everything after it |
//! | 8 | version of the format |
//! | 9 | kind |
//! | 10–13 | number of the run in this log |
//! | 14– | body |

/// The version that this code reads and writes, for frames and for the records in them.
pub(crate) const VERSION: u8 = 2;

/// The number of bytes before the body.
pub(crate) const HEAD: usize = 14;

/// The number of bytes before the part that the checksum covers.
const PREFIX: usize = 8;

/// A frame that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    pub(crate) kind: u8,
    pub(crate) run: u32,
    pub(crate) body: &'a [u8],
}

/// The content at an offset in a segment.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ParsedFrame<'a> {
    Frame(Frame<'a>, usize),
    /// No frame was written at this offset.
    End,
    /// Data was written at this offset, but it is not an intact frame.
    Broken,
    /// An intact frame in a different version of the format.
    OtherVersion(u8),
}

/// Appends a frame that contains `body` to `buffer`.
pub(crate) fn write(buffer: &mut Vec<u8>, kind: u8, run: u32, body: &[u8]) {
    let length = u32::try_from(HEAD - PREFIX + body.len()).expect("records are far smaller than 4 GiB");
    let start = buffer.len();
    buffer.extend_from_slice(&length.to_le_bytes());
    buffer.extend_from_slice(&[0; 4]);
    buffer.extend_from_slice(&[VERSION, kind]);
    buffer.extend_from_slice(&run.to_le_bytes());
    buffer.extend_from_slice(body);
    let checksum = crc32c::crc32c(&buffer[start + PREFIX..]);
    buffer[start + 4..start + PREFIX].copy_from_slice(&checksum.to_le_bytes());
}

/// Reads the content at the beginning of `bytes`.
pub(crate) fn read(bytes: &[u8]) -> ParsedFrame<'_> {
    let Some(length) = u32_at(bytes, 0) else {
        return if bytes.iter().all(|byte| *byte == 0) { ParsedFrame::End } else { ParsedFrame::Broken };
    };
    if length == 0 {
        // A checksum after a zero length means that the length was lost, not that the log ends here.
        return if u32_at(bytes, 4).unwrap_or(0) == 0 { ParsedFrame::End } else { ParsedFrame::Broken };
    }
    let end = PREFIX + length as usize;
    let (Some(checksum), Some(covered)) = (u32_at(bytes, 4), bytes.get(PREFIX..end)) else {
        return ParsedFrame::Broken;
    };
    if covered.len() < HEAD - PREFIX || crc32c::crc32c(covered) != checksum {
        return ParsedFrame::Broken;
    }
    if covered[0] != VERSION {
        return ParsedFrame::OtherVersion(covered[0]);
    }
    let run = u32_at(covered, 2).unwrap_or_default();
    ParsedFrame::Frame(Frame { kind: covered[1], run, body: &covered[HEAD - PREFIX..] }, end)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed() -> Vec<u8> {
        let mut bytes = Vec::new();
        write(&mut bytes, 3, 7, b"what happened");
        bytes
    }

    #[test]
    fn a_frame_round_trips() {
        let mut bytes = framed();
        let length = bytes.len();
        bytes.extend_from_slice(&[0; 64]);
        let frame = Frame { kind: 3, run: 7, body: b"what happened" };
        assert_eq!(read(&bytes), ParsedFrame::Frame(frame, length));
        assert_eq!(read(&bytes[length..]), ParsedFrame::End);
        assert_eq!(read(&[]), ParsedFrame::End);
    }

    #[test]
    fn every_flipped_bit_and_every_truncation_is_detected() {
        let whole = framed();
        for bit in 0..whole.len() * 8 {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(!matches!(read(&bytes), ParsedFrame::Frame(..) | ParsedFrame::End), "bit {bit}");
        }
        for length in 1..whole.len() {
            assert_eq!(read(&whole[..length]), ParsedFrame::Broken, "{length} bytes");
        }
    }

    #[test]
    fn frames_of_other_versions_are_not_reported_as_broken() {
        for version in [VERSION - 1, VERSION + 1] {
            let mut bytes = framed();
            bytes[8] = version;
            let checksum = crc32c::crc32c(&bytes[8..]);
            bytes[4..8].copy_from_slice(&checksum.to_le_bytes());
            assert_eq!(read(&bytes), ParsedFrame::OtherVersion(version));
        }
    }
}
