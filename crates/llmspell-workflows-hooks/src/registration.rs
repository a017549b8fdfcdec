use std::{marker::PhantomData, sync::Arc, time::Duration};

use crate::{
    Hook, HookPoint, Point, Selector,
    breaker::{Breaker, BreakerSettings},
    hook::{ErasedHook, HookAt},
};

/// The priority of a hook. Hooks with lower numbers are called first; equal numbers are called in registration order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Priority(pub i32);

impl Priority {
    /// The hook is called before all others.
    pub const HIGHEST: Self = Self(i32::MIN);
    /// The hook is called early.
    pub const HIGH: Self = Self(-100);
    /// The default.
    pub const NORMAL: Self = Self(0);
    /// The hook is called late.
    pub const LOW: Self = Self(100);
    /// The hook is called after all others.
    pub const LOWEST: Self = Self(i32::MAX);
}

/// The default timeout of a hook.
pub const TIMEOUT_DEFAULT: Duration = Duration::from_millis(200);

/// A hook with its points and settings.
///
/// ```
/// use llmspell_workflows_hooks::{Priority, Registration, Selector, answer::After, hook_fn, point::AfterStep};
///
/// let shout = hook_fn(|context: llmspell_workflows_hooks::HookContext| async move {
///     let text = context.output().and_then(|output| output.as_str()).unwrap_or_default();
///     Ok(After::ModifyOutput(text.to_uppercase().into()))
/// });
/// let registration = Registration::new("shout")
///     .at(AfterStep, shout)
///     .select(Selector::all().kind("tool").path("/main/**"))
///     .priority(Priority::LOW);
/// # let _ = registration;
/// ```
pub struct Registration {
    pub(crate) name: String,
    pub(crate) priority: Priority,
    pub(crate) selector: Selector,
    pub(crate) required: bool,
    pub(crate) timeout: Duration,
    pub(crate) breaker: BreakerSettings,
    pub(crate) hooks: Vec<(HookPoint, Arc<dyn ErasedHook>)>,
}

impl Registration {
    /// Creates a registration called `name`, which has no hooks yet.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            priority: Priority::NORMAL,
            selector: Selector::all(),
            required: false,
            timeout: TIMEOUT_DEFAULT,
            breaker: BreakerSettings::default(),
            hooks: Vec::new(),
        }
    }

    /// Adds `hook` at `point`; all hooks of a registration share one breaker.
    #[must_use]
    pub fn at<P: Point>(mut self, point: P, hook: impl Hook<P> + 'static) -> Self {
        let _ = point;
        self.hooks.push((P::POINT, Arc::new(HookAt::<P, _>(hook, PhantomData))));
        self
    }

    /// Sets the priority.
    #[must_use]
    pub fn priority(mut self, priority: Priority) -> Self {
        self.priority = priority;
        self
    }

    /// Sets the steps that the hook is called for; all steps by default.
    #[must_use]
    pub fn select(mut self, selector: Selector) -> Self {
        self.selector = selector;
        self
    }

    /// Marks the hook as required: if it does not answer, the step fails.
    #[must_use]
    pub fn required(mut self) -> Self {
        self.required = true;
        self
    }

    /// Sets how long the hook may take to answer; 200 ms by default.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets when the hook is disabled, and for how long.
    #[must_use]
    pub fn breaker(mut self, breaker: BreakerSettings) -> Self {
        self.breaker = breaker;
        self
    }
}

/// A registration in a dispatcher.
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) priority: Priority,
    pub(crate) selector: Selector,
    pub(crate) required: bool,
    pub(crate) timeout: Duration,
    pub(crate) breaker: Breaker,
}

/// One hook of a registration, at one point.
#[derive(Clone)]
pub(crate) struct Member {
    pub(crate) entry: Arc<Entry>,
    pub(crate) hook: Arc<dyn ErasedHook>,
}
