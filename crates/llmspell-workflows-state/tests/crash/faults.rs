//! Disk faults: a disk that fails or loses data causes a clear error, never a wrong answer, and no
//! acknowledged data is lost.

use std::{path::Path, sync::Arc};

use llmspell_workflows_state::{Journal, JournalError, LogError, LogOptions, WalJournal};
use llmspell_workflows_testing::{
    crash::{CrashTest, DiskFault, SimDisk},
    patterns,
};

fn open(disk: &SimDisk) -> Result<Arc<dyn Journal>, JournalError> {
    let options = LogOptions { segment_min: 2 << 10, segment_max: 8 << 10, prepare_ahead: false };
    Ok(Arc::new(WalJournal::open_on(Arc::new(disk.clone()), Path::new("/log"), options)?))
}

fn test() -> CrashTest {
    let steps = patterns::all().into_iter().find(|definition| definition.name == "route").expect("the pattern exists");
    patterns::crash_test(steps)
}

#[test]
fn a_run_stopped_by_a_failed_write_or_sync_reports_the_cause_and_can_resume() {
    let expected = test().run_on(&open(&SimDisk::new()).unwrap()).unwrap();
    for (fault, cause) in [(DiskFault::Write, "no storage space"), (DiskFault::Sync, "the device does not answer")] {
        let mut faults = 0;
        for number in 0.. {
            let (test, disk) = (test(), SimDisk::new());
            let journal = open(&disk).unwrap();
            disk.fail(fault, number);
            let finished = match test.run_on(&journal) {
                Err(error) => {
                    faults += 1;
                    let message = error.to_string();
                    assert!(message.contains(cause) && message.contains("/log/"), "{message}");
                    // The journal accepts no more records, even if the disk has recovered.
                    assert!(test.run_on(&journal).is_err());
                    drop(journal);
                    test.run_on(&open(&disk.after_power_loss(number)).unwrap()).unwrap()
                }
                Ok(finished) => finished,
            };
            assert_eq!(finished.output, expected.output, "{fault:?} number {number}");
            if faults <= number {
                break;
            }
        }
        assert!(faults > 10, "{fault:?}: only {faults} faults");
    }
}

/// Returns the log of a process that was killed after a complete run.
fn log_of_a_whole_run() -> SimDisk {
    let disk = SimDisk::new();
    test().run_on(&open(&disk).expect("the disk is empty")).expect("the run succeeds");
    disk.after_kill()
}

#[test]
fn a_flipped_bit_in_synced_data_is_reported_and_prevents_resuming() {
    let intact = log_of_a_whole_run();
    let mut lengths = Vec::new();
    intact.damage(|files| {
        // Nothing depends on the heads file, so damage to it is harmless.
        lengths = files
            .iter()
            .filter(|(path, _)| !path.ends_with("heads"))
            .map(|(path, bytes)| (path.clone(), bytes.iter().rposition(|byte| *byte != 0).unwrap_or(0)))
            .collect();
    });
    let (mut refused, mut harmless) = (0, 0);
    for (path, length) in lengths {
        for offset in (0..length).step_by(3) {
            let disk = intact.after_kill();
            disk.damage(|files| files.get_mut(&path).unwrap()[offset] ^= 1 << (offset % 8));
            let (journal, test) = (open(&disk).unwrap(), test());
            for damage in journal.damage() {
                let JournalError::Log(LogError::Damaged { path: named, .. }) = damage else { panic!("{damage}") };
                assert!(named == path || named == Path::new("/log"), "{} for {}", named.display(), path.display());
            }
            match (test.run_on(&journal), journal.damage().is_empty()) {
                (Err(error), false) => {
                    assert!(error.to_string().contains("damaged"), "{error}");
                    refused += 1;
                }
                // A flipped bit in a frame that only opens the run, or after the last mark, loses
                // no acknowledged data.
                (Ok(_), _) => harmless += 1,
                (Err(error), true) => panic!("offset {offset} of {}: {error}", path.display()),
            }
            assert!(test.performed().values().sum::<u32>() <= 1, "offset {offset} of {}", path.display());
        }
    }
    assert!(refused > 3 * harmless, "{refused} refused, {harmless} harmless");
}

/// Returns whether the file is a segment. Nothing depends on the index of a segment.
fn is_segment(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "log")
}

#[test]
fn a_truncated_file_is_reported_and_prevents_resuming() {
    let intact = log_of_a_whole_run();
    let mut segments = 0;
    intact.damage(|contents| segments = contents.keys().filter(|path| is_segment(path)).count());
    assert!(segments > 1, "the run spans several segments");
    for number in 0..segments {
        for part in 1..8 {
            let disk = intact.after_kill();
            let mut truncated = None;
            disk.damage(|files| {
                let (path, bytes) = files.iter_mut().filter(|(path, _)| is_segment(path)).nth(number).unwrap();
                bytes.truncate(bytes.len() * part / 8);
                truncated = Some(path.clone());
            });
            let journal = open(&disk).unwrap();
            let damage = journal.damage();
            let Some(JournalError::Log(LogError::Damaged { path, message })) = damage.first() else {
                panic!("truncated to {part}/8: {damage:?}")
            };
            assert_eq!(Some(path), truncated.as_ref());
            assert!(message.contains("truncated"), "{message}");
            let test = test();
            assert!(test.run_on(&journal).is_err() || test.performed().is_empty(), "truncated to {part}/8");
        }
    }
}

#[test]
fn error_for_a_log_of_a_later_version_names_that_version() {
    let disk = log_of_a_whole_run();
    disk.damage(|files| {
        let (_, bytes) = files.iter_mut().find(|(path, _)| is_segment(path)).unwrap();
        // The version of the first frame follows the header of the segment and the frame's length and checksum.
        let length = u32::from_le_bytes(bytes[32..36].try_into().unwrap()) as usize;
        bytes[40] = 99;
        let checksum = crc32c::crc32c(&bytes[40..40 + length]);
        bytes[36..40].copy_from_slice(&checksum.to_le_bytes());
    });
    let error = open(&disk).unwrap_err();
    assert!(matches!(&error, JournalError::Log(LogError::Newer { .. })), "{error}");
    assert!(error.to_string().contains("version 99"), "{error}");
}

#[test]
fn a_log_in_use_cannot_be_opened_again() {
    let disk = SimDisk::new();
    let first = open(&disk).unwrap();
    assert!(matches!(open(&disk), Err(JournalError::Held { .. })));
    drop(first);
    open(&disk).unwrap();
}
