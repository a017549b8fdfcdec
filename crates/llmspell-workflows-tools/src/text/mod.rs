//! Tools that analyze text with rules and word lists. The same text always produces the same result, and no data leaves
//! the process.
//!
//! [`split`](sentences::split) splits a text into sentences, and [`words`] distinguishes meaningful words from function
//! words; everything else builds on these two modules.

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
