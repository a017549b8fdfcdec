//! Tools that process data.

mod condition;
pub(crate) mod csv;
mod hash;
mod jq;
mod json_processor;
mod order;
mod path;
pub(crate) mod row_files;
mod rules;
mod schema_check;
mod schema_graph;
pub(crate) mod support;
mod transform;
mod validator;

use std::sync::Arc;

pub use rules::ExpressionEvaluator;
pub(crate) use schema_check::CompiledSchema;

use crate::{Registry, Services, ToolError};

/// Adds the data tools.
pub(crate) fn register(registry: &mut Registry, services: &Services) -> Result<(), ToolError> {
    registry.register(Arc::new(csv::CsvAnalyzer::new(services.clone())))?;
    registry.register(Arc::new(hash::HashCalculator::new(services.clone())))?;
    registry.register(Arc::new(json_processor::JsonProcessor::new(services.clone())))?;
    registry.register(Arc::new(transform::DataTransformer::new(services.clone())))?;
    registry.register(Arc::new(validator::DataValidator::new(services.clone())))?;
    registry.register(Arc::new(rules::RuleEngine::new(services.extensions.expressions.clone())))?;
    Ok(())
}
