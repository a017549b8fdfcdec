use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use cap_std::fs::{FileType, Metadata};
use llmspell_workflows_basic::BytesForm;
use serde_json::{Value, json};

use crate::data::support::{invalid, too_large};
use crate::{SandboxPath, ToolError};

/// The maximum depth to which a tool descends into directories.
pub(super) const DEPTH_MAX: usize = 64;

/// The kind of a directory entry; links are not followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Directory,
    Link,
    Other,
}

impl Kind {
    /// The names of all kinds, for schemas.
    pub(super) const NAMES: [&str; 4] = ["file", "directory", "link", "other"];

    pub(super) fn of(r#type: FileType) -> Self {
        match r#type {
            _ if r#type.is_symlink() => Self::Link,
            _ if r#type.is_dir() => Self::Directory,
            _ if r#type.is_file() => Self::File,
            _ => Self::Other,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Directory => "directory",
            Self::Link => "link",
            Self::Other => "other",
        }
    }
}

/// Returns the metadata of the entry itself, without following a link.
pub(super) fn metadata(target: &SandboxPath) -> Result<Metadata, ToolError> {
    target.dir().symlink_metadata(target.relative()).map_err(|error| target.error("find", &error))
}

/// Returns the metadata of the entry, following a link.
pub(super) fn metadata_followed(target: &SandboxPath) -> Result<Metadata, ToolError> {
    target.dir().metadata(target.relative()).map_err(|error| target.error("find", &error))
}

/// Returns whether an entry exists at this path.
pub(super) fn exists(target: &SandboxPath) -> bool {
    target.dir().symlink_metadata(target.relative()).is_ok()
}

/// Returns the entries of a directory, sorted by name, except entries that no tool may access.
pub(super) fn children(folder: &SandboxPath) -> Result<Vec<(OsString, Kind)>, ToolError> {
    let failed = |error: std::io::Error| folder.error("list", &error);
    let open = folder.open_folder("list")?;
    let mut children = Vec::new();
    for entry in open.entries().map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        if !folder.hides(&open, &name)? {
            children.push((name, Kind::of(entry.file_type().map_err(failed)?)));
        }
    }
    children.sort_by(|left, right| left.0.cmp(&right.0));
    Ok(children)
}

/// Fails if `depth` exceeds [`DEPTH_MAX`].
pub(super) fn check_depth(folder: &SandboxPath, depth: usize) -> Result<(), ToolError> {
    if depth <= DEPTH_MAX {
        return Ok(());
    }
    Err(too_large("too_deep", format!("`{}` is nested more than {DEPTH_MAX} directories deep", folder.path())))
}

/// Creates the error for a path that is not a regular file.
pub(super) fn not_a_file(target: &SandboxPath) -> ToolError {
    invalid("not_a_file", format!("`{}` is not a file", target.path()))
}

/// Returns the time of the last change as RFC 3339, or null if the file system does not record it.
pub(super) fn modified(metadata: &Metadata) -> Value {
    let time = metadata.modified().ok().map(cap_std::time::SystemTime::into_std);
    let time = time.and_then(|time| jiff::Timestamp::try_from(time).ok());
    time.map_or(Value::Null, |time| json!(time.to_string()))
}

/// Converts a path to a string, and returns the string's form: base64 if a name is not UTF-8.
pub(super) fn encoded(path: &Path) -> (String, BytesForm) {
    BytesForm::encode(path.as_os_str().as_bytes().to_vec())
}

/// Returns the schema of a string's form.
pub(super) fn form_schema() -> Value {
    json!({ "enum": [BytesForm::Text.name(), BytesForm::Base64.name()] })
}
