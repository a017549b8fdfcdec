//! How a process is told that there is a message for a run of its.
//!
//! The message itself is in the store; what goes over the loopback is the run's id alone, and comes back as the answer.

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

use llmspell_workflows_state::disk::blocking;
use uuid::Uuid;

/// How often one rings, and how long one waits for the answer each time.
const RINGS: u32 = 20;
const ANSWER: Duration = Duration::from_millis(50);

/// Where a process hears that a run of its has a message.
#[derive(Debug)]
pub(crate) struct Bell {
    socket: UdpSocket,
}

/// Ends the thread that hears a bell.
#[derive(Debug)]
pub(crate) struct Ringer {
    port: u16,
    ends: Arc<AtomicBool>,
}

impl Bell {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { socket: UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))? })
    }

    pub(crate) fn port(&self) -> io::Result<u16> {
        Ok(self.socket.local_addr()?.port())
    }

    /// Calls `rung` with each run that has a message, in a thread that ends with the ringer.
    pub(crate) fn hear(self, rung: impl Fn(Uuid) + Send + 'static) -> io::Result<Ringer> {
        let ringer = Ringer { port: self.port()?, ends: Arc::default() };
        let ends = ringer.ends.clone();
        thread::Builder::new().name("spellflow-inbox".to_owned()).spawn(move || {
            let mut buffer = [0; 16];
            loop {
                let heard = self.socket.recv_from(&mut buffer);
                if ends.load(Ordering::SeqCst) {
                    return;
                }
                match heard {
                    Ok((16, from)) => {
                        rung(Uuid::from_bytes(buffer));
                        // By now it is obeyed; the one who rang may be gone.
                        let _ = self.socket.send_to(&buffer, from);
                    }
                    Ok(_) => {}
                    Err(error) => {
                        tracing::warn!(target: "spellflow", %error, "messages to runs of this process are not heard");
                        thread::sleep(ANSWER);
                    }
                }
            }
        })?;
        Ok(ringer)
    }
}

impl Drop for Ringer {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::SeqCst);
        let wake = |socket: UdpSocket| socket.send_to(&[], (Ipv4Addr::LOCALHOST, self.port));
        // Where even this fails the thread is left to itself, and waits.
        let _ = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).and_then(wake);
    }
}

/// Tells the process that answers at `port` that `run` has a message; whether it answers.
pub(super) async fn ring(port: u16, run: Uuid) -> bool {
    blocking(move || ring_now(port, run).unwrap_or(false)).await
}

fn ring_now(port: u16, run: Uuid) -> io::Result<bool> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    socket.set_read_timeout(Some(ANSWER))?;
    socket.connect((Ipv4Addr::LOCALHOST, port))?;
    let mut answer = [0; 16];
    for _ in 0..RINGS {
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
