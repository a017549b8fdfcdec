//! A frame: what the log writes as one, and can tell from what was cut, torn or changed.
//!
//! | bytes | what |
//! |---|---|
//! | 0–3 | length of all that follows the checksum, little-endian; 0 marks the end |
//! | 4–7 | CRC-32C of all that follows |
//! | 8 | version of the format |
//! | 9 | kind |
//! | 10–13 | number of the run in this log |
//! | 14– | body |

/// The version that this code reads and writes: that of frames, and of the records in them.
pub(crate) const VERSION: u8 = 2;

/// Bytes before the body.
pub(crate) const HEAD: usize = 14;

/// Bytes before what the checksum covers.
const PREFIX: usize = 8;

/// A frame as read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    pub(crate) kind: u8,
    pub(crate) run: u32,
    pub(crate) body: &'a [u8],
}

/// What stands at a place in a segment.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found<'a> {
    Frame(Frame<'a>, usize),
    /// Nothing was written here.
    End,
    /// Something was, and it is not whole.
    Broken,
    /// It is whole, and of another version of this format.
    Other(u8),
}

/// Appends the frame of `body` to `buffer`.
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

/// Reads what stands at the beginning of `bytes`.
pub(crate) fn read(bytes: &[u8]) -> Found<'_> {
    let Some(length) = u32_at(bytes, 0) else {
        return if bytes.iter().all(|byte| *byte == 0) { Found::End } else { Found::Broken };
    };
    if length == 0 {
        // A length that was lost, and not the end, where a checksum stands behind it.
        return if u32_at(bytes, 4).unwrap_or(0) == 0 { Found::End } else { Found::Broken };
    }
    let end = PREFIX + length as usize;
    let (Some(checksum), Some(covered)) = (u32_at(bytes, 4), bytes.get(PREFIX..end)) else { return Found::Broken };
    if covered.len() < HEAD - PREFIX || crc32c::crc32c(covered) != checksum {
        return Found::Broken;
    }
    if covered[0] != VERSION {
        return Found::Other(covered[0]);
    }
    let run = u32_at(covered, 2).unwrap_or_default();
    Found::Frame(Frame { kind: covered[1], run, body: &covered[HEAD - PREFIX..] }, end)
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
    fn a_frame_reads_back() {
        let mut bytes = framed();
        let length = bytes.len();
        bytes.extend_from_slice(&[0; 64]);
        let frame = Frame { kind: 3, run: 7, body: b"what happened" };
        assert_eq!(read(&bytes), Found::Frame(frame, length));
        assert_eq!(read(&bytes[length..]), Found::End);
        assert_eq!(read(&[]), Found::End);
    }

    #[test]
    fn each_flipped_bit_and_each_cut_is_seen() {
        let whole = framed();
        for bit in 0..whole.len() * 8 {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(!matches!(read(&bytes), Found::Frame(..) | Found::End), "bit {bit}");
        }
        for length in 1..whole.len() {
            assert_eq!(read(&whole[..length]), Found::Broken, "{length} bytes");
        }
    }

    #[test]
    fn another_version_is_told_from_damage() {
        for version in [VERSION - 1, VERSION + 1] {
            let mut bytes = framed();
            bytes[8] = version;
            let checksum = crc32c::crc32c(&bytes[8..]);
            bytes[4..8].copy_from_slice(&checksum.to_le_bytes());
            assert_eq!(read(&bytes), Found::Other(version));
        }
    }
}
