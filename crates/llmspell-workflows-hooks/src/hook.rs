use std::{fmt, marker::PhantomData, sync::Arc};

use async_trait::async_trait;
use futures_util::future::BoxFuture;

use crate::{HookContext, Point, Verdict};

/// User code that is called at a point in a run and may change the course of the run.
///
/// One type can be a hook at several points. A hook must not block its thread; a blocking hook is
/// reported and abandoned.
///
/// ```
/// use async_trait::async_trait;
/// use llmspell_workflows_hooks::{Hook, HookContext, HookError, answer::Before, point::BeforeToolExecution};
///
/// struct DenyDelete;
///
/// #[async_trait]
/// impl Hook<BeforeToolExecution> for DenyDelete {
///     async fn call(&self, context: &HookContext) -> Result<Before, HookError> {
///         let input = context.input()?.unwrap_or_default();
///         Ok(match input["operation"] == "delete" {
///             true => Before::Cancel("deleting is not allowed".into()),
///             false => Before::Continue,
///         })
///     }
/// }
/// ```
#[async_trait]
pub trait Hook<P: Point>: Send + Sync {
    /// Returns the hook's answer for the point that `context` describes.
    async fn call(&self, context: &HookContext) -> Result<P::Answer, HookError>;
}

#[async_trait]
impl<P: Point, H: Hook<P> + ?Sized> Hook<P> for Arc<H> {
    async fn call(&self, context: &HookContext) -> Result<P::Answer, HookError> {
        (**self).call(context).await
    }
}

/// Creates a hook from an async closure.
pub fn hook_fn<F>(function: F) -> HookFn<F> {
    HookFn(function)
}

/// A hook made from a closure; see [`hook_fn`].
pub struct HookFn<F>(F);

#[async_trait]
impl<P, F, Fut> Hook<P> for HookFn<F>
where
    P: Point,
    F: Fn(HookContext) -> Fut + Send + Sync,
    Fut: Future<Output = Result<P::Answer, HookError>> + Send,
{
    async fn call(&self, context: &HookContext) -> Result<P::Answer, HookError> {
        (self.0)(context.clone()).await
    }
}

/// The reason why a hook could not answer. Any error type converts into a `HookError`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookError(String);

impl HookError {
    /// Creates an error with this message.
    pub fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }

    /// Returns the stable error code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        "hook_failed"
    }
}

impl fmt::Display for HookError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<E: std::error::Error> From<E> for HookError {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

/// A hook whose point type is erased: its answers are converted into verdicts.
///
/// Most answers change nothing. They become `None`, which is cheaper to pass on.
pub(crate) trait ErasedHook: Send + Sync {
    fn call<'a>(&'a self, context: &'a HookContext) -> BoxFuture<'a, Result<Option<Box<Verdict>>, HookError>>;
}

/// A hook at the point `P`.
pub(crate) struct HookAt<P, H>(pub(crate) H, pub(crate) PhantomData<fn() -> P>);

impl<P: Point, H: Hook<P>> ErasedHook for HookAt<P, H> {
    fn call<'a>(&'a self, context: &'a HookContext) -> BoxFuture<'a, Result<Option<Box<Verdict>>, HookError>> {
        Box::pin(async move {
            let verdict: Verdict = self.0.call(context).await?.into();
            Ok((!verdict.is_continue()).then(|| Box::new(verdict)))
        })
    }
}
