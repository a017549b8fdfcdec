use std::time::{Duration, Instant};

use html5ever::driver::{ParseOpts, parse_document};
use html5ever::tendril::{StrTendril, TendrilSink};
use scraper::{Html, HtmlTreeSink};
use tokio_util::sync::CancellationToken;

use crate::{ToolError, ToolErrorClass};

/// The number of bytes parsed between two checks of the limits.
const CHUNK_BYTES: usize = 4 * 1024;
/// The time limit for processing a page.
const TIME_MAX: Duration = Duration::from_secs(10);

/// Limits the time spent on a page.
///
/// The parser's work for a tag grows with its nesting depth, and selectors match inside other matches, so a few
/// megabytes of start tags could keep a thread busy for hours.
#[derive(Debug, Clone)]
pub(super) struct WorkLimit {
    deadline: Instant,
    cancellation: CancellationToken,
}

impl WorkLimit {
    /// Creates a limit that stops the work when the call is cancelled or the time limit for a page is exceeded.
    pub(super) fn new(cancellation: CancellationToken) -> Self {
        Self { deadline: Instant::now() + TIME_MAX, cancellation }
    }

    /// Fails if the work must stop.
    pub(super) fn check(&self) -> Result<(), ToolError> {
        if self.cancellation.is_cancelled() {
            return Err(ToolError::cancelled());
        }
        if Instant::now() < self.deadline {
            return Ok(());
        }
        let message =
            format!("processing the page takes more than {} s; its elements are nested too deeply", TIME_MAX.as_secs());
        Err(ToolError::new(ToolErrorClass::Limit, "page_too_complex", message))
    }
}

/// Parses a page; malformed pages are parsed as browsers parse them.
pub(super) fn parse(text: &str, limit: &WorkLimit) -> Result<Html, ToolError> {
    let mut parser = parse_document(HtmlTreeSink::new(Html::new_document()), ParseOpts::default());
    let mut rest = text;
    while !rest.is_empty() {
        limit.check()?;
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
    fn parsing_in_chunks_produces_the_same_page() {
        let text = "<p title=\"é\">Grüße &amp; <b>mehr</b></p>".repeat(1_000);
        let page = parse(&text, &WorkLimit::new(CancellationToken::new())).unwrap();
        assert_eq!(page.html(), Html::parse_document(&text).html());
    }

    #[test]
    fn a_deeply_nested_page_is_rejected() {
        let deadline = Instant::now() + Duration::from_millis(20);
        let limit = WorkLimit { deadline, ..WorkLimit::new(CancellationToken::new()) };
        let error = parse(&"<div>".repeat(2_000_000), &limit).unwrap_err();
        assert_eq!((error.class, error.code), (ToolErrorClass::Limit, "page_too_complex"));
    }

    #[test]
    fn parsing_stops_when_the_call_is_cancelled() {
        let limit = WorkLimit::new(CancellationToken::new());
        limit.cancellation.cancel();
        assert_eq!(parse("<p>", &limit).unwrap_err().class, ToolErrorClass::Cancelled);
    }
}
