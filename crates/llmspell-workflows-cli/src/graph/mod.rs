//! Charts of definitions, as Mermaid and Graphviz text.
//!
//! A [`Chart`] draws composites as boxes around their steps, and each output format has one file.
//! The same definition always produces the same text.

mod chart;
mod dot;
mod mermaid;

pub(crate) use chart::Chart;
use chart::{Edge, Item, Shape};
pub(crate) use dot::dot;
pub(crate) use mermaid::mermaid;
