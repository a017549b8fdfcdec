//! An HTTP API that refuses some requests at first, for `examples/api-fan-out`.
//!
//! ```console
//! $ cargo run --example flaky_api
//! ```
//!
//! `/items/1` to `/items/12` are there. Multiples of 3 and of 4 are refused once and twice, item 7 always.

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
