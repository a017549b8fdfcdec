//! A step's processes are stopped by Ctrl-C, by a timeout and when the step ends.

use std::{
    fs,
    io::Read,
    net::TcpListener,
    process::{Child, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError},
};

use rustix::process::{Pid, Signal, kill_process};

use serde_json::json;

use crate::support::{CommandOutput, Sandbox, TIMEOUT, Terminal, exit_code, lines};

/// Returns a definition whose step starts a background process. The pipe `alive` stays open while
/// the process or its shell is running.
fn flow(before: &str) -> String {
    format!(
        "name: long\nsteps:\n  - id: wait\n    type: shell\n    command: |\n      exec 3>alive\n      {before}\n      sleep 1000 &\n      echo up >&3\n      wait\n      sleep 1000\n"
    )
}

struct RunningCommand {
    child: Child,
    alive: Receiver<String>,
    stderr: Receiver<String>,
}

impl RunningCommand {
    /// Starts the run and waits until its step is running.
    fn start(sandbox: &Sandbox, arguments: &[&str]) -> Self {
        let alive = sandbox.pipe("alive");
        let mut command = sandbox.command(&[&["run", "flow.yaml"], arguments].concat());
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let stderr = child.stderr.take().unwrap();
        assert_eq!(alive.recv_timeout(TIMEOUT).as_deref(), Ok("up"));
        Self { child, alive, stderr: lines(move || stderr) }
    }

    fn interrupt(&self) {
        let pid = Pid::from_raw(self.child.id().cast_signed()).unwrap();
        kill_process(pid, Signal::INT).unwrap();
    }

    /// Waits for a line that contains `part`.
    fn wait_for(&self, part: &str) {
        while !self.stderr.recv_timeout(TIMEOUT).unwrap_or_else(|_| panic!("no line contains `{part}`")).contains(part)
        {
        }
    }

    /// Waits until all processes of the step have ended, and returns the exit code.
    fn end(self) -> Option<i32> {
        let code = exit_code(self.child);
        assert_eq!(
            self.alive.recv_timeout(TIMEOUT),
            Err(RecvTimeoutError::Disconnected),
            "a process of the step is still running"
        );
        code
    }
}

#[test]
fn first_ctrl_c_stops_the_run_and_its_processes() {
    let sandbox = Sandbox::with_flow(&flow(":"));
    let running = RunningCommand::start(&sandbox, &["--in-memory"]);
    running.interrupt();
    running.wait_for("stopping the in-memory run");
    running.wait_for("cancelled long");
    assert_eq!(running.end(), Some(130));
}

#[test]
fn second_ctrl_c_stops_immediately() {
    let sandbox = Sandbox::with_flow(&flow("trap '' TERM"));
    let running = RunningCommand::start(&sandbox, &["--in-memory"]);
    running.interrupt();
    running.wait_for("stopping the in-memory run");
    running.interrupt();
    running.wait_for("stopped immediately");
    assert_eq!(running.end(), Some(130));
}

/// The server receives the request and never responds.
#[test]
fn ctrl_c_interrupts_a_tool_call() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap().to_string();
    let input = format!("input=http://{address}/");
    let sandbox = Sandbox::new();
    let mut command = sandbox.command(&["tools", "call", "http_requester", "-o", "json", "-i", &input]);
    command.env("SPELLFLOW_TOOLS_HOSTS", &address).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    let (mut connection, _) = server.accept().unwrap();
    connection.read_exact(&mut [0]).unwrap();
    kill_process(Pid::from_raw(child.id().cast_signed()).unwrap(), Signal::INT).unwrap();
    let ended = CommandOutput::new(child.wait_with_output().unwrap());
    assert_eq!((ended.code, &ended.json()["error"]["code"]), (130, &json!("interrupted")));
}

#[test]
fn timeout_kills_the_processes_of_a_step() {
    let sandbox = Sandbox::with_flow(&flow(":"));
    assert_eq!(RunningCommand::start(&sandbox, &["--timeout", "1s"]).end(), Some(6));
}

#[test]
fn background_processes_end_with_their_step() {
    let sandbox = Sandbox::with_flow(
        "name: x\nsteps: [{id: a, type: shell, command: 'exec 3>alive; echo up >&3; sleep 1000 >/dev/null 2>&1 &'}]",
    );
    assert_eq!(RunningCommand::start(&sandbox, &[]).end(), Some(0));
}

/// Starts a durable run whose step reports that it is running and waits for a line from the pipe `tell`.
fn durable(sandbox: &Sandbox) -> (Terminal, Receiver<String>) {
    let alive = sandbox.pipe("alive");
    sandbox.make_pipe("tell");
    let terminal = Terminal::open(sandbox, &["run", "flow.yaml"]);
    assert_eq!(alive.recv_timeout(TIMEOUT).as_deref(), Ok("up"));
    (terminal, alive)
}

const DURABLE: &str = "
name: durable
steps:
  - {id: one, type: shell, command: 'echo up > alive; read told < tell; echo one >> effects'}
  - {id: two, type: shell, command: 'echo two >> effects'}
";

/// If the grace period is long enough, the step completes and does not run again on resume.
#[test]
fn running_step_can_finish_within_the_grace_period() {
    let sandbox = Sandbox::with_flow(DURABLE).file("spellflow.toml", "pause_grace = '1h'\n");
    let (terminal, _alive) = durable(&sandbox);
    terminal.signal(Signal::INT);
    let grace = "running steps have 1h00m to finish";
    while !terminal.stderr.recv_timeout(TIMEOUT).unwrap().contains(grace) {}
    fs::write(sandbox.path("tell"), "on\n").unwrap();
    let (code, _, stderr) = terminal.end();
    assert_eq!((code, stderr.contains("is paused")), (Some(5), true), "{stderr}");
    assert_eq!(sandbox.run(&["resume", "@last"]).code, 0);
    assert_eq!(fs::read_to_string(sandbox.path("effects")).unwrap(), "one\ntwo\n");
}

#[test]
fn run_can_be_resumed_after_a_second_ctrl_c_skips_the_grace_period() {
    let sandbox = Sandbox::with_flow(DURABLE);
    let (terminal, _alive) = durable(&sandbox);
    terminal.signal(Signal::INT);
    while !terminal.stderr.recv_timeout(TIMEOUT).unwrap().contains("pausing the run") {}
    terminal.signal(Signal::INT);
    let (code, _, stderr) = terminal.end();
    assert_eq!((code, stderr.contains("spellflow resume")), (Some(130), true), "{stderr}");
    let alive = sandbox.open_pipe("alive");
    let resumed = Terminal::open(&sandbox, &["resume", "@last"]);
    assert_eq!(alive.recv_timeout(TIMEOUT).as_deref(), Ok("up"));
    fs::write(sandbox.path("tell"), "on\n").unwrap();
    assert_eq!(resumed.end().0, Some(0));
    assert_eq!(fs::read_to_string(sandbox.path("effects")).unwrap(), "one\ntwo\n");
}
