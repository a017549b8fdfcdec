use std::path::PathBuf;

use crate::data::support::invalid;
use crate::{Policy, SandboxPath, ToolError};

/// The canonical paths of all roots, which no tool may delete or move.
pub(super) struct Roots(Vec<PathBuf>);

impl Roots {
    /// Resolves the roots of `policy`.
    pub(super) fn of(policy: &Policy) -> Self {
        let base = policy.working_directory.clone().unwrap_or_default();
        let roots = policy.read_roots.iter().chain(&policy.write_roots);
        Self(roots.filter_map(|root| base.join(root).canonicalize().ok()).collect())
    }

    /// Fails if the directory is a root or contains a root.
    pub(super) fn check(&self, folder: &SandboxPath, action: &str) -> Result<(), ToolError> {
        let path = folder.real_path()?;
        if self.0.iter().any(|root| root.starts_with(&path)) {
            let message = format!("`{}` cannot be {action}: it is a root of the policy or contains one", folder.path());
            return Err(invalid("path_is_root", message));
        }
        if folder.relative().file_name().is_none() {
            let message = format!("`{}` ends with `..`; name the directory itself", folder.path());
            return Err(invalid("invalid_path", message));
        }
        Ok(())
    }
}
