//! Tools that read text, by rules and word lists: the same text always gives the same answer, and nothing leaves the
//! process.
//!
//! [`split`](sentences::split) cuts a text into sentences, [`words`] knows which words carry meaning; the rest builds
//! on the two.

mod analyzer;
mod entities;
mod keywords;
mod sentences;
mod sentiment;
mod summarizer;
mod summary;
mod vader;
mod words;

use std::sync::Arc;

use crate::{Registry, ToolError};

/// Adds the text tools.
pub(crate) fn register(registry: &mut Registry) -> Result<(), ToolError> {
    registry.register(Arc::new(summarizer::TextSummarizer::new()))?;
    registry.register(Arc::new(analyzer::SentimentAnalyzer::new()))
}
