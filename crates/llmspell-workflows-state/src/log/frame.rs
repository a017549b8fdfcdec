//! A frame: the unit of writing in the log. Truncated, torn and changed frames are detected.
//!
//! | bytes | content |
//! |---|---|
//! | 0–3 | length of everything after the first checksum, little-endian; 0 marks the end |
//! | 4–7 | CRC-32C of everything after it, except the bulk |
//! | 8 | version of the format |
//! | 9 | kind |
//! | 10–13 | number of the run in this log |
//! | 14–17 | number of the record in the run, from 0 |
//! | 18–21 | length of the bulk |
//! | 22–25 | CRC-32C of the bulk |
//! | 26– | body, and then the bulk |
//!
//! For a long record, the bulk is the record and the body is its outline. A reader that needs only
//! outlines skips the bulk.

/// The format version of frames and their records that this code reads and writes.
pub(crate) const VERSION: u8 = 3;

/// The number of bytes before the body.
pub(crate) const HEAD: usize = 26;

/// The number of bytes before the part covered by the checksum.
const PREFIX: usize = 8;

/// A frame to write, or a frame that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Frame<'a> {
    pub(crate) kind: u8,
    pub(crate) run: u32,
    pub(crate) record: u32,
    pub(crate) body: &'a [u8],
    pub(crate) bulk: &'a [u8],
}

impl Frame<'_> {
    /// Returns the size of the frame in bytes.
    pub(crate) fn length(&self) -> u64 {
        (HEAD + self.body.len() + self.bulk.len()) as u64
    }
}

/// The fixed part of a frame, with the lengths of the other parts. The body's checksum also
/// covers this part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    /// The size of the header and the body in bytes.
    pub(crate) head: usize,
    /// The size of the bulk in bytes.
    pub(crate) bulk: usize,
}

impl Header {
    /// Reads the lengths at the beginning of `bytes`; returns `None` if no frame of this version
    /// can have these lengths.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let (length, bulk) = (u32_at(bytes, 0)? as usize, u32_at(bytes, 18)? as usize);
        let head = (PREFIX + length).checked_sub(bulk).filter(|head| *head >= HEAD)?;
        (bytes[8] == VERSION).then_some(Self { head, bulk })
    }
}

/// The content at an offset in a segment.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ParsedFrame<'a> {
    Frame(Frame<'a>, usize),
    /// No frame was written at this offset.
    End,
    /// Data was written at this offset, but it is not an intact frame.
    Broken,
    /// An intact frame of another format version.
    OtherVersion(u8),
}

/// Appends `frame` to `buffer`.
pub(crate) fn write(buffer: &mut Vec<u8>, frame: Frame<'_>) {
    let small = |length: usize| u32::try_from(length).expect("records are far smaller than 4 GiB");
    let start = buffer.len();
    buffer.extend_from_slice(&small(HEAD - PREFIX + frame.body.len() + frame.bulk.len()).to_le_bytes());
    buffer.extend_from_slice(&[0; 4]);
    buffer.extend_from_slice(&[VERSION, frame.kind]);
    let bulk_checksum = if frame.bulk.is_empty() { 0 } else { crc32c::crc32c(frame.bulk) };
    for number in [frame.run, frame.record, small(frame.bulk.len()), bulk_checksum] {
        buffer.extend_from_slice(&number.to_le_bytes());
    }
    buffer.extend_from_slice(frame.body);
    let checksum = crc32c::crc32c(&buffer[start + PREFIX..]);
    buffer[start + 4..start + PREFIX].copy_from_slice(&checksum.to_le_bytes());
    buffer.extend_from_slice(frame.bulk);
}

/// Reads the frame at the beginning of `bytes`.
pub(crate) fn read(bytes: &[u8]) -> ParsedFrame<'_> {
    match read_head(bytes) {
        ParsedFrame::Frame(frame, length) => {
            let Some(bulk) = bytes.get(length - bulk_length(bytes)..length) else { return ParsedFrame::Broken };
            let is_intact = bulk.is_empty() || u32_at(bytes, 22) == Some(crc32c::crc32c(bulk));
            if is_intact { ParsedFrame::Frame(Frame { bulk, ..frame }, length) } else { ParsedFrame::Broken }
        }
        other => other,
    }
}

