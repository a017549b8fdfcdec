//! System faults in the middle of a command: limits on files, a full disk, or a store that becomes
//! read-only. The program reports the fault and loses nothing that it has acknowledged. The same
//! command works once the fault is gone.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command as System, Stdio},
};

use llmspell_workflows_testing::history::{Asked, Command, Outcome};

use crate::{
    clients::{Clients, Ended},
    support::Sandbox,
};

const WAITING: &str = "
name: waiting
steps:
  - {id: first, type: shell, command: 'sh effect.sh; head -c 60000 /dev/zero | tr \"\\0\" x'}
  - {id: gate, type: wait_for_event, event: go}
  - {id: second, type: shell, command: 'sh effect.sh; head -c 60000 /dev/zero | tr \"\\0\" x'}
  - {id: last, type: shell, command: 'sh effect.sh'}
";

const FAILING: &str = "
name: failing
steps:
  - {id: first, type: shell, command: 'sh effect.sh; head -c 60000 /dev/zero | tr \"\\0\" x'}
  - {id: flaky, type: shell, command: 'test -e ok && sh effect.sh'}
";

/// A command to run under a fault, and its exit code without a fault.
struct Verb {
    name: &'static str,
    /// The command line; uppercase names stand for runs.
    words: &'static str,
    store: &'static str,
    code: i32,
}

const VERBS: [Verb; 7] = [
    Verb { name: "run", words: "run waiting.yaml", store: "disk/main", code: 5 },
    Verb { name: "resume", words: "resume SIGNALLED", store: "disk/main", code: 0 },
    Verb { name: "retry", words: "retry FAILED", store: "disk/main", code: 0 },
    Verb { name: "import", words: "runs import run.json", store: "disk/other", code: 0 },
    Verb { name: "cancel", words: "cancel WAITING", store: "disk/main", code: 0 },
    Verb { name: "compact", words: "store compact", store: "disk/main", code: 0 },
    Verb { name: "backup", words: "store backup disk/copy", store: "disk/main", code: 0 },
];

/// A system fault.
#[derive(Clone, Copy)]
enum Fault {
    /// Limits set by a shell for the program.
    Limits(&'static str),
    /// The size of the disk and its free space, in bytes.
    Full(u64, u64),
    /// The disk becomes read-only.
    ReadOnly,
}

/// Phrases that name a fault; a message must contain one of them to be helpful.
const CAUSES: [&str; 8] = [
    "File too large",
    "Too many open files",
    "too many files may be open",
    "No space left on device",
    "disk is full",
    "disk may be full",
    "Read-only file system",
    "readonly database",
];

/// A folder with an in-memory disk mounted on it; mounting requires privileges.
pub(crate) struct DiskFolder(PathBuf);

impl DiskFolder {
    pub(crate) fn mount(path: PathBuf, bytes: u64) -> Option<Self> {
        fs::create_dir_all(&path).unwrap();
        let mut mount = System::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={bytes}"), "tmpfs"]).arg(&path).stderr(Stdio::null());
        mount.status().is_ok_and(|status| status.success()).then_some(Self(path))
    }

    /// Makes the whole disk read-only or writable; fails while files are open.
    fn remount(&self, mode: &str) {
        self.run(&["mount", "-o", &format!("remount,{mode}")]);
    }

    /// Makes everything opened from now on read-only.
    pub(crate) fn protect(&self) {
        let path = self.0.to_str().unwrap();
        self.run(&["mount", "--bind", path]);
        self.run(&["mount", "-o", "remount,bind,ro"]);
    }

    /// Undoes [`Self::protect`].
    pub(crate) fn unprotect(&self) {
        self.run(&["umount"]);
    }

