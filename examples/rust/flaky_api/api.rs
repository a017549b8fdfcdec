//! An HTTP API that rejects some requests at first.

use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

/// The maximum time that the first requests wait for each other.
const GATHERING_MAX: Duration = Duration::from_secs(30);

/// An answered request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AnsweredRequest {
    /// The requested item.
    pub(crate) item: u32,
    /// The status of the response.
    pub(crate) status: u16,
    /// The number of requests in flight, including this one.
    pub(crate) in_flight: usize,
}

/// Answers `GET /items/N` on `listener` forever, and calls `on_answer` for each response.
///
/// The first `together` requests are answered only after all of them have arrived.
pub(crate) fn serve(
    listener: &TcpListener,
    together: usize,
    on_answer: impl Fn(AnsweredRequest) + Send + Sync + 'static,
) {
    let api = Arc::new(Api {
        together,
        arrived: Mutex::default(),
        all_arrived: Condvar::new(),
        in_flight: AtomicUsize::new(0),
        asked: Mutex::default(),
        on_answer,
    });
    for stream in listener.incoming().map_while(Result::ok) {
        let api = api.clone();
        // Errors are ignored, because they mean that the client has disconnected.
        thread::spawn(move || drop(api.answer(stream)));
    }
}

struct Api<S> {
    together: usize,
    arrived: Mutex<usize>,
    all_arrived: Condvar,
    in_flight: AtomicUsize,
    asked: Mutex<HashMap<u32, u32>>,
    on_answer: S,
}

impl<S: Fn(AnsweredRequest)> Api<S> {
    fn answer(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let in_flight = self.in_flight.fetch_add(1, Ordering::SeqCst) + 1;
        let mut lines = BufReader::new(&stream).lines();
        let request = lines.next().transpose()?.unwrap_or_default();
        lines.map_while(Result::ok).take_while(|line| !line.is_empty()).for_each(drop);
        self.gather();
        let item = request.split(['/', ' ']).find_map(|part| part.parse().ok()).unwrap_or(0);
        let count = *lock(&self.asked).entry(item).and_modify(|count| *count += 1).or_insert(1);
        let (status, body) = reply(item, count);
        (self.on_answer)(AnsweredRequest { item, status, in_flight });
        self.in_flight.fetch_sub(1, Ordering::SeqCst);
        write!(
            stream,
            "HTTP/1.1 {status} \r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        )
    }

    /// Waits until the first `together` requests have arrived.
    fn gather(&self) {
        let mut arrived = lock(&self.arrived);
        *arrived += 1;
        self.all_arrived.notify_all();
        let waited = self.all_arrived.wait_timeout_while(arrived, GATHERING_MAX, |arrived| *arrived < self.together);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }
}

/// Returns the status and body of the response to the `count`th request for `item`.
fn reply(item: u32, count: u32) -> (u16, String) {
    let rejections = match item {
        7 => u32::MAX,
        _ if item.is_multiple_of(4) => 2,
        _ if item.is_multiple_of(3) => 1,
        _ => 0,
    };
    if count <= rejections {
        return (if count == 1 { 429 } else { 503 }, r#"{"error": "try again later"}"#.to_owned());
    }
    match item {
        1..=12 => (200, format!(r#"{{"id": {item}, "name": "item {item}"}}"#)),
        _ => (404, r#"{"error": "no such item"}"#.to_owned()),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
