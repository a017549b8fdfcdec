//! The system calls of each journal, traced with strace. There is a sync before each acknowledgement, one sync for all
//! waiters, and no sync for records that are only written.

use std::{collections::HashMap, fs, path::Path, process::Command};

use tokio::task::JoinSet;

use crate::{
    child::{arguments, child_task, command, report},
    support::{ON_DISK, OnDisk, folder, record, run},
};

const NAME: &str = "system_calls::each_acknowledgement_waits_for_a_sync_and_concurrent_runs_share_syncs";

/// The number of records that a single writer appends, each acknowledged before the next.
const SINGLE_WRITER_RECORDS: usize = 20;

/// The number of runs that append concurrently, and the number of records of each run.
const CONCURRENT_RUNS: usize = 64;
const RECORDS_PER_RUN: usize = 4;

#[test]
fn each_acknowledgement_waits_for_a_sync_and_concurrent_runs_share_syncs() {
    if let Some((adapter, folder)) = child_task() {
        return work(&adapter, &folder);
    }
    let folder = folder();
    if let Err(why) =
        strace(&folder.path().join("trial"), "true", &[]).output().map_err(|e| e.to_string()).and_then(|output| {
            if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into()) }
        })
    {
        println!("skipped: strace is not available: {why}");
        return;
    }
    for (adapter, file) in ON_DISK.iter().zip([".log", ".jnl", "/sled/db"]) {
        let (folder, calls) = (folder.path().join(adapter.name), folder.path().join(format!("{}.calls", adapter.name)));
        let child = command(NAME, adapter, &folder);
        let mut traced = strace(&calls, child.get_program().to_str().unwrap(), &arguments(NAME));
        traced.envs(child.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let output = traced.output().unwrap();
        assert!(output.status.success(), "{}: {output:?}", adapter.name);
        check(adapter, file, &Calls::read(&fs::read_to_string(&calls).unwrap()));
    }
}

fn strace(into: &Path, program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new("strace");
    command.args(["-f", "-y", "-s", "64", "-e", "trace=write,fsync,fdatasync,msync", "-o"]);
    command.arg(into).arg(program).args(arguments);
    command
}

/// Runs in the traced process, and reports each action before and after performing it.
fn work(adapter: &OnDisk, folder: &Path) {
    let journal = adapter.open_in(folder).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let epoch = journal.open(run(0)).await.unwrap().epoch;
        for number in 0..SINGLE_WRITER_RECORDS {
            report(&format!("append {number}"));
            let receipt = journal.append(run(0), epoch, &record(number)).unwrap();
            journal.sync(receipt).await.unwrap();
            report(&format!("acknowledged {number}"));
        }
        report("write");
        for number in 0..100 {
            let receipt = journal.append(run(0), epoch, &record(number)).unwrap();
            journal.write(receipt).await.unwrap();
        }
        report("written");
        let mut opened = Vec::new();
        for number in 1..=CONCURRENT_RUNS {
            let run = run(number as u128);
            opened.push((run, journal.open(run).await.unwrap().epoch));
        }
        for number in 0..RECORDS_PER_RUN {
            let mut tasks = JoinSet::new();
            for (run, epoch) in &opened {
                let (journal, receipt) = (journal.clone(), journal.append(*run, *epoch, &record(number)).unwrap());
                tasks.spawn(async move { journal.sync(receipt).await.unwrap() });
            }
            while let Some(ended) = tasks.join_next().await {
                ended.unwrap();
            }
        }
        report("together");
    });
}

