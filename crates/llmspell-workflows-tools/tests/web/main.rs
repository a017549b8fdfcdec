//! Tests that call the web tools against a server on the loopback interface.
#![cfg(feature = "web")]
#![expect(clippy::unwrap_used, reason = "a panic fails the test")]

mod golden;
mod limits;
mod requester;
mod research;
mod scraper;
mod search;
mod support;
mod tester;
