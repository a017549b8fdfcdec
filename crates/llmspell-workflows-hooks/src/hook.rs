use std::{fmt, marker::PhantomData, sync::Arc};

use async_trait::async_trait;
use futures_util::future::BoxFuture;

use crate::{HookContext, Point, Verdict};

/// Code of a user at a point of a run, which may change its course.
///
/// One type can be a hook at several points. It must not block its thread: one that does is reported and left behind.
///
/// ```
/// use async_trait::async_trait;
/// use llmspell_workflows_hooks::{Hook, HookContext, HookError, answer::Before, point::BeforeToolExecution};
///
/// struct NoDeleting;
///
/// #[async_trait]
/// impl Hook<BeforeToolExecution> for NoDeleting {
///     async fn call(&self, context: &HookContext) -> Result<Before, HookError> {
///         let input = context.input()?.unwrap_or_default();
///         Ok(match input["operation"] == "delete" {
///             true => Before::Cancel("nothing is deleted here".into()),
///             false => Before::Continue,
///         })
///     }
/// }
/// ```
#[async_trait]
pub trait Hook<P: Point>: Send + Sync {
    /// Answers what becomes of what `context` describes.
    async fn call(&self, context: &HookContext) -> Result<P::Answer, HookError>;
}

#[async_trait]
impl<P: Point, H: Hook<P> + ?Sized> Hook<P> for Arc<H> {
    async fn call(&self, context: &HookContext) -> Result<P::Answer, HookError> {
        (**self).call(context).await
    }
}

/// Makes a hook of an async closure.
pub fn hook_fn<F>(function: F) -> HookFn<F> {
    HookFn(function)
}

/// A hook that is a closure; see [`hook_fn`].
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

/// Why a hook could not answer; any error becomes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookError(String);

impl HookError {
    /// An error with this message.
    pub fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }

    /// The stable code, which has a page.
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

/// A hook at some point, whose answer has become a verdict.
pub(crate) trait Erased: Send + Sync {
    fn call<'a>(&'a self, context: &'a HookContext) -> BoxFuture<'a, Result<Verdict, HookError>>;
}

/// A hook as one at the point `P`.
pub(crate) struct At<P, H>(pub(crate) H, pub(crate) PhantomData<fn() -> P>);

impl<P: Point, H: Hook<P>> Erased for At<P, H> {
    fn call<'a>(&'a self, context: &'a HookContext) -> BoxFuture<'a, Result<Verdict, HookError>> {
        Box::pin(async move { self.0.call(context).await.map(Into::into) })
    }
}