    /// Runs a command with the folder as its last argument.
    fn run(&self, command: &[&str]) {
        let status = System::new(command[0]).args(&command[1..]).arg(&self.0).status().unwrap();
        assert!(status.success(), "{command:?}");
    }
}

impl Drop for DiskFolder {
    fn drop(&mut self) {
        let unmount = || System::new("umount").arg("-l").arg(&self.0).stderr(Stdio::null()).status();
        let is_done = unmount().is_ok_and(|status| status.success());
        if std::thread::panicking() {
            // The folder may still be protected.
            let _ = unmount();
        } else {
            assert!(is_done, "{} cannot be unmounted", self.0.display());
        }
    }
}

/// A store that contains runs in several states; each case starts with a copy of this store.
struct Prepared {
    sandbox: Sandbox,
    runs: Vec<(&'static str, String)>,
    export: String,
}

fn asked(store: &str, words: &str, runs: &[(&str, String)], export: &str) -> Asked {
    let run = |name: &str| runs.iter().find(|(of, _)| *of == name).map(|(_, run)| run.clone()).unwrap();
    let command = match words.split(' ').collect::<Vec<_>>()[..] {
        ["run", ..] => Command::Run,
        ["resume", name] => Command::Resume { run: run(name) },
        ["retry", name] => Command::Retry { run: run(name) },
        ["cancel", name] => Command::Cancel { run: run(name) },
        ["signal", name, ..] => Command::Signal { run: run(name) },
        ["runs", "import", ..] => Command::Import { run: run("SIGNALLED"), export: export.to_owned() },
        ["runs", "export", name, ..] => Command::Export { run: run(name) },
        ["runs", "list"] => Command::List,
        ["store", "backup", to] => Command::Backup { to: to.to_owned() },
        _ => Command::Other { name: words.to_owned() },
    };
    Asked { store: store.to_owned(), command }
}

fn prepare() -> Prepared {
    let sandbox = Sandbox::new().file("waiting.yaml", WAITING).file("failing.yaml", FAILING);
    let mut clients = Clients::new(sandbox);
    let mut runs = Vec::new();
    for (name, flow, code) in
        [("SIGNALLED", "waiting", 5), ("WAITING", "waiting", 5), ("FAILED", "failing", 1), ("ENDED", "failing", 1)]
    {
        let ended = clients.run(asked("disk/main", "run", &[], ""), &["run", &format!("{flow}.yaml")]);
        assert_eq!(ended.code, Some(code), "{}", ended.stderr);
        runs.push((name, ended.said[0]["run_id"].as_str().unwrap().to_owned()));
    }
    let export = clients.next_name();
    for words in ["runs export SIGNALLED --file run.json", "signal SIGNALLED go"] {
        // The name of an export file contains the name of the exporting process.
        let words = words.replace("run.json", &format!("export-{export}.json"));
        let ended = run_words(&mut clients, "disk/main", &words, &runs, &export);
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    }
    fs::copy(clients.sandbox.path(&format!("export-{export}.json")), clients.sandbox.path("run.json")).unwrap();
    fs::write(clients.sandbox.path("ok"), "").unwrap();
    Prepared { sandbox: clients.into_sandbox(), runs, export }
}

fn run_words(clients: &mut Clients, store: &str, words: &str, runs: &[(&str, String)], export: &str) -> Ended {
    let asked = asked(store, words, runs, export);
    let word = |word: &str| runs.iter().find(|(name, _)| *name == word).map_or(word.to_owned(), |(_, run)| run.clone());
    let arguments: Vec<String> = words.split(' ').map(word).collect();
    clients.run(asked, &arguments.iter().map(String::as_str).collect::<Vec<_>>())
}

/// Runs a command under a fault, then again without the fault. Returns the error under the fault,
/// or `None` if the command succeeded despite the fault.
fn meet(prepared: &Prepared, fault: Fault, verb: &Verb) -> Option<String> {
    let sandbox = Sandbox::new();
    let mounted = match fault {
        Fault::Limits(_) => None,
        Fault::Full(bytes, _) => DiskFolder::mount(sandbox.path("disk"), bytes),
        Fault::ReadOnly => DiskFolder::mount(sandbox.path("disk"), 64 << 20),
    };
    let copied =
        System::new("cp").args(["-R", "."]).arg(sandbox.path("")).current_dir(prepared.sandbox.path("")).status();
    assert!(copied.unwrap().success());
    let mut clients = Clients::new(sandbox);
    let filler = clients.sandbox.path("disk/filler");
    match fault {
        Fault::Limits(limits) => clients.limits = Some(limits.to_owned()),
        Fault::Full(bytes, left) => fill(&filler, bytes, left),
        Fault::ReadOnly => mounted.as_ref().unwrap().remount("ro"),
    }
    let (runs, export) = (&prepared.runs, &prepared.export);
    let faulty = run_words(&mut clients, verb.store, verb.words, runs, export);
    clients.limits = None;
    match fault {
        Fault::Limits(_) => {}
        Fault::Full(..) => fs::remove_file(&filler).unwrap(),
        Fault::ReadOnly => mounted.as_ref().unwrap().remount("rw"),
    }
    let at = format!("{} under {}", verb.name, name(fault));
    let stopped = (faulty.code != Some(verb.code)).then(|| said(&at, &faulty));
    for store in ["disk/main", "disk/other"] {
        let verified = run_words(&mut clients, store, "store verify", runs, export);
        assert_eq!(verified.code, Some(0), "{at}: {:?} {}", verified.said, verified.stderr);
    }
    if stopped.is_some() {
        // If a step failed because of the fault, the run is retried.
        let has_failed = faulty.said.iter().any(|line| line["status"] == "failed");
        let words = if has_failed { verb.words.replace("resume", "retry") } else { verb.words.to_owned() };
        let again = run_words(&mut clients, verb.store, &words, runs, export);
        let code = (again.code, again.outcome == Outcome::Unknown);
        assert_eq!(code, (Some(verb.code), false), "{at}, again: {:?} {}", again.said, again.stderr);
    }
    for run in ["SIGNALLED", "WAITING", "FAILED", "ENDED"] {
        let file = format!("runs export {run} --file export-{}.json", clients.next_name());
        let exported = run_words(&mut clients, "disk/main", &file, runs, export);
        assert_eq!(exported.code, Some(0), "{at}: {}", exported.stderr);
    }
    run_words(&mut clients, "disk/main", "runs list", runs, export);
    clients.check(&format!("fault-{}", verb.name));
    // The folder can be removed only after the disk is unmounted.
    drop(mounted);
    stopped
}

/// Fills a disk of `bytes` bytes with a file, leaving `left` bytes free.
pub(crate) fn fill(filler: &Path, bytes: u64, left: u64) {
    fs::write(filler, vec![0; usize::try_from(bytes).unwrap()]).unwrap_err();
    let length = fs::metadata(filler).unwrap().len();
    fs::OpenOptions::new().write(true).open(filler).unwrap().set_len(length - left.min(length)).unwrap();
}

fn name(fault: Fault) -> String {
    match fault {
        Fault::Limits(limits) => limits.to_owned(),
        Fault::Full(bytes, left) => format!("a full disk of {bytes} bytes with {left} left"),
        Fault::ReadOnly => "a read-only disk".to_owned(),
    }
}

/// Returns the error with which a command reports a fault; panics if the error is not helpful.
pub(crate) fn said(at: &str, ended: &Ended) -> String {
    let error = ended.said.iter().find_map(|line| line.get("error").filter(|error| error["code"].is_string()));
    let Some(error) = error else { panic!("{at}: exit {:?} without an error: {}", ended.code, ended.stderr) };
    let (code, message) = (error["code"].as_str().unwrap(), error["message"].as_str().unwrap());
    assert_eq!(ended.code, Some(1), "{at}: {code}: {message}");
    let page = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("../../docs/errors/{code}.md"));
    assert!(page.exists(), "{at}: {code} has no page");
    assert!(CAUSES.iter().any(|cause| message.contains(cause)), "{at}: the cause is missing in {message:?}");
    format!("{code}: {message}")
}

/// The faults tried by default; each of them stops some commands halfway.
const FAULTS: [Fault; 4] = [
    // Blocks of 512 bytes.
    Fault::Limits("trap '' XFSZ; ulimit -S -f 200"),
    Fault::Limits("ulimit -S -n 16"),
    Fault::Full(8 << 20, 400 << 10),
    Fault::ReadOnly,
];

/// The faults tried only with `FAULTS=all`.
const MORE_FAULTS: [Fault; 9] = [
    Fault::Limits("trap '' XFSZ; ulimit -S -f 0"),
    Fault::Limits("trap '' XFSZ; ulimit -S -f 40"),
    Fault::Limits("trap '' XFSZ; ulimit -S -f 600"),
    Fault::Limits("ulimit -S -n 8"),
    Fault::Limits("ulimit -S -n 12"),
    Fault::Limits("ulimit -S -n 20"),
    Fault::Limits("ulimit -S -n 24"),
    Fault::Full(8 << 20, 0),
    Fault::Full(8 << 20, 100 << 10),
];

/// Tries each command under each of [`FAULTS`]; `FAULTS=all` adds [`MORE_FAULTS`].
#[test]
fn command_reports_a_fault_and_works_once_the_fault_is_gone() {
    let prepared = prepare();
    let more: &[Fault] = if std::env::var("FAULTS").is_ok_and(|which| which == "all") { &MORE_FAULTS } else { &[] };
    let can_mount = DiskFolder::mount(prepared.sandbox.path("mounted"), 1 << 20).is_some();
    let (mut cases, mut stopped, mut skipped) = (0, 0, 0);
    for fault in FAULTS.iter().chain(more) {
        if !can_mount && !matches!(fault, Fault::Limits(_)) {
            println!("skipped: {}: this user may not mount a file system", name(*fault));
            skipped += VERBS.len();
            continue;
        }
        let said: Vec<_> = VERBS.iter().map(|verb| (verb.name, meet(&prepared, *fault, verb))).collect();
        said.iter()
            .for_each(|(verb, said)| println!("{verb}, {}: {}", name(*fault), said.as_deref().unwrap_or("done")));
        let count = said.iter().filter(|(_, said)| said.is_some()).count();
        assert!(count > 0, "{} stops no command", name(*fault));
        cases += VERBS.len();
        stopped += count;
    }
    println!("{cases} cases, {stopped} commands stopped, {skipped} cases skipped");
}
