use std::time::{Duration, Instant};

use html5ever::driver::{ParseOpts, parse_document};
use html5ever::tendril::{StrTendril, TendrilSink};
use scraper::{Html, HtmlTreeSink};
use tokio_util::sync::CancellationToken;

use crate::{ToolError, ToolErrorClass};

/// How much is parsed between two looks at the clock, in bytes.
const CHUNK_BYTES: usize = 4 * 1024;
/// How long work on one page may take.
const TIME_MAX: Duration = Duration::from_secs(10);

/// When work on a page ends early.
///
/// The parser's work for a tag grows with the depth at which it stands, and selectors match within matches; so a page of
/// a few megabytes of start tags would keep a thread busy for hours.
#[derive(Debug, Clone)]
pub(super) struct Stop {
    deadline: Instant,
    cancellation: CancellationToken,
}

impl Stop {
    /// Stops when the call is cancelled, and at the latest when a page may take no longer.
    pub(super) fn new(cancellation: CancellationToken) -> Self {
        Self { deadline: Instant::now() + TIME_MAX, cancellation }
    }

    /// Whether work may go on.
    pub(super) fn check(&self) -> Result<(), ToolError> {
        if self.cancellation.is_cancelled() {
            return Err(ToolError::cancelled());
        }
        if Instant::now() < self.deadline {
            return Ok(());
        }
        let message = format!("the page takes more than {} s to read; its elements nest too deep", TIME_MAX.as_secs());
        Err(ToolError::new(ToolErrorClass::Limit, "page_too_complex", message))
    }
}

/// Parses a page; malformed ones are read as browsers read them.
pub(super) fn parse(text: &str, stop: &Stop) -> Result<Html, ToolError> {
    let mut parser = parse_document(HtmlTreeSink::new(Html::new_document()), ParseOpts::default());
    let mut rest = text;
    while !rest.is_empty() {
        stop.check()?;
        let (chunk, after) = rest.split_at(rest.floor_char_boundary(CHUNK_BYTES));
        parser.process(StrTendril::from(chunk));
        rest = after;
    }
    Ok(parser.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_make_the_same_page() {
        let text = "<p title=\"é\">Grüße &amp; <b>mehr</b></p>".repeat(1_000);
        let page = parse(&text, &Stop::new(CancellationToken::new())).unwrap();
        assert_eq!(page.html(), Html::parse_document(&text).html());
    }

    #[test]
    fn a_page_nested_without_end_is_given_up() {
        let stop = Stop { deadline: Instant::now() + Duration::from_millis(20), ..Stop::new(CancellationToken::new()) };
        let error = parse(&"<div>".repeat(2_000_000), &stop).unwrap_err();
        assert_eq!((error.class, error.code), (ToolErrorClass::Limit, "page_too_complex"));
    }

    #[test]
    fn a_cancelled_call_parses_nothing() {
        let stop = Stop::new(CancellationToken::new());
        stop.cancellation.cancel();
        assert_eq!(parse("<p>", &stop).unwrap_err().class, ToolErrorClass::Cancelled);
    }
}
