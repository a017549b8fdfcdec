//! Reads written frames.

use std::{path::Path, sync::Arc};

use super::{FrameLocation, Log, LogError, frame, lock, segment};
use crate::disk::DiskFile;

/// The maximum gap in bytes between two frames fetched with a single read.
const GAP_MAX: u64 = 4 << 10;

/// The maximum number of bytes in one read, unless a single frame is longer.
const SPAN_MAX: u64 = 1 << 20;

impl Log {
    /// Passes the bodies of the written frames at `locations` to `take`, in order.
    pub(crate) fn read<E: From<LogError>>(
        &self,
        locations: &[FrameLocation],
        take: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        read_frames(&self.shared.dir, locations, &mut |number| self.segment(number), take)
    }

    fn segment(&self, number: u64) -> std::io::Result<Arc<dyn DiskFile>> {
        let mut files = lock(&self.shared.files);
        let open = [&files.current, &files.read].into_iter().flatten().find(|(open, _)| *open == number);
        if let Some((_, file)) = open {
            return Ok(file.clone());
        }
        let file: Arc<dyn DiskFile> = self.shared.disk.open(&segment::path(&self.shared.dir, number))?.into();
        files.read = Some((number, file.clone()));
        Ok(file)
    }
}

/// Passes the bodies of the frames at `locations` to `take`, in order, or the bulk of a frame that
/// has one. `open` opens a segment of the log in `dir`.
pub(crate) fn read_frames<E: From<LogError>>(
    dir: &Path,
    locations: &[FrameLocation],
    open: &mut dyn FnMut(u64) -> std::io::Result<Arc<dyn DiskFile>>,
    mut take: impl FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let mut rest = locations;
    while let [first, ..] = rest {
        let count = 1 + rest.windows(2).take_while(|pair| is_near(first, &pair[0], &pair[1])).count();
        let (span, others) = rest.split_at(count);
        let last = span[count - 1];
        let length = usize::try_from(last.offset + u64::from(last.length) - first.offset).unwrap_or(usize::MAX);
        let path = segment::path(dir, first.segment);
        let read = open(first.segment).and_then(|file| file.read_at(first.offset, length));
        let bytes = read.map_err(|error| LogError::io(&path, &error))?;
        for location in span {
            let start = usize::try_from(location.offset - first.offset).unwrap_or(usize::MAX);
            match frame::read(bytes.get(start..).unwrap_or_default()) {
                // A long record is in the bulk, and the body is its outline.
                frame::ParsedFrame::Frame(frame, _) => {
                    take(if frame.bulk.is_empty() { frame.body } else { frame.bulk })?;
                }
                _ => {
                    let message = format!("the frame at {} is no longer intact", location.offset);
                    return Err(LogError::damaged(&path, message).into());
                }
            }
        }
        rest = others;
    }
    Ok(())
}

/// Returns whether `next` is read together with the frames from `first` to `last`.
fn is_near(first: &FrameLocation, last: &FrameLocation, next: &FrameLocation) -> bool {
    let end = last.offset + u64::from(last.length);
    let in_order = next.segment == first.segment && next.offset >= end;
    in_order && next.offset - end <= GAP_MAX && next.offset + u64::from(next.length) - first.offset <= SPAN_MAX
}