/// Returns how many bytes [`read_head`] needs of the frame that begins with `bytes`; at most `max`
/// for a frame of another version.
pub(crate) fn needed(bytes: &[u8], max: usize) -> usize {
    match Header::read(bytes) {
        Some(header) => header.head,
        None => u32_at(bytes, 0).map_or(0, |length| (PREFIX + length as usize).min(max)),
    }
}

/// Reads the frame at the beginning of `bytes` without its bulk, which need not be in `bytes`.
pub(crate) fn read_head(bytes: &[u8]) -> ParsedFrame<'_> {
    let Some(length) = u32_at(bytes, 0) else {
        return if bytes.iter().all(|byte| *byte == 0) { ParsedFrame::End } else { ParsedFrame::Broken };
    };
    if length == 0 {
        // A checksum after a zero length means that the length was lost, not that the log ends here.
        return if u32_at(bytes, 4).unwrap_or(0) == 0 { ParsedFrame::End } else { ParsedFrame::Broken };
    }
    let Some(checksum) = u32_at(bytes, 4) else { return ParsedFrame::Broken };
    if let Some(Header { head, bulk }) = Header::read(bytes)
        && let Some(covered) = bytes.get(PREFIX..head)
        && crc32c::crc32c(covered) == checksum
    {
        let (run, record) = (u32_at(bytes, 10).unwrap_or_default(), u32_at(bytes, 14).unwrap_or_default());
        return ParsedFrame::Frame(
            Frame { kind: bytes[9], run, record, body: &bytes[HEAD..head], bulk: &[] },
            head + bulk,
        );
    }
    // Frames of all other versions have one checksum, which covers everything after it.
    match bytes.get(PREFIX..PREFIX + length as usize) {
        Some(covered) if covered[0] != VERSION && crc32c::crc32c(covered) == checksum => {
            ParsedFrame::OtherVersion(covered[0])
        }
        _ => ParsedFrame::Broken,
    }
}

/// Returns the bulk length of the intact frame at the beginning of `bytes`.
fn bulk_length(bytes: &[u8]) -> usize {
    u32_at(bytes, 18).unwrap_or_default() as usize
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Frame<'_> = Frame { kind: 3, run: 7, record: 5, body: b"what happened", bulk: b"" };
    const LONG: Frame<'_> = Frame { bulk: b"all of what happened", ..SHORT };

    fn framed(frame: Frame<'_>) -> Vec<u8> {
        let mut bytes = Vec::new();
        write(&mut bytes, frame);
        bytes
    }

    #[test]
    fn a_frame_round_trips() {
        for frame in [SHORT, LONG] {
            let mut bytes = framed(frame);
            let length = bytes.len();
            assert_eq!(length as u64, frame.length());
            bytes.extend_from_slice(&[0; 64]);
            assert_eq!(read(&bytes), ParsedFrame::Frame(frame, length));
            assert_eq!(read(&bytes[length..]), ParsedFrame::End);
        }
        assert_eq!(read(&[]), ParsedFrame::End);
    }

    #[test]
    fn the_head_is_read_without_the_bulk() {
        let bytes = framed(LONG);
        let Header { head, bulk } = Header::read(&bytes).unwrap();
        assert_eq!((head + bulk, bulk), (bytes.len(), LONG.bulk.len()));
        assert_eq!(read_head(&bytes[..head]), ParsedFrame::Frame(Frame { bulk: b"", ..LONG }, bytes.len()));
    }

    #[test]
    fn every_flipped_bit_and_every_truncation_is_detected() {
        for frame in [SHORT, LONG] {
            let whole = framed(frame);
            for bit in 0..whole.len() * 8 {
                let mut bytes = whole.clone();
                bytes[bit / 8] ^= 1 << (bit % 8);
                assert!(!matches!(read(&bytes), ParsedFrame::Frame(..) | ParsedFrame::End), "bit {bit}");
            }
            for length in 1..whole.len() {
                assert_eq!(read(&whole[..length]), ParsedFrame::Broken, "{length} bytes");
            }
        }
    }

    #[test]
    fn frames_of_other_versions_are_not_reported_as_broken() {
        for version in [VERSION - 1, VERSION + 1] {
            let mut bytes = framed(SHORT);
            bytes[8] = version;
            let checksum = crc32c::crc32c(&bytes[8..]);
            bytes[4..8].copy_from_slice(&checksum.to_le_bytes());
            assert_eq!(read(&bytes), ParsedFrame::OtherVersion(version));
        }
    }
}
