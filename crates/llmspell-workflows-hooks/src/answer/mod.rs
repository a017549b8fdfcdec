//! The answers of hooks. Each group of points has its own answer type.
//!
//! `Continue` changes nothing, and the next hook is called. After an answer that modifies data, the next hook is called
//! with the modified data. Every other answer is final: no further hooks at the point are called.
//!
//! An answer that does not fit the point does not compile:
//!
//! ```compile_fail,E0271
//! use llmspell_workflows_hooks::{HookContext, Registration, answer::Before, hook_fn, point::AfterStep};
//!
//! // A completed step can no longer be skipped.
//! let late = hook_fn(|_: HookContext| async { Ok(Before::Skip("too late".into())) });
//! Registration::new("late").at(AfterStep, late);
//! ```

mod around;
mod choice;
mod verdict;

use std::time::Duration;

pub use around::{After, AfterIteration, Before, BeforeBlock, CacheEntry, OnError, OnRunError};
pub use choice::{Observe, OnBranch, OnCondition, OnConflict, OnItems, OnRetry, OnSkip, OnTransition, OnWrite, Permit};
pub use verdict::{Course, Verdict};

/// The answers that hooks at a point can give.
pub trait Answer: Into<Verdict> + Send + 'static {
    /// The answer that changes nothing.
    const CONTINUE: Self;
}

/// When and how often to run a step again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HookRetry {
    /// The delay before the step runs again.
    pub delay: Duration,
    /// The maximum number of times that this answer makes the step run again.
    pub attempts: u32,
}

impl HookRetry {
    /// Runs the step again once, without a delay.
    #[must_use]
    pub fn once() -> Self {
        Self { delay: Duration::ZERO, attempts: 1 }
    }
}

/// Defines an answer type from a list of variants and their verdicts.
macro_rules! answer {
    (
        $(#[doc = $doc:literal])+ $name:ident {
            $($(#[doc = $text:literal])+ $variant:ident $(($field:ident: $ty:ty))? => $verdict:expr;)*
        }
    ) => {
        $(#[doc = $doc])+
        #[derive(Debug, Clone, PartialEq)]
        #[non_exhaustive]
        pub enum $name {
            /// Changes nothing.
            Continue,
            $($(#[doc = $text])+ $variant $(($ty))?,)*
        }

        impl $crate::answer::Answer for $name {
            const CONTINUE: Self = Self::Continue;
        }

        impl From<$name> for $crate::answer::Verdict {
            fn from(answer: $name) -> Self {
                match answer {
                    $name::Continue => Self::default(),
                    $($name::$variant $(($field))? => $verdict,)*
                }
            }
        }
    };
}
use answer;
