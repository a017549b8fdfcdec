//! Problems in a document, their locations, and how they are displayed.

mod align;
mod diagnostic;
mod finding;
mod positions;
mod render;
mod source;

pub(crate) use align::Inside;
pub use diagnostic::{Diagnostic, Diagnostics};
pub(crate) use finding::{Finding, Findings};
pub(crate) use positions::{At, Mark, Positions};
pub use render::Style;
pub(crate) use source::Source;
