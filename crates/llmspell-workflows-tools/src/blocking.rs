use crate::{ToolError, ToolErrorClass};

/// Does work that blocks its thread (files, long computations) on the runtime's threads for that.
///
/// A panic in `work` is an error of the tool. It cannot be interrupted: work that may take long gets the call's token
/// and looks at it.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ToolError> + Send + 'static,
) -> Result<T, ToolError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) if error.is_panic() => {
            let panic = error.into_panic();
            let message = panic.downcast_ref::<&str>().copied().map(str::to_owned);
            let message = message.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
            Err(ToolError::new(ToolErrorClass::Validation, "tool_panicked", format!("the tool panicked: {message}")))
        }
        // The runtime shuts down.
        Err(_) => Err(ToolError::cancelled()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_an_error() {
        let error = blocking::<()>(|| panic!("index {} out of range", 7)).await.unwrap_err();
        assert_eq!(error.code, "tool_panicked");
        assert!(error.message.contains("index 7 out of range"), "{error}");
    }
}
