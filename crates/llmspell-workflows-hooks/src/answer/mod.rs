//! What hooks answer: a type for each group of points, so that only what fits a point can be said there.
//!
//! `Continue` leaves things as they are and lets the next hook speak. What modifies lets the next hook speak too, about
//! the modified data. Everything else ends the question.
//!
//! What does not fit does not compile:
//!
//! ```compile_fail,E0271
//! use llmspell_workflows_hooks::{HookContext, Registration, answer::Before, hook_fn, point::AfterStep};
//!
//! // A step that has completed cannot be skipped any more.
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

/// What hooks at some point may answer.
pub trait Answer: Into<Verdict> + Send + 'static {
    /// That things stay as they are.
    const CONTINUE: Self;
}

/// When and how often to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Again {
    /// How long to wait first.
    pub delay: Duration,
    /// How often the step is entered again over this answer, at most.
    pub attempts: u32,
}

impl Again {
    /// Once more, at once.
    #[must_use]
    pub fn once() -> Self {
        Self { delay: Duration::ZERO, attempts: 1 }
    }
}

/// Makes an answer type out of its variants, each with the verdict that it stands for.
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
            /// Leaves things as they are.
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
