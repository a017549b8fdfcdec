//! Ctrl-C in a real process, and what becomes of the processes of steps.

use std::{
    fs,
    io::Read,
    net::TcpListener,
    process::{Child, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError},
};

use rustix::process::{Pid, Signal, kill_process};

use serde_json::json;

use crate::support::{Ended, PATIENCE, Place, Terminal, exit_code, lines};

/// A step with a process in the background that holds the pipe `alive` as long as it or its shell lives.
fn flow(before: &str) -> String {
    format!(
        "name: long\nsteps:\n  - id: wait\n    type: shell\n    command: |\n      exec 3>alive\n      {before}\n      sleep 1000 &\n      echo up >&3\n      wait\n      sleep 1000\n"
    )
}

struct Running {
    child: Child,
    alive: Receiver<String>,
    stderr: Receiver<String>,
}

impl Running {
    /// Starts the run and waits until its step is at work.
    fn start(place: &Place, arguments: &[&str]) -> Self {
        let alive = place.pipe("alive");
        let mut command = place.command(&[&["run", "flow.yaml"], arguments].concat());
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let stderr = child.stderr.take().unwrap();
        assert_eq!(alive.recv_timeout(PATIENCE).as_deref(), Ok("up"));
        Self { child, alive, stderr: lines(move || stderr) }
    }

    fn interrupt(&self) {
        let pid = Pid::from_raw(self.child.id().cast_signed()).unwrap();
        kill_process(pid, Signal::INT).unwrap();
    }

    /// Waits for a line that has `part` in it.
    fn wait_for(&self, part: &str) {
        while !self.stderr.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("no line has `{part}`")).contains(part) {}
    }

    /// The exit code, once no process of the step is left.
    fn end(self) -> Option<i32> {
        let code = exit_code(self.child);
        assert_eq!(self.alive.recv_timeout(PATIENCE), Err(RecvTimeoutError::Disconnected), "a process is left");
        code
    }
}

#[test]
fn the_first_one_stops_the_run_and_its_processes() {
    let place = Place::with_flow(&flow(":"));
    let running = Running::start(&place, &["--in-memory"]);
    running.interrupt();
    running.wait_for("stopping the run");
    running.wait_for("cancelled long");
    assert_eq!(running.end(), Some(130));
}

#[test]
fn the_second_one_does_not_ask() {
    let place = Place::with_flow(&flow("trap '' TERM"));
    let running = Running::start(&place, &["--in-memory"]);
    running.interrupt();
    running.wait_for("stopping the run");
    running.interrupt();
    running.wait_for("stopped at once");
    assert_eq!(running.end(), Some(130));
}

/// The server has the request and never answers.
#[test]
fn a_call_of_a_tool_is_stopped_with_an_error() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap().to_string();
    let input = format!("input=http://{address}/");
    let place = Place::new();
    let mut command = place.command(&["tools", "call", "http_requester", "-o", "json", "-i", &input]);
    command.env("SPELLFLOW_TOOLS_HOSTS", &address).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    let (mut connection, _) = server.accept().unwrap();
    connection.read_exact(&mut [0]).unwrap();
    kill_process(Pid::from_raw(child.id().cast_signed()).unwrap(), Signal::INT).unwrap();
    let ended = Ended::new(child.wait_with_output().unwrap());
    assert_eq!((ended.code, &ended.json()["error"]["code"]), (130, &json!("interrupted")));
}

#[test]
fn a_timeout_leaves_no_process_behind_either() {
    let place = Place::with_flow(&flow(":"));
    assert_eq!(Running::start(&place, &["--timeout", "1s"]).end(), Some(6));
}

#[test]
fn what_a_step_leaves_behind_ends_with_it() {
    let place = Place::with_flow(
        "name: x\nsteps: [{id: a, type: shell, command: 'exec 3>alive; echo up >&3; sleep 1000 >/dev/null 2>&1 &'}]",
    );
    assert_eq!(Running::start(&place, &[]).end(), Some(0));
}

/// A durable run whose step says that it is at work and ends when it is told to.
fn durable(place: &Place) -> (Terminal, Receiver<String>) {
    let alive = place.pipe("alive");
    place.make_pipe("tell");
    let terminal = Terminal::open(place, &["run", "flow.yaml"]);
    assert_eq!(alive.recv_timeout(PATIENCE).as_deref(), Ok("up"));
    (terminal, alive)
}

const DURABLE: &str = "
name: durable
steps:
  - {id: one, type: shell, command: 'echo up > alive; read told < tell; echo one >> effects'}
  - {id: two, type: shell, command: 'echo two >> effects'}
";

/// The grace is long enough here, and what ended in it is not performed again.
#[test]
fn a_step_at_work_may_end_within_the_grace_of_the_configuration() {
    let place = Place::with_flow(DURABLE).file("spellflow.toml", "pause_grace = '1h'\n");
    let (terminal, _alive) = durable(&place);
    terminal.signal(Signal::INT);
    let grace = "steps at work have 1h00m to end";
    while !terminal.stderr.recv_timeout(PATIENCE).unwrap().contains(grace) {}
    fs::write(place.path("tell"), "on\n").unwrap();
    let (code, _, said) = terminal.end();
    assert_eq!((code, said.contains("is paused")), (Some(5), true), "{said}");
    assert_eq!(place.run(&["resume", "@last"]).code, 0);
    assert_eq!(fs::read_to_string(place.path("effects")).unwrap(), "one\ntwo\n");
}

#[test]
fn a_second_one_does_not_wait_for_the_grace_and_the_run_goes_on_later() {
    let place = Place::with_flow(DURABLE);
    let (terminal, _alive) = durable(&place);
    terminal.signal(Signal::INT);
    while !terminal.stderr.recv_timeout(PATIENCE).unwrap().contains("pausing the run") {}
    terminal.signal(Signal::INT);
    let (code, _, said) = terminal.end();
    assert_eq!((code, said.contains("spellflow resume")), (Some(130), true), "{said}");
    let alive = place.again("alive");
    let resumed = Terminal::open(&place, &["resume", "@last"]);
    assert_eq!(alive.recv_timeout(PATIENCE).as_deref(), Ok("up"));
    fs::write(place.path("tell"), "on\n").unwrap();
    assert_eq!(resumed.end().0, Some(0));
    assert_eq!(fs::read_to_string(place.path("effects")).unwrap(), "one\ntwo\n");
}
