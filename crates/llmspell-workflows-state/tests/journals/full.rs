//! A full disk causes a clear error. All acknowledged records can still be read once the disk
//! has room again.
//!
//! To simulate a full disk, the test limits the file size of a process. The process ignores the
//! resulting signal, like a program that handles the error.

use std::process::{Command, Output};

use rustix::process::{Resource, Rlimit, setrlimit};

use llmspell_workflows_state::{Receipt, Record};

use crate::{
    child::{arguments, child_task, command, report},
    support::{ON_DISK, OnDisk, folder, run, runtime},
};

const NAME: &str = "full::a_full_disk_causes_an_error_but_loses_no_acknowledged_record";

/// The file size limit in bytes. The first segments of the log and of sled fit within it.
const LIMIT: u64 = 600 << 10;

/// The number of records to append; not all of them fit.
const RECORDS: usize = 5_000;

/// Returns a record of about a kilobyte.
fn record(number: usize) -> Record {
    Record::Stopped { path: format!("/main/step{number}/{}", "x".repeat(900 + number % 300)), time_us: 0 }
}

#[test]
fn a_full_disk_causes_an_error_but_loses_no_acknowledged_record() {
    if let Some((adapter, folder)) = child_task() {
        return fill(&adapter, &folder);
    }
    for adapter in ON_DISK {
        let folder = folder();
        // The first bytes of a new journal may already exceed the limit.
        drop(adapter.open_in(folder.path()).unwrap());
        drop(adapter.open_in(folder.path()).unwrap());
        let output = limited(&command(NAME, &adapter, folder.path()));
        let output_text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{}: {output:?}", adapter.name);
        let acknowledged =
            output_text.lines().filter_map(|line| line.strip_prefix("acknowledged ")?.parse::<usize>().ok());
        let acknowledged = acknowledged.max().map_or(0, |last| last + 1);
        let error = output_text.lines().find_map(|line| line.strip_prefix("error ")).unwrap();
        println!("{}: {acknowledged} records, then: {error}", adapter.name);
        assert!((50..RECORDS).contains(&acknowledged), "{}: {acknowledged} were acknowledged", adapter.name);
        let location = folder.path().join("journal").display().to_string();
        assert!(error.contains("File too large") && error.contains(&location), "{}: {error}", adapter.name);

        let journal = adapter.open_in(folder.path()).unwrap();
        let opened = runtime().block_on(journal.open(run(1))).unwrap();
        let expected: Vec<_> = (0..opened.records.len()).map(record).collect();
        assert!(opened.records == expected, "{}: the records differ", adapter.name);
        assert!(opened.records.len() >= acknowledged, "{}: {} of {acknowledged}", adapter.name, opened.records.len());
        // The disk has room again.
        let receipt = journal.append(run(1), opened.epoch, &record(0)).unwrap();
        runtime().block_on(journal.sync(receipt)).unwrap();
    }
}

/// Runs `child` with the file size signal ignored, which a shell can do but this program
/// cannot.
fn limited(child: &Command) -> Output {
    let mut shell = Command::new("sh");
    shell.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""]).arg(child.get_program()).args(arguments(NAME));
    shell.envs(child.get_envs().filter_map(|(name, value)| Some((name, value?))));
    shell.output().unwrap()
}

/// Appends records until an append fails, and then tries further calls.
fn fill(adapter: &OnDisk, folder: &std::path::Path) {
    setrlimit(Resource::Fsize, Rlimit { current: Some(LIMIT), maximum: Some(LIMIT) }).unwrap();
    let journal = adapter.open_in(folder).unwrap();
    runtime().block_on(async {
        let epoch = journal.open(run(1)).await.unwrap().epoch;
        for number in 0..RECORDS {
            let appended = journal.append(run(1), epoch, &record(number));
            let synced = match appended {
                Ok(receipt) => journal.sync(receipt).await,
                Err(error) => Err(error),
            };
            if let Err(error) = synced {
                report(&format!("error {error}"));
                break;
            }
            report(&format!("acknowledged {number}"));
        }
        // All later calls return the first error.
        let error = journal.append(run(1), epoch, &record(0)).unwrap_err();
        assert_eq!(journal.write(Receipt::new(u64::MAX)).await.unwrap_err(), error);
        assert_eq!(journal.open(run(2)).await.unwrap_err(), error);
        assert_eq!(journal.forget(&[(run(1), epoch)]).await.unwrap_err(), error);
    });
    drop(journal);
}
