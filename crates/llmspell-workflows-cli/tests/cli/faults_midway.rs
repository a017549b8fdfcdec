//! System faults that begin while a step is executing. Everything acknowledged before the fault is
//! kept, and the run continues once the fault is gone.

use std::fs;

use llmspell_workflows_testing::history::{Asked, Command, What};
use rustix::process::{Pid, Resource, Rlimit, prlimit};

use crate::{
    clients::Clients,
    faults::{DiskFolder, fill, said},
    support::{Sandbox, release_step, wait_until},
};

/// The output of the second step does not fit in the first segment of the journal.
const WORKS: &str = "
name: works
steps:
  - {id: first, type: shell, command: 'sh effect.sh'}
  - {id: held, type: shell, command: 'sh effect.sh; read line < tell; head -c 300000 /dev/zero | tr \"\\0\" x'}
  - {id: last, type: shell, command: 'sh effect.sh'}
";

/// The size of the disk in bytes.
const DISK: u64 = 8 << 20;

/// A fault that begins while a step is executing.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    /// No file may grow beyond the given number of bytes.
    FileSize(u64),
    /// No more files can be opened.
    OpenFiles,
    FullDisk,
    /// No file can be opened for writing anymore.
    ReadOnlyDisk,
}

impl Fault {
    fn begin(self, process: Pid, sandbox: &Sandbox, disk: Option<&DiskFolder>) {
        let limit = |resource, current| {
            let limit = Rlimit { current: Some(current), maximum: None };
            prlimit(Some(process), resource, limit).unwrap();
        };
        match self {
            Self::FileSize(bytes) => limit(Resource::Fsize, bytes),
            Self::OpenFiles => {
                let hard = fs::read_dir(format!("/proc/{}/fd", process.as_raw_nonzero())).unwrap().count();
                let maximum = rustix::process::getrlimit(Resource::Nofile).maximum;
                let limit = Rlimit { current: Some(hard as u64), maximum };
                prlimit(Some(process), Resource::Nofile, limit).map(drop).unwrap();
            }
            Self::FullDisk => fill(&sandbox.path("disk/filler"), DISK, 0),
            Self::ReadOnlyDisk => disk.unwrap().protect(),
        }
    }

    fn end(self, sandbox: &Sandbox, disk: Option<&DiskFolder>) {
        match self {
            // The limits end with the process.
            Self::FileSize(_) | Self::OpenFiles => {}
            Self::FullDisk => fs::remove_file(sandbox.path("disk/filler")).unwrap(),
            Self::ReadOnlyDisk => disk.unwrap().unprotect(),
        }
    }
}

fn asked(command: Command) -> Asked {
    Asked { store: "disk/main".to_owned(), command }
}

/// Runs [`WORKS`] with a fault that begins in its second step, and again without the fault. Returns
/// the program's message.
fn meet(fault: Fault) -> Option<String> {
    let sandbox = Sandbox::with_flow(WORKS);
    let needs_disk = matches!(fault, Fault::FullDisk | Fault::ReadOnlyDisk);
    sandbox.make_pipe("tell");
    let mut clients = Clients::new(sandbox);
    let disk = if needs_disk { Some(DiskFolder::mount(clients.sandbox.path("disk"), DISK)?) } else { None };
    clients.limits = Some("trap '' XFSZ".to_owned());
    let process = clients.next_name();
    clients.start(asked(Command::Run), &["run", "flow.yaml"], None);
    let run = wait_until(|| {
        clients.history().into_iter().find_map(|one| match one.what {
            What::EffectEnded(effect) if effect.step == "/main/held" => Some(effect.run),
            _ => None,
        })
    });
    fault.begin(clients.pid(&process), &clients.sandbox, disk.as_ref());
    release_step(&clients.sandbox);
    let faulty = clients.wait_for_end();
    clients.limits = None;
    fault.end(&clients.sandbox, disk.as_ref());
    let said = said(&format!("{fault:?}"), &faulty);
    // The first step was acknowledged before the fault began.
    let history = clients.history();
    let is_completion = |what: &What| matches!(what, What::StepCompleted { step, .. } if step == "/main/first");
    assert!(history.iter().any(|one| is_completion(&one.what)), "{fault:?}");
    let verified = clients.run(asked(Command::Other { name: "verify".to_owned() }), &["store", "verify"]);
    assert_eq!(verified.code, Some(0), "{fault:?}: {:?} {}", verified.said, verified.stderr);
    let has_failed = faulty.said.iter().any(|line| line["event"] == "run.failed");
    let (command, verb) = match has_failed {
        true => (Command::Retry { run: run.clone() }, "retry"),
        false => (Command::Resume { run: run.clone() }, "resume"),
    };
    clients.start(asked(command), &[verb, &run], None);
    if !has_failed {
        release_step_later(&mut clients);
    }
    let again = clients.wait_for_end();
    assert_eq!(again.code, Some(0), "{fault:?}, again: {:?} {}", again.said, again.stderr);
    let file = format!("export-{}.json", clients.next_name());
    let exported = clients.run(asked(Command::Export { run: run.clone() }), &["runs", "export", &run, "--file", &file]);
    assert_eq!(exported.code, Some(0), "{fault:?}: {:?}", exported.said);
    let report = clients.check(&format!("midway-{fault:?}"));
    assert!(report.acknowledged >= 3, "{fault:?}: {report:?}");
    Some(said)
}

/// Waits until the step `held` runs again, if it does, and then lets it finish.
fn release_step_later(clients: &mut Clients) {
    let began = |clients: &Clients| {
        let history = clients.history();
        let is_held = |what: &What| matches!(what, What::EffectEnded(effect) if effect.step == "/main/held");
        history.iter().filter(|one| is_held(&one.what)).count()
    };
    wait_until(|| (began(clients) == 2).then_some(()));
    release_step(&clients.sandbox);
}

#[test]
fn fault_in_the_middle_of_a_run_loses_nothing() {
    let mut skipped = 0;
    for fault in [Fault::FileSize(0), Fault::FileSize(200_000), Fault::OpenFiles, Fault::FullDisk, Fault::ReadOnlyDisk]
    {
        match meet(fault) {
            Some(said) => println!("{fault:?}: {said}"),
            None => {
                println!("skipped: {fault:?}: this user may not mount a file system");
                skipped += 1;
            }
        }
    }
    println!("{skipped} faults skipped");
}
