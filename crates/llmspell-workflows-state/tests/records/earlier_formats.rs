//! Data in earlier formats is refused with instructions.

use llmspell_workflows_state::{JournalError, LogError, Record, WalJournal};

/// A segment in each earlier format, up to its last frame. Each contains a run that waits for
/// an event.
const SEGMENTS: [&[u8]; 2] = [include_bytes!("golden/format-1.log"), include_bytes!("golden/format-2.log")];

#[test]
fn logs_in_earlier_formats_are_refused_with_instructions() {
    for segment in SEGMENTS {
        let folder = tempfile::tempdir().unwrap();
        let mut segment = segment.to_vec();
        // The rest of the segment was never written.
        segment.resize(256 << 10, 0);
        std::fs::write(folder.path().join("000000000001.log"), segment).unwrap();
        for error in [
            WalJournal::open_dir(folder.path()).map(drop).unwrap_err(),
            WalJournal::outlines(folder.path()).map(drop).unwrap_err(),
            WalJournal::read_all(folder.path()).map(drop).unwrap_err(),
            WalJournal::read_run(folder.path(), uuid::Uuid::nil()).map(drop).unwrap_err(),
        ] {
            assert!(matches!(&error, JournalError::Log(LogError::Older { .. })), "{error}");
            assert!(error.is_other_format());
            let message = error.to_string();
            assert!(message.contains("000000000001.log") && message.contains("or move the folder away"), "{message}");
        }
    }
}

#[test]
fn records_in_format_1_are_rejected() {
    let lines: Vec<_> = include_str!("golden/format-1.jsonl").lines().collect();
    assert!(lines.len() > 3);
    let refused = lines.iter().filter_map(|line| Record::decode(line.as_bytes()).err());
    for error in refused {
        assert_eq!((error.code(), error.to_string().contains("format 1")), ("record_format", true), "{error}");
    }
    // A reader rejects the whole run at its first record.
    assert!(Record::decode(lines[0].as_bytes()).is_err());
}
