//! Built-in hooks.

mod capture;
mod logging;
mod metrics;
mod rate_limit;

pub use capture::{Capture, CapturedStep};
pub use logging::Logging;
pub use metrics::{Histogram, Metrics, StepMetrics};
pub use rate_limit::RateLimit;
