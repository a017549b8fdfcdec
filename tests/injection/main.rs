//! Values from outside reach programs and servers exactly as they are, and never become a part of a command or of a URL.
#![expect(clippy::unwrap_used, reason = "a panic fails the test")]

mod commands;
mod places;
mod refused;
mod support;
mod urls;
