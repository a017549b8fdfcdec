use std::{marker::PhantomData, sync::Arc, time::Duration};

use crate::{
    Hook, HookPoint, Point, Selector,
    breaker::{Breaker, BreakerSettings},
    hook::{At, Erased},
};

/// How early a hook is called: the lowest number first, and of equal ones the first that was registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Priority(pub i32);

impl Priority {
    /// Before all others.
    pub const HIGHEST: Self = Self(i32::MIN);
    /// Early.
    pub const HIGH: Self = Self(-100);
    /// As most.
    pub const NORMAL: Self = Self(0);
    /// Late.
    pub const LOW: Self = Self(100);
    /// After all others.
    pub const LOWEST: Self = Self(i32::MAX);
}

/// How long a hook has for its answer unless its registration says otherwise.
pub const TIMEOUT_DEFAULT: Duration = Duration::from_millis(200);

/// A hook with where it stands and how it is treated.
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
    pub(crate) hooks: Vec<(HookPoint, Arc<dyn Erased>)>,
}

impl Registration {
    /// A hook called `name`, which stands nowhere yet.
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

    /// Puts `hook` at `point`; all hooks of one registration share its breaker.
    #[must_use]
    pub fn at<P: Point>(mut self, point: P, hook: impl Hook<P> + 'static) -> Self {
        let _ = point;
        self.hooks.push((P::POINT, Arc::new(At::<P, _>(hook, PhantomData))));
        self
    }

    /// How early it is called.
    #[must_use]
    pub fn priority(mut self, priority: Priority) -> Self {
        self.priority = priority;
        self
    }

    /// Which steps it concerns; all by default.
    #[must_use]
    pub fn select(mut self, selector: Selector) -> Self {
        self.selector = selector;
        self
    }

    /// What it stands at does not happen without its answer: where it fails, the step does.
    #[must_use]
    pub fn required(mut self) -> Self {
        self.required = true;
        self
    }

    /// How long it has for its answer; 200 ms by default.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// When it is cut off, and for how long.
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

/// A hook of a registration at one point.
#[derive(Clone)]
pub(crate) struct Member {
    pub(crate) entry: Arc<Entry>,
    pub(crate) hook: Arc<dyn Erased>,
}
