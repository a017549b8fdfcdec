//! An HTTP API that rejects some requests at first, for `examples/api-fan-out`.
//!
//! ```console
//! $ cargo run --example flaky_api
//! ```
//!
//! Serves `/items/1` to `/items/12`. It rejects multiples of 3 once, multiples of 4 twice, and item 7 always.

mod api;

use std::{io, net::TcpListener};

fn main() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:8099")?;
    println!("listening on http://{}", listener.local_addr()?);
    api::serve(&listener, 1, |served| {
        println!("item {}: {} ({} in flight)", served.item, served.status, served.in_flight);
    });
    Ok(())
}
