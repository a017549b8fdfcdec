use std::ffi::OsString;
use std::path::Path;

use cap_std::fs::{FileType, Metadata};
use serde_json::{Value, json};

use crate::data::support::{invalid, too_large};
use crate::{Located, ToolError};

/// How deep a tool goes into folders.
pub(super) const DEPTH_MAX: usize = 64;

/// What something in a folder is; links are not followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Directory,
    Link,
    Other,
}

impl Kind {
    /// All names, for schemas.
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

/// The metadata of the thing itself, not of what a link leads to.
pub(super) fn metadata(located: &Located) -> Result<Metadata, ToolError> {
    located.dir().symlink_metadata(located.relative()).map_err(|error| located.error("find", &error))
}

/// The same of what a link leads to.
pub(super) fn metadata_followed(located: &Located) -> Result<Metadata, ToolError> {
    located.dir().metadata(located.relative()).map_err(|error| located.error("find", &error))
}

/// Whether something is there.
pub(super) fn exists(located: &Located) -> bool {
    located.dir().symlink_metadata(located.relative()).is_ok()
}

/// What is in a folder, sorted by name.
pub(super) fn children(folder: &Located) -> Result<Vec<(OsString, Kind)>, ToolError> {
    let failed = |error: std::io::Error| folder.error("list", &error);
    let mut children = Vec::new();
    for entry in folder.dir().read_dir(folder.relative()).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        children.push((entry.file_name(), Kind::of(entry.file_type().map_err(failed)?)));
    }
    children.sort_by(|left, right| left.0.cmp(&right.0));
    Ok(children)
}

/// Refuses to go deeper than [`DEPTH_MAX`].
pub(super) fn check_depth(folder: &Located, depth: usize) -> Result<(), ToolError> {
    if depth <= DEPTH_MAX {
        return Ok(());
    }
    Err(too_large("too_deep", format!("`{}` is more than {DEPTH_MAX} folders deep", folder.path())))
}

/// Refuses a folder where a file is wanted.
pub(super) fn not_a_file(located: &Located) -> ToolError {
    invalid("not_a_file", format!("`{}` is no file", located.path()))
}

/// When it was last changed, as RFC 3339; null where the file system does not say.
pub(super) fn modified(metadata: &Metadata) -> Value {
    let time = metadata.modified().ok().map(cap_std::time::SystemTime::into_std);
    let time = time.and_then(|time| jiff::Timestamp::try_from(time).ok());
    time.map_or(Value::Null, |time| json!(time.to_string()))
}

/// A path relative to the folder that was asked for, with `/` between its parts.
pub(super) fn shown(path: &Path) -> String {
    let parts: Vec<_> = path.components().map(|part| part.as_os_str().to_string_lossy()).collect();
    parts.join("/")
}
