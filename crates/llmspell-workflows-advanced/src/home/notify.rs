//! Notifies a run's owner process of messages for the run.
//!
//! The message itself is in the store. Only the run's id is sent over the loopback interface, and
//! the owner echoes it as its answer.

use std::{
    io,
    net::{Ipv4Addr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use llmspell_workflows_basic::targets;
use llmspell_workflows_state::disk::blocking;
use uuid::Uuid;

/// The maximum number of times a notification is sent, and the time to wait for an answer each
/// time.
const SENDS_MAX: u32 = 20;
const ANSWER_TIMEOUT: Duration = Duration::from_millis(50);

/// The socket on which a process is notified of messages to its runs.
#[derive(Debug)]
pub(crate) struct MessageListener {
    socket: UdpSocket,
}

/// Stops the listener's thread when dropped.
#[derive(Debug)]
pub(crate) struct ListenerGuard {
    port: u16,
    ends: Arc<AtomicBool>,
}

impl MessageListener {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { socket: UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))? })
    }

    pub(crate) fn port(&self) -> io::Result<u16> {
        Ok(self.socket.local_addr()?.port())
    }

    /// Calls `on_message` in a separate thread for each run that has a message, and answers the sender if it returns
    /// `true`. Dropping the guard stops the thread.
    pub(crate) fn listen(self, on_message: impl Fn(Uuid) -> bool + Send + 'static) -> io::Result<ListenerGuard> {
        let guard = ListenerGuard { port: self.port()?, ends: Arc::default() };
        let ends = guard.ends.clone();
        thread::Builder::new().name("spellflow-inbox".to_owned()).spawn(move || {
            let mut buffer = [0; 16];
            loop {
                let received = self.socket.recv_from(&mut buffer);
                if ends.load(Ordering::SeqCst) {
                    return;
                }
                match received {
                    Ok((16, from)) => {
                        if on_message(Uuid::from_bytes(buffer)) {
                            // The message has been handled; the sender may have exited.
                            let _ = self.socket.send_to(&buffer, from);
                        }
                    }
                    Ok(_) => {}
                    Err(error) => {
                        tracing::warn!(target: targets::RUN, %error, "cannot receive notifications of messages");
                        thread::sleep(ANSWER_TIMEOUT);
                    }
                }
            }
        })?;
        Ok(guard)
    }
}

impl Drop for ListenerGuard {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::SeqCst);
        let wake = |socket: UdpSocket| socket.send_to(&[], (Ipv4Addr::LOCALHOST, self.port));
        // If this also fails, the thread stays blocked in `recv_from`.
        let _ = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).and_then(wake);
    }
}

/// Notifies the process at `port` of a message for `run`; returns whether the process answered.
pub(super) async fn notify_holder(port: u16, run: Uuid) -> bool {
    blocking(move || notify_now(port, run).unwrap_or(false)).await
}

fn notify_now(port: u16, run: Uuid) -> io::Result<bool> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.set_read_timeout(Some(ANSWER_TIMEOUT))?;
    socket.connect((Ipv4Addr::LOCALHOST, port))?;
    let mut answer = [0; 16];
    for _ in 0..SENDS_MAX {
        socket.send(run.as_bytes())?;
        match socket.recv(&mut answer) {
            Ok(16) if answer == *run.as_bytes() => return Ok(true),
            Err(error) if !matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                return Err(error);
            }
            _ => {}
        }
    }
    Ok(false)
}
