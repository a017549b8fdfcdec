use std::path::PathBuf;

use crate::data::support::invalid;
use crate::{Located, Policy, ToolError};

/// The places of all roots, which no tool deletes or moves.
pub(super) struct Roots(Vec<PathBuf>);

impl Roots {
    /// Where the roots of `policy` really are.
    pub(super) fn of(policy: &Policy) -> Self {
        let base = policy.working_directory.clone().unwrap_or_default();
        let roots = policy.read_roots.iter().chain(&policy.write_roots);
        Self(roots.filter_map(|root| base.join(root).canonicalize().ok()).collect())
    }

    /// Refuses a root, and a folder that has one in it.
    pub(super) fn check(&self, folder: &Located, action: &str) -> Result<(), ToolError> {
        let place = folder.real_path()?;
        if self.0.iter().any(|root| root.starts_with(&place)) {
            let message =
                format!("`{}` is a root of the policy, or has one in it, and cannot be {action}", folder.path());
            return Err(invalid("path_is_root", message));
        }
        if folder.relative().file_name().is_none() {
            let message = format!("`{}` ends with `..`; name the folder itself", folder.path());
            return Err(invalid("invalid_path", message));
        }
        Ok(())
    }
}
