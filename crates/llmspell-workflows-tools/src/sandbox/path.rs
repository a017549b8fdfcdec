use std::ffi::{OsStr, OsString};
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use cap_std::fs::{Dir, File};
use rustix::fs::{Mode, OFlags};

use super::forbidden::Forbidden;
use super::{LINKS_MAX, is_escape, outside};
use crate::{ToolError, ToolErrorClass};

/// A path within a root of a [`Sandbox`](super::Sandbox): the root's directory handle and a path relative to it.
///
/// Access files only through the methods of this type, or through [`dir`](Self::dir) with
/// [`relative`](Self::relative), on a blocking thread. Convert I/O errors with [`error`](Self::error).
#[derive(Debug, Clone)]
pub struct SandboxPath {
    pub(super) dir: Arc<Dir>,
    pub(super) root: PathBuf,
    pub(super) relative: PathBuf,
    pub(super) path: String,
    pub(super) forbidden: Arc<Forbidden>,
}

/// How to treat a symbolic link in the last component of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Links {
    /// Use its target.
    Follow,
    /// Use the link itself.
    Keep,
}

/// A name in an open directory.
///
/// Neither the directory nor any directory above it is forbidden, and replacing a directory with a
/// link cannot change that. The name has a single component, or is `.` for a root.
pub(crate) struct Entry {
    pub(crate) dir: Dir,
    pub(crate) name: PathBuf,
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

