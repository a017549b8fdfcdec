//! Runs the service of `axum_service.rs` as a process and sends requests to it.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// How long tests wait for an expected event.
const TIMEOUT: Duration = Duration::from_secs(30);

pub(crate) struct Service {
    process: Child,
    lines: Receiver<String>,
    address: String,
    /// The lines printed before the service started to listen.
    pub(crate) printed: Vec<String>,
}

impl Service {
    /// Starts a service with its store in `folder`, and waits until it listens.
    pub(crate) fn start(folder: &Path) -> Self {
        let mut command = Command::new(crate::program("axum_service"));
        let mut process = command.arg("127.0.0.1:0").arg(folder).stdout(Stdio::piped()).spawn().unwrap();
        let stdout = process.stdout.take().unwrap();
        let (sender, lines) = channel();
        thread::spawn(move || {
            let lines = BufReader::new(stdout).lines().map_while(Result::ok);
            lines.map_while(|line| sender.send(line).ok()).for_each(drop);
        });
        let mut service = Self { process, lines, address: String::new(), printed: Vec::new() };
        while service.address.is_empty() {
            let line = service.lines.recv_timeout(TIMEOUT).unwrap();
            match line.strip_prefix("listening on http://") {
                Some(address) => address.clone_into(&mut service.address),
                None => service.printed.push(line),
            }
        }
        service
    }

    pub(crate) fn get(&self, path: &str) -> (u16, Value) {
        self.request("GET", path, "")
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        self.request("POST", path, &body.to_string())
    }

    /// Sends a request; returns the status and the JSON body of the response.
    fn request(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            self.address,
            body.len()
        )
        .unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).unwrap();
        let (head, body) = response.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, serde_json::from_str(body).unwrap_or_default())
    }

    /// Waits until the run has the status `status`, and returns the run.
    pub(crate) fn until(&self, run: &str, status: &str) -> Value {
        let deadline = Instant::now() + TIMEOUT;
        loop {
            let (_, shown) = self.get(&format!("/orders/{run}"));
            if shown["status"] == status {
                return shown;
            }
            assert!(Instant::now() < deadline, "the run is not {status}: {shown}");
            thread::yield_now();
        }
    }

    /// Stops the service with SIGTERM; returns the exit code and the lines printed since it started to listen.
    pub(crate) fn stop(self) -> (Option<i32>, Vec<String>) {
        kill_process(Pid::from_raw(self.process.id().cast_signed()).unwrap(), Signal::TERM).unwrap();
        self.wait()
    }

    /// Kills the service; returns the lines printed since it started to listen.
    pub(crate) fn kill(mut self) -> Vec<String> {
        self.process.kill().unwrap();
        self.wait().1
    }

    /// Waits for the service to exit; returns the exit code and the lines printed since it started
    /// to listen.
    fn wait(mut self) -> (Option<i32>, Vec<String>) {
        let mut printed = Vec::new();
        loop {
            match self.lines.recv_timeout(TIMEOUT) {
                Ok(line) => printed.push(line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("the service did not end in time"),
            }
        }
        (self.process.wait().unwrap().code(), printed)
    }
}

/// Kills the service, so that a failing test does not leave it running.
impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
