//! Processes stopped in the middle of a run: while a stopped process may still continue, no other
//! process takes over its runs. If a process is fenced while it is stopped, it writes nothing more.

use std::fs;

use llmspell_workflows_testing::history::{Asked, Command, What};
use rustix::process::Signal;

use crate::{
    clients::{Clients, Ended},
    support::{Sandbox, release_step, wait_until},
};

const WORKS: &str = "
name: works
steps:
  - {id: first, type: shell, command: 'sh effect.sh'}
  - {id: held, type: shell, command: 'sh effect.sh; read line < tell'}
  - {id: last, type: shell, command: 'sh effect.sh'}
";

fn asked(command: Command) -> Asked {
    Asked { store: "main".to_owned(), command }
}

/// Starts a run and stops its process in the step `held`; returns the run and the process's name.
fn stop_in_the_middle() -> (Clients, String, String) {
    let sandbox = Sandbox::with_flow(WORKS);
    sandbox.make_pipe("tell");
    let mut clients = Clients::new(sandbox);
    let process = clients.next_name();
    clients.start(asked(Command::Run), &["run", "flow.yaml"], None);
    let run = wait_until(|| {
        clients.history().into_iter().find_map(|one| match one.what {
            What::EffectEnded(effect) if effect.step == "/main/held" => Some(effect.run),
            _ => None,
        })
    });
    clients.signal(&process, Signal::STOP);
    (clients, run, process)
}

/// Runs a command while the other process is stopped.
fn beside(clients: &mut Clients, command: Command, arguments: &[&str]) -> Ended {
    clients.start(asked(command), arguments, None);
    clients.wait_for_end()
}

/// Exports the run, and compares it with the history.
fn check(clients: &mut Clients, run: &str, name: &str, status: &str) {
    let file = format!("export-{}.json", clients.next_name());
    let exported =
        clients.run(asked(Command::Export { run: run.to_owned() }), &["runs", "export", run, "--file", &file]);
    assert_eq!(exported.code, Some(0), "{:?} {}", exported.said, exported.stderr);
    let document = fs::read_to_string(clients.sandbox.path(&file)).unwrap();
    assert!(document.contains(&format!("\"status\": \"{status}\"")), "{name}: not {status}");
    let verified = clients.run(asked(Command::Other { name: "verify".to_owned() }), &["store", "verify"]);
    assert_eq!(verified.code, Some(0), "{name}: {:?} {}", verified.said, verified.stderr);
    let report = clients.check(name);
    assert!(report.acknowledged > 0, "{name}");
}

#[test]
fn no_command_takes_over_the_run_of_a_stopped_process() {
    let (mut clients, run, process) = stop_in_the_middle();
    let id = run.clone();
    let refused: [(Command, &[&str], &str); 5] = [
        (Command::Resume { run: id.clone() }, &["resume", &run], "run_held"),
        (Command::Retry { run: id.clone() }, &["retry", &run], "run_not_failed"),
        (Command::Retry { run: id.clone() }, &["retry", &run, "--from", "first"], "run_not_failed"),
        (Command::Resolve { run: id.clone() }, &["resolve", &run, "held", "--failed"], "not_stuck"),
        (Command::Delete { runs: vec![id.clone()] }, &["runs", "delete", &run], "run_not_ended"),
    ];
    for (command, arguments, code) in refused {
        let ended = beside(&mut clients, command, arguments);
        let error = ended.said.iter().find_map(|line| line["error"]["code"].as_str());
        assert_eq!(error, Some(code), "{arguments:?}: exit {:?} {:?}", ended.code, ended.said);
    }
    // These commands skip the run and process everything else.
    let others: [(&str, &[&str]); 4] = [
        ("compact", &["store", "compact"]),
        ("prune", &["runs", "prune", "--older-than", "1ms"]),
        ("backup", &["store", "backup", "copy"]),
        ("repair", &["store", "verify", "--repair"]),
    ];
    for (name, arguments) in others {
        let ended = beside(&mut clients, Command::Other { name: name.to_owned() }, arguments);
        assert_eq!(ended.code, Some(0), "{name}: {:?} {}", ended.said, ended.stderr);
    }
    clients.signal(&process, Signal::CONT);
    release_step(&clients.sandbox);
    let ended = clients.wait_for_end();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    check(&mut clients, &run, "stopped", "completed");
}

#[test]
fn stopped_process_obeys_a_cancellation_once_it_continues() {
    let (mut clients, run, process) = stop_in_the_middle();
    let cancelled = beside(&mut clients, Command::Cancel { run: run.clone() }, &["cancel", &run]);
    assert_eq!(cancelled.said[0]["delivery"], "unanswered", "{:?} {}", cancelled.said, cancelled.stderr);
    assert!(cancelled.stderr.contains("does not respond"), "{}", cancelled.stderr);
    clients.signal(&process, Signal::CONT);
    let ended = clients.wait_for_end();
    assert_eq!(ended.code, Some(130), "{:?} {}", ended.said, ended.stderr);
    check(&mut clients, &run, "cancelled", "cancelled");
}

/// The lock of a stopped process is removed, so another process takes over. The stopped process
/// notices this at its next sync: it acknowledges nothing and begins no step.
#[test]
fn fenced_process_writes_nothing_after_it_continues() {
    let (mut clients, run, process) = stop_in_the_middle();
    fs::remove_file(clients.sandbox.path("main/log/000001/lock")).unwrap();
    let second = clients.next_name();
    clients.start(asked(Command::Resume { run: run.clone() }), &["resume", &run], None);
    // The second process has ended the first process's step, and is waiting in its own step.
    wait_until(|| {
        let history = clients.history();
        let is_second = |one: &llmspell_workflows_testing::history::Observation| {
            one.process == second && matches!(&one.what, What::EffectEnded(effect) if effect.step == "/main/held")
        };
        history.iter().any(is_second).then_some(())
    });
    clients.signal(&process, Signal::CONT);
    let fenced = clients.wait_for_end();
    assert_eq!((fenced.name.as_str(), fenced.code), (process.as_str(), Some(1)), "{:?} {}", fenced.said, fenced.stderr);
    let error = fenced.said.iter().find_map(|line| line["error"]["message"].as_str()).unwrap();
    assert!(error.contains("was removed or replaced"), "{error}");
    release_step(&clients.sandbox);
    let ended = clients.wait_for_end();
    assert_eq!(ended.code, Some(0), "{:?} {}", ended.said, ended.stderr);
    check(&mut clients, &run, "fenced", "completed");
}
