use std::io::{self, Read, Write};

use cap_std::fs::File;
use rustix::fs::OFlags;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::data::support::{check_cancelled, invalid, too_large};
use crate::files::atomic::{check_parent, replace};
use crate::files::entry::{Kind, check_depth, children, exists, metadata, metadata_followed, not_a_file};
use crate::files::roots::Roots;
use crate::files::temporary::Temporary;
use crate::sandbox::Links;
use crate::{SandboxPath, ToolError};

/// The chunk size for copying files.
const CHUNK_BYTES: usize = 64 * 1024;

/// The operations that change files, within the limits of a call.
pub(super) struct Change<'c> {
    pub(super) recursive: bool,
    pub(super) bytes_max: u64,
    pub(super) roots: &'c Roots,
    pub(super) token: &'c CancellationToken,
}

impl Change<'_> {
    /// Replaces a file's content.
    pub(super) fn write(&self, file: &SandboxPath, content: &str) -> Result<Value, ToolError> {
        self.check_size(file, content.len() as u64)?;
        self.prepare(file)?;
        let created =
            replace(file, |new| new.write_all(content.as_bytes()).map_err(|error| file.error("write", &error)))?;
        Ok(json!({ "path": file.path(), "bytes": content.len(), "created": created }))
    }

    /// Appends to a file, creating it if it does not exist.
    pub(super) fn append(&self, file: &SandboxPath, content: &str) -> Result<Value, ToolError> {
        self.prepare(file)?;
        let failed = |error: io::Error| file.error("append to", &error);
        let old = file.dir().metadata(file.relative()).ok();
        if old.as_ref().is_some_and(|old| !old.is_file()) {
            return Err(not_a_file(file));
        }
        let length = old.as_ref().map_or(0, cap_std::fs::Metadata::len);
        self.check_size(file, length + content.len() as u64)?;
        let mut open = file.open_with(OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE, "append to")?;
        open.write_all(content.as_bytes()).map_err(failed)?;
        open.sync_data().map_err(failed)?;
        Ok(json!({ "path": file.path(), "bytes": content.len(), "created": old.is_none() }))
    }

    /// Creates a directory. With `recursive`, missing parents are created too, and an existing directory is not an
    /// error.
    pub(super) fn create_dir(&self, folder: &SandboxPath) -> Result<Value, ToolError> {
        let existed = folder.dir().is_dir(folder.relative());
        match (self.recursive, existed) {
            (true, true) => {}
            (true, false) => folder.create_folders("create")?,
            (false, _) => create_folder(folder).map_err(|error| match error.code {
                "file_not_found" => {
                    error.with_help("its parent directory does not exist; `recursive: true` creates it")
                }
                _ => error,
            })?,
        }
        Ok(json!({ "path": folder.path(), "created": !existed }))
    }

    /// Deletes a file or a link or, with `recursive`, a directory and everything in it; links are
    /// not followed.
    pub(super) fn delete(&self, target: &SandboxPath) -> Result<Value, ToolError> {
        let mut deleted = 0_u64;
        match Kind::of(metadata(target)?.file_type()) {
            Kind::Directory => {
                self.roots.check(target, "deleted")?;
                if !self.recursive {
                    return Err(needs_recursive(target, "deleted"));
                }
                target.check_below("delete")?;
                self.delete_folder(target, 0, &mut deleted)?;
            }
            _ => {
                delete_file(target)?;
                deleted = 1;
            }
        }
        Ok(json!({ "path": target.path(), "deleted": deleted }))
    }

    /// Copies a file or, with `recursive`, a directory; links inside the directory are skipped and
    /// counted.
    pub(super) fn copy(&self, source: &SandboxPath, target: &SandboxPath) -> Result<Value, ToolError> {
        let mut copied = CopyCounts::default();
        if metadata_followed(source)?.is_dir() {
            if !self.recursive {
                return Err(needs_recursive(source, "copied"));
            }
            if exists(target) {
                return Err(already_exists(target));
            }
            if target.real_path().is_ok_and(|target| source.real_path().is_ok_and(|source| target.starts_with(source)))
            {
                let message = format!("`{}` cannot be copied into itself", source.path());
                return Err(invalid("copy_into_itself", message));
            }
            source.check_below("copy")?;
            target.check_below("copy to")?;
            target.create_parents()?;
            self.copy_whole_folder(source, target, &mut copied)?;
        } else {
            self.prepare(target)?;
            self.copy_file(source, target, &mut copied)?;
        }
        Ok(json!({
            "source_path": source.path(), "target_path": target.path(), "files": copied.files,
            "bytes": copied.bytes, "links_skipped": copied.links,
        }))
    }

    /// Moves a file or a directory within a file system, replacing an existing file at the target.
    pub(super) fn rename(&self, source: &SandboxPath, target: &SandboxPath) -> Result<Value, ToolError> {
        if metadata(source)?.is_dir() {
            self.roots.check(source, "moved")?;
            if exists(target) {
                return Err(already_exists(target));
            }
            source.check_below("move")?;
            target.check_below("move to")?;
        } else if target.dir().is_dir(target.relative()) {
            return Err(not_a_file(target));
        }
        self.prepare(target)?;
        let (from, to) = (source.entry(Links::Keep, "move")?, target.entry(Links::Keep, "move")?);
        from.dir.rename(&from.name, &to.dir, &to.name).map_err(|error| {
            let failed = source.error("move", &error);
            match error.kind() {
                io::ErrorKind::CrossesDevices => failed.with_help("copy it instead, then delete the source"),
                _ => failed,
            }
        })?;
        Ok(json!({ "source_path": source.path(), "target_path": target.path() }))
    }

    /// Creates the missing parent directories of a path if `recursive` is set; otherwise fails if
    /// the parent directory is missing.
    fn prepare(&self, target: &SandboxPath) -> Result<(), ToolError> {
        if self.recursive { target.create_parents() } else { check_parent(target) }
    }

    fn check_size(&self, file: &SandboxPath, bytes: u64) -> Result<(), ToolError> {
        if bytes <= self.bytes_max {
            return Ok(());
        }
        let message = format!("`{}` would be {bytes} bytes long; the limit is {}", file.path(), self.bytes_max);
        Err(too_large("file_too_large", message).with_help("raise `file_bytes_max` in the policy"))
    }

    fn delete_folder(&self, folder: &SandboxPath, depth: usize, deleted: &mut u64) -> Result<(), ToolError> {
        check_depth(folder, depth)?;
        for (name, kind) in children(folder)? {
            check_cancelled(self.token)?;
            let child = folder.join(name.as_ref());
            if kind == Kind::Directory {
                self.delete_folder(&child, depth + 1, deleted)?;
            } else {
                delete_file(&child)?;
                *deleted += 1;
            }
        }
        let entry = folder.entry(Links::Keep, "delete")?;
        entry.dir.remove_dir(&entry.name).map_err(|error| folder.error("delete", &error))?;
        *deleted += 1;
        Ok(())
    }

    /// Copies a directory so that the target exists only once it is complete, even after a crash.
    fn copy_whole_folder(
        &self,
        source: &SandboxPath,
        target: &SandboxPath,
        copied: &mut CopyCounts,
    ) -> Result<(), ToolError> {
        let failed = |error: io::Error| target.error("copy to", &error);
        let entry = target.entry(Links::Keep, "copy to")?;
        let name = entry.name.file_name().ok_or_else(|| already_exists(target))?;
        let temporary = Temporary::directory(&entry.dir, name).map_err(failed)?;
        self.copy_entries(source, &target.sibling(temporary.name()), 0, copied)?;
        if exists(target) {
            return Err(already_exists(target));
        }
        temporary.rename(&entry.name).map_err(failed)
    }

    /// Copies the contents of the directory `source`.
    fn copy_entries(
        &self,
        source: &SandboxPath,
        target: &SandboxPath,
        depth: usize,
        copied: &mut CopyCounts,
    ) -> Result<(), ToolError> {
        check_depth(source, depth)?;
        for (name, kind) in children(source)? {
            check_cancelled(self.token)?;
            let (source, target) = (source.join(name.as_ref()), target.join(name.as_ref()));
            match kind {
                Kind::Directory => {
                    create_folder(&target)?;
                    self.copy_entries(&source, &target, depth + 1, copied)?;
                }
                Kind::File => self.copy_file(&source, &target, copied)?,
                Kind::Link => copied.links += 1,
                Kind::Other => return Err(not_a_file(&source)),
            }
        }
        Ok(())
    }

    fn copy_file(&self, source: &SandboxPath, target: &SandboxPath, copied: &mut CopyCounts) -> Result<(), ToolError> {
        let metadata = metadata_followed(source)?;
        if !metadata.is_file() {
            return Err(not_a_file(source));
        }
        self.check_size(target, metadata.len())?;
        let mut from = source.open()?;
        replace(target, |new| {
            copied.bytes += self.copy_content(&mut from, new, source, target)?;
            new.set_permissions(metadata.permissions()).map_err(|error| target.error("write", &error))
        })?;
        copied.files += 1;
        Ok(())
    }

    fn copy_content(
        &self,
        from: &mut File,
        to: &mut File,
        source: &SandboxPath,
        target: &SandboxPath,
    ) -> Result<u64, ToolError> {
        let mut chunk = vec![0; CHUNK_BYTES];
        let mut bytes = 0;
        loop {
            check_cancelled(self.token)?;
            let count = from.read(&mut chunk).map_err(|error| source.error("read", &error))?;
            if count == 0 {
                return Ok(bytes);
            }
            bytes += count as u64;
            // The file may have grown since its size was checked.
            self.check_size(target, bytes)?;
            to.write_all(&chunk[..count]).map_err(|error| target.error("write", &error))?;
        }
    }
}

#[derive(Default)]
struct CopyCounts {
    files: u64,
    bytes: u64,
    links: u64,
}

fn create_folder(folder: &SandboxPath) -> Result<(), ToolError> {
    let entry = folder.entry(Links::Keep, "create")?;
    entry.dir.create_dir(&entry.name).map_err(|error| folder.error("create", &error))
}

fn delete_file(file: &SandboxPath) -> Result<(), ToolError> {
    let entry = file.entry(Links::Keep, "delete")?;
    entry.dir.remove_file(&entry.name).map_err(|error| file.error("delete", &error))
}

fn needs_recursive(folder: &SandboxPath, action: &str) -> ToolError {
    invalid(
        "needs_recursive",
        format!("`{}` is a directory; it is {action} only with `recursive: true`", folder.path()),
    )
}

fn already_exists(target: &SandboxPath) -> ToolError {
    invalid("file_exists", format!("`{}` already exists", target.path()))
}
