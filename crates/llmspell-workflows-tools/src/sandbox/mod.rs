//! The files that tools may access.

mod forbidden;
mod links;
mod path;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cap_std::ambient_authority;
use cap_std::fs::Dir;

use self::forbidden::Forbidden;
use crate::{Policy, ToolError, ToolErrorClass};

pub use self::path::SandboxPath;
pub(crate) use self::path::{Entry, Links};

/// The maximum number of dangling links and missing components in a path; the kernel also follows at most 40 links.
const LINKS_MAX: usize = 40;

/// The maximum length of a path in bytes; Linux has the same limit.
const FILE_PATH_BYTES_MAX: usize = 4096;

/// The kind of access to a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Read or list.
    Read,
    /// Create, change or delete.
    Write,
}

/// Open handles of the directories that file tools may access.
///
/// Each allowed directory (root) has a handle. Every operation goes through this handle with a relative path, which the
/// kernel resolves beneath it. So `..`, absolute paths and symbolic links cannot escape, even if a directory is
/// replaced by a link between the check and the use.
///
/// Links are followed as long as they stay beneath the same root. An absolute link, or a link from
/// one root into another root, is followed if its target exists and is in one of the roots.
///
/// The policy's [`forbidden`](Policy::forbidden) paths are outside every root, under any name.
#[derive(Debug)]
pub struct Sandbox {
    working_directory: PathBuf,
    read: Vec<Root>,
    write: Vec<Root>,
    forbidden: Forbidden,
}

#[derive(Debug)]
struct Root {
    /// The absolute path, with its links unresolved.
    configured: PathBuf,
    /// The canonical form of the same path.
    real: PathBuf,
    dir: Arc<Dir>,
}

impl Sandbox {
    /// Opens the roots of `policy`; the error names a root that cannot be opened.
    pub fn open(policy: &Policy) -> Result<Self, ToolError> {
        let current = std::env::current_dir().map_err(|error| root_error(Path::new("."), &error))?;
        let forbidden = policy.forbidden.iter().map(|path| current.join(path).components().collect()).collect();
        let working_directory = match &policy.working_directory {
            Some(path) => current.join(path),
            None => current,
        };
        let open = |roots: &[PathBuf]| -> Result<Vec<Root>, ToolError> {
            roots.iter().map(|root| Root::open(&working_directory, root)).collect()
        };
        let (read, write) = (open(&policy.read_roots)?, open(&policy.write_roots)?);
        Ok(Self { working_directory, read, write, forbidden: Forbidden::new(forbidden) })
    }

    /// Resolves `path` within the roots for `access`; the path does not have to exist.
    ///
    /// Relative paths start at the policy's working directory.
    pub fn locate(&self, path: &str, access: Access) -> Result<SandboxPath, ToolError> {
        let invalid = |message: String| Err(ToolError::new(ToolErrorClass::Validation, "invalid_path", message));
        if path.len() > FILE_PATH_BYTES_MAX {
            let start = path[..path.floor_char_boundary(60)].escape_debug();
            let length = path.len();
            return invalid(format!(
                "the path `{start}…` has {length} bytes, exceeding the limit `FILE_PATH_BYTES_MAX` of \
                 {FILE_PATH_BYTES_MAX}"
            ));
        }
        if path.is_empty() || path.contains('\0') {
            return invalid(format!("`{}` is not a valid path", path.escape_debug()));
        }
        let absolute = &self.working_directory.join(path);
        let roots = match access {
            Access::Read => &self.read,
            Access::Write => &self.write,
        };
        let by_name = roots.iter().flat_map(|root| {
            let bases = [&root.configured, &root.real];
            bases.into_iter().filter_map(move |base| Some((root, absolute.strip_prefix(base).ok()?.to_owned())))
        });
        // This path only suggests where to look; the file itself is still opened through the root's handle.
        let by_real_path = real_path(absolute).into_iter().flat_map(|path| {
            roots.iter().filter_map(move |root| Some((root, path.strip_prefix(&root.real).ok()?.to_owned())))
        });
        for (root, relative) in by_name.chain(by_real_path) {
            let relative = if relative.as_os_str().is_empty() { PathBuf::from(".") } else { relative };
            if stays_beneath(&root.dir, &relative) {
                let found = SandboxPath {
                    dir: Arc::clone(&root.dir),
                    root: root.real.clone(),
                    relative,
                    path: path.to_owned(),
                    forbidden: Arc::new(self.forbidden.refreshed()),
                };
                found.check()?;
                return Ok(found);
            }
        }
        Err(outside(path).with_help(self.help(access)))
    }

    fn help(&self, access: Access) -> String {
        let (setting, roots) = match access {
            Access::Read => ("read_roots", &self.read),
            Access::Write => ("write_roots", &self.write),
        };
        let roots: Vec<String> = roots.iter().map(|root| format!("`{}`", root.configured.display())).collect();
        match roots.as_slice() {
            [] => format!("`{setting}` in the policy is empty"),
            roots => format!("`{setting}` in the policy allows only {}", roots.join(", ")),
        }
    }
}

impl Root {
    fn open(working_directory: &Path, root: &Path) -> Result<Self, ToolError> {
        let configured: PathBuf = working_directory.join(root).components().collect();
        let real = configured.canonicalize().map_err(|error| root_error(&configured, &error))?;
        let dir = Dir::open_ambient_dir(&real, ambient_authority()).map_err(|error| root_error(&configured, &error))?;
        Ok(Self { configured, real, dir: Arc::new(dir) })
    }
}

/// Returns whether `relative` stays beneath `dir` when its links are resolved; its last components may be missing.
fn stays_beneath(dir: &Dir, relative: &Path) -> bool {
    let mut path = relative.to_owned();
    for _ in 0..LINKS_MAX {
        match dir.canonicalize(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return !is_escape(&error),
            Ok(_) => return true,
        }
        let is_link = dir.symlink_metadata(&path).is_ok_and(|metadata| metadata.is_symlink());
        let Some(parent) = path.parent().map(Path::to_owned) else {
            return true;
        };
        path = if is_link {
            match dir.read_link_contents(&path) {
                Ok(target) if target.is_relative() => parent.join(target),
                _ => return false,
            }
        } else if path.file_name().is_some() {
            parent
        } else {
            // The target of `..` after a missing directory is unknown.
            return false;
        };
        if path.as_os_str().is_empty() {
            return true;
        }
    }
    false
}

/// Returns `path` without links; components that do not exist yet are appended unchanged.
fn real_path(path: &Path) -> Option<PathBuf> {
    let mut missing = Vec::new();
    let mut at = path;
    loop {
        if let Ok(real) = at.canonicalize() {
            return Some(missing.iter().rev().fold(real, |path, name| path.join(name)));
        }
        if at.is_symlink() {
            return None;
        }
        missing.push(at.file_name()?);
        at = at.parent()?;
    }
}

fn is_escape(error: &io::Error) -> bool {
    // An error from cap-std itself has no operating system error code.
    error.kind() == io::ErrorKind::PermissionDenied && error.raw_os_error().is_none()
}

fn outside(path: &str) -> ToolError {
    ToolError::new(
        ToolErrorClass::Configuration,
        "path_outside_roots",
        format!("`{path}` is outside the allowed directories"),
    )
}

fn root_error(root: &Path, error: &io::Error) -> ToolError {
    ToolError::new(
        ToolErrorClass::Configuration,
        "root_unavailable",
        format!("cannot open the allowed directory `{}`: {error}", root.display()),
    )
    .with_help("create it, or change `read_roots` and `write_roots` in the policy")
}