    /// Replaces the last component with `name`, which must be a single component.
    pub(crate) fn sibling(&self, name: &Path) -> Self {
        Self {
            relative: self.relative.with_file_name(name),
            path: Path::new(&self.path).with_file_name(name).to_string_lossy().into_owned(),
            ..self.clone()
        }
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
            forbidden: Arc::clone(&self.forbidden),
        }
    }

    /// Opens the file for reading; fails if it is a directory or a special file such as a pipe.
    pub fn open(&self) -> Result<File, ToolError> {
        // Opening a pipe would block until its other end is opened, so this opens the file in non-blocking mode.
        self.open_with(OFlags::RDONLY | OFlags::NONBLOCK, "open")
    }

    /// Opens the file with `flags`; fails if it is not a regular file.
    pub(crate) fn open_with(&self, flags: OFlags, action: &str) -> Result<File, ToolError> {
        let entry = self.entry(Links::Follow, action)?;
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&entry.dir, &entry.name, flags, Mode::from_raw_mode(0o666))
            .map_err(|error| self.error(action, &error.into()))?;
        let file = File::from_std(file.into());
        // The type is checked on the opened handle, because the result of checking the path could
        // be outdated when the file is opened.
        if !file.metadata().map_err(|error| self.error(action, &error))?.is_file() {
            let message = format!("`{}` is not a file", self.path);
            return Err(ToolError::new(ToolErrorClass::Validation, "not_a_file", message));
        }
        Ok(file)
    }

    /// Opens the directory.
    pub(crate) fn open_folder(&self, action: &str) -> Result<Dir, ToolError> {
        let folder = self.dir.open_dir(&self.relative).map_err(|error| self.error(action, &error))?;
        if self.covers(&folder, &[], action)? { Err(self.is_forbidden()) } else { Ok(folder) }
    }

    /// Opens the directory that contains the entry; fails if the entry is forbidden or the directory does not exist.
    pub(crate) fn entry(&self, links: Links, action: &str) -> Result<Entry, ToolError> {
        let failed = |error: io::Error| self.error(action, &error);
        let relative = if links == Links::Follow { self.without_links() } else { self.relative.clone() };
        let (dir, mut names) = self.existing_folder(&relative).map_err(failed)?;
        if self.covers(&dir, &names, action)? {
            return Err(self.is_forbidden());
        }
        match (names.pop(), names.is_empty()) {
            (None, _) => Ok(Entry { dir, name: PathBuf::from(".") }),
            (Some(name), true) => Ok(Entry { dir, name: PathBuf::from(name) }),
            (Some(_), false) => Err(failed(io::ErrorKind::NotFound.into())),
        }
    }

    /// Creates the directory at this path and all missing directories above it.
    pub(crate) fn create_folders(&self, action: &str) -> Result<(), ToolError> {
        let failed = |error: io::Error| self.error(action, &error);
        let (mut dir, names) = self.existing_folder(&self.without_links()).map_err(failed)?;
        if self.covers(&dir, &names, action)? {
            return Err(self.is_forbidden());
        }
        for name in names {
            match dir.create_dir(&name) {
                // The directory may have been created in the meantime.
                Err(error) if !dir.is_dir(&name) => return Err(failed(error)),
                _ => {}
            }
            dir = dir.open_dir(&name).map_err(failed)?;
            if self.covers(&dir, &[], action)? {
                return Err(self.is_forbidden());
            }
        }
        Ok(())
    }

    /// Creates the missing directories above this path.
    pub(crate) fn create_parents(&self) -> Result<(), ToolError> {
        match self.relative.parent() {
            Some(parent) if !parent.as_os_str().is_empty() && !self.dir.is_dir(parent) => {
                let parent = Self { relative: parent.to_owned(), ..self.clone() };
                parent.create_folders("create the parent directories of")
            }
            _ => Ok(()),
        }
    }

    /// Fails if the path or the target of its links is forbidden.
    pub(super) fn check(&self) -> Result<(), ToolError> {
        for relative in [self.relative.clone(), self.without_links()] {
            // If a path cannot be opened for another reason, the error is reported where the path
            // is used.
            let Ok((dir, names)) = self.existing_folder(&relative) else { continue };
            if self.covers(&dir, &names, "open")? {
                return Err(self.is_forbidden());
            }
        }
        Ok(())
    }

    /// Fails if a forbidden path is at or below this path, which is about to be moved, copied or
    /// deleted as a whole.
    pub(crate) fn check_below(&self, action: &str) -> Result<(), ToolError> {
        let failed = |error: io::Error| self.error(action, &error);
        let (dir, names) = self.existing_folder(&self.relative).map_err(failed)?;
        if self.forbidden.is_below(&dir, &names).map_err(failed)? {
            let message = format!("cannot {action} `{}`: it contains the store or the configuration", self.path);
            return Err(ToolError::new(ToolErrorClass::Configuration, "path_outside_roots", message));
        }
        Ok(())
    }

    /// Returns whether the entry `name` of `folder`, the opened directory at this path, is forbidden.
    pub(crate) fn hides(&self, folder: &Dir, name: &OsStr) -> Result<bool, ToolError> {
        self.forbidden.covers_entry(folder, name).map_err(|error| self.error("list", &error))
    }

    fn covers(&self, dir: &Dir, names: &[OsString], action: &str) -> Result<bool, ToolError> {
        self.forbidden.covers(dir, names).map_err(|error| self.error(action, &error))
    }

    fn is_forbidden(&self) -> ToolError {
        let message = format!("`{}` is part of the store or the configuration, which no tool can access", self.path);
        ToolError::new(ToolErrorClass::Configuration, "path_outside_roots", message)
    }

    /// Opens the deepest existing directory above `relative`; returns it with the names below it.
    fn existing_folder(&self, relative: &Path) -> io::Result<(Dir, Vec<OsString>)> {
        let mut names = Vec::new();
        let mut at = relative;
        loop {
            if let Some(name) = at.file_name() {
                names.push(name.to_owned());
                at = at.parent().unwrap_or(Path::new("."));
            }
            let folder = if at.as_os_str().is_empty() { Path::new(".") } else { at };
            match self.dir.open_dir(folder) {
                Ok(dir) => {
                    names.reverse();
                    return Ok((dir, names));
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound && at.file_name().is_some() => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Returns the path beneath the root with its links resolved; the target of a link does not have to exist.
    fn without_links(&self) -> PathBuf {
        let mut path = self.relative.clone();
        for _ in 0..LINKS_MAX {
            if let Ok(real) = self.dir.canonicalize(&path) {
                return real;
            }
            match (self.dir.read_link_contents(&path), path.parent()) {
                (Ok(target), Some(parent)) if target.is_relative() => path = parent.join(target),
                _ => break,
            }
        }
        path.components().collect()
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

    /// Returns whether this path and `other` lead to the same file, even if it does not exist yet.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let target = |path: &Self| super::links::target(&path.root.join(&path.relative));
        target(self) == target(other)
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
