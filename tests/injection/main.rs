//! Values from outside reach programs and servers unchanged, and never become part of a command or
//! a URL.
#![expect(clippy::unwrap_used, reason = "a panic fails the test")]

mod commands;
mod places;
mod refused;
mod support;
mod urls;
