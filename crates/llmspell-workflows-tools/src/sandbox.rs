use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use cap_std::ambient_authority;
use cap_std::fs::{Dir, File, OpenOptions, OpenOptionsExt};
use rustix::fs::OFlags;

use crate::{Policy, ToolError, ToolErrorClass};

/// The maximum number of dangling links and missing components in a path; the kernel also follows at most 40 links.
const LINKS_MAX: usize = 40;

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
/// Links are followed as long as they stay beneath the same root. An absolute link, or a link from one root into
/// another, is followed if its target exists and is in one of the roots.
#[derive(Debug)]
pub struct Sandbox {
    working_directory: PathBuf,
    read: Vec<Root>,
    write: Vec<Root>,
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
        let working_directory = match &policy.working_directory {
            Some(path) => current.join(path),
            None => current,
        };
        let open = |roots: &[PathBuf]| -> Result<Vec<Root>, ToolError> {
            roots.iter().map(|root| Root::open(&working_directory, root)).collect()
        };
        let (read, write) = (open(&policy.read_roots)?, open(&policy.write_roots)?);
        Ok(Self { working_directory, read, write })
    }

    /// Resolves `path` within the roots for `access`; the path does not have to exist.
    ///
    /// Relative paths start at the policy's working directory.
    pub fn locate(&self, path: &str, access: Access) -> Result<SandboxPath, ToolError> {
        if path.is_empty() || path.contains('\0') {
            return Err(ToolError::new(
                ToolErrorClass::Validation,
                "invalid_path",
                format!("`{}` is not a valid path", path.escape_debug()),
            ));
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
                return Ok(SandboxPath {
                    dir: Arc::clone(&root.dir),
                    root: root.real.clone(),
                    relative,
                    path: path.to_owned(),
                });
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

/// A path within a root of a [`Sandbox`]: the root's directory handle and a path relative to it.
///
/// Access files only through [`dir`](Self::dir) with [`relative`](Self::relative), on a blocking thread. Convert I/O
/// errors with [`error`](Self::error).
#[derive(Debug, Clone)]
pub struct SandboxPath {
    dir: Arc<Dir>,
    root: PathBuf,
    relative: PathBuf,
    path: String,
}

impl SandboxPath {
    /// Returns the root's handle.
    #[must_use]
    pub fn dir(&self) -> &Dir {
        &self.dir
    }

    /// Returns the path beneath [`dir`](Self::dir); `.` for the root itself.
    #[must_use]
    pub fn relative(&self) -> &Path {
        &self.relative
    }

    /// Returns the path as the caller wrote it, for results and errors.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Appends `name`, which must be relative and free of `..`, for directory walks.
    #[must_use]
    pub fn join(&self, name: &Path) -> Self {
        debug_assert!(name.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir)));
        Self {
            dir: Arc::clone(&self.dir),
            root: self.root.clone(),
            relative: self.relative.join(name),
            path: Path::new(&self.path).join(name).to_string_lossy().into_owned(),
        }
    }

    /// Opens the file for reading; fails if it is a directory or a special file such as a pipe.
    pub fn open(&self) -> Result<File, ToolError> {
        // Opening a pipe would block until its other end is opened, so this opens the file in non-blocking mode. The
        // type is checked on the opened handle because a check of the path could be outdated by the time of the open.
        let mut options = OpenOptions::new();
        options.read(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed());
        let failed = |error: io::Error| self.error("open", &error);
        let file = self.dir.open_with(&self.relative, &options).map_err(failed)?;
        if !file.metadata().map_err(failed)?.is_file() {
            let message = format!("`{}` is not a file", self.path);
            return Err(ToolError::new(ToolErrorClass::Validation, "not_a_file", message));
        }
        Ok(file)
    }

    /// Reads the whole file; fails if it is larger than `bytes_max`.
    pub fn read(&self, bytes_max: u64) -> Result<Vec<u8>, ToolError> {
        let mut content = Vec::new();
        let mut file = self.open()?.take(bytes_max.saturating_add(1));
        file.read_to_end(&mut content).map_err(|error| self.error("read", &error))?;
        if content.len() as u64 > bytes_max {
            return Err(ToolError::new(
                ToolErrorClass::Limit,
                "file_too_large",
                format!("`{}` is larger than {bytes_max} bytes", self.path),
            )
            .with_help("raise `file_bytes_max` in the policy"));
        }
        Ok(content)
    }

    /// Returns the path in the file system, for libraries that accept only a path.
    ///
    /// Access through this path is not protected by the handle, so prefer [`dir`](Self::dir). The last component does
    /// not have to exist.
    pub fn real_path(&self) -> Result<PathBuf, ToolError> {
        let real = |relative: &Path| self.dir.canonicalize(relative);
        let relative = match real(&self.relative) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                match (self.relative.parent(), self.relative.file_name()) {
                    _ if self.dir.symlink_metadata(&self.relative).is_ok() => Err(error),
                    (Some(parent), Some(name)) => {
                        let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
                        real(parent).map(|parent| parent.join(name))
                    }
                    _ => Err(error),
                }
            }
            other => other,
        };
        let relative = relative.map_err(|error| self.error("find", &error))?;
        Ok(self.root.join(relative).components().collect())
    }

    /// Converts an I/O error into a tool error; `action` is a verb for the failed operation, such as "read".
    #[must_use]
    pub fn error(&self, action: &str, error: &io::Error) -> ToolError {
        use io::ErrorKind as Kind;
        if is_escape(error) {
            return outside(&self.path);
        }
        let (class, code) = match error.kind() {
            Kind::NotFound => (ToolErrorClass::Validation, "file_not_found"),
            Kind::AlreadyExists => (ToolErrorClass::Validation, "file_exists"),
            Kind::PermissionDenied | Kind::ReadOnlyFilesystem => (ToolErrorClass::Configuration, "permission_denied"),
            Kind::StorageFull | Kind::QuotaExceeded | Kind::FileTooLarge => (ToolErrorClass::Resource, "storage_full"),
            Kind::ResourceBusy | Kind::Interrupted | Kind::WouldBlock | Kind::TimedOut => {
                (ToolErrorClass::Transient, "file_busy")
            }
            _ => (ToolErrorClass::Validation, "file_failed"),
        };
        ToolError::new(class, code, format!("cannot {action} `{}`: {error}", self.path))
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

/// Returns `path` without links; components that do not exist yet are appended as they are.
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