fn check(adapter: &OnDisk, file: &str, calls: &Calls) {
    let name = adapter.name;
    for number in 0..SINGLE_WRITER_RECORDS {
        let (from, to) =
            (calls.reported(&format!("append {number}")), calls.reported(&format!("acknowledged {number}")));
        let synced = calls.syncs(from, to).any(|path| path.ends_with(file));
        assert!(synced, "{name}: record {number} was acknowledged before {file} was synced");
    }
    let (write, written) = (calls.reported("write"), calls.reported("written"));
    let needless: Vec<_> = calls.syncs(write, written).collect();
    assert!(needless.is_empty(), "{name}: syncs for records that are only written: {needless:?}");
    let shared = calls.syncs(written, calls.reported("together")).filter(|path| path.ends_with(file)).count();
    println!("{name}: {shared} syncs for {} acknowledgements at once", CONCURRENT_RUNS * RECORDS_PER_RUN);
    assert!(shared >= 1, "{name}: nothing was synced");
    // There may be a few more syncs than rounds, since the first sync of a round may begin before all runs wait.
    assert!(
        shared <= CONCURRENT_RUNS * RECORDS_PER_RUN / 8,
        "{name}: {shared} syncs for {} acknowledgements",
        CONCURRENT_RUNS * RECORDS_PER_RUN
    );
}

/// System calls, in order.
struct Calls {
    reported: HashMap<String, usize>,
    syncs: Vec<Sync>,
}

struct Sync {
    path: String,
    began: usize,
    ended: usize,
}

impl Calls {
    /// Parses lines such as `7 fdatasync(3</tmp/file>) = 0`, which another thread may interrupt.
    fn read(text: &str) -> Self {
        let (mut calls, mut open) = (Self { reported: HashMap::new(), syncs: Vec::new() }, HashMap::new());
        for (location, line) in text.lines().enumerate() {
            let (thread, call) = line.split_once(' ').unwrap();
            let call = call.trim_start();
            if let Some(rest) = call.strip_prefix("write(1<") {
                // The text is between newlines, which strace writes as `\n`.
                let reported = rest.split("\"\\n").nth(1).and_then(|rest| rest.split("\\n\"").next());
                calls.reported.extend(reported.map(|reported| (reported.to_owned(), location)));
            } else if let Some((_, rest)) = call.split_once("sync(") {
                let path = rest.split(['<', '>']).nth(1).unwrap_or_default().to_owned();
                if call.contains("unfinished") {
                    open.insert(thread.to_owned(), (path, location));
                } else if call.ends_with("= 0") {
                    calls.syncs.push(Sync { path, began: location, ended: location });
                }
            } else if call.contains("sync resumed") && call.ends_with("= 0") {
                let (path, began) = open.remove(thread).unwrap();
                calls.syncs.push(Sync { path, began, ended: location });
            }
        }
        calls
    }

    fn reported(&self, what: &str) -> usize {
        *self.reported.get(what).unwrap_or_else(|| panic!("{what} was not reported: {:?}", self.reported))
    }

    /// Returns the files that were synced entirely between two positions.
    fn syncs(&self, from: usize, to: usize) -> impl Iterator<Item = &str> {
        let between = self.syncs.iter().filter(move |sync| sync.began > from && sync.ended < to);
        between.map(|sync| sync.path.as_str())
    }
}

#[test]
fn interrupted_calls_are_parsed() {
    let calls = Calls::read(
        "1 write(1<pipe:[5]>, \"\\nappend 0\\n\", 10) = 10\n\
         2  fdatasync(3</a.log> <unfinished ...>\n\
         1 write(1<pipe:[5]>, \"\\nacknowledged 0\\n\", 16) = 16\n\
         2 <... fdatasync resumed>) = 0\n\
         1 fsync(4</b.log>) = 0\n\
         1 fsync(4</c.log>) = -1 EIO\n\
         1 write(1<pipe:[5]>, \"\\nend\\n\", 5) = 5\n",
    );
    let of = |from, to| calls.syncs(calls.reported(from), calls.reported(to)).collect::<Vec<_>>();
    assert!(of("append 0", "acknowledged 0").is_empty());
    assert_eq!(of("append 0", "end"), ["/a.log", "/b.log"]);
    assert_eq!(of("acknowledged 0", "end"), ["/b.log"]);
}
