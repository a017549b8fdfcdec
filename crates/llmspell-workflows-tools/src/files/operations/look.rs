use std::path::Path;

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::data::support::{check_cancelled, invalid};
use crate::files::entry::{
    Kind, check_depth, children, encoded, exists, metadata, metadata_followed, modified, not_a_file,
};
use crate::{SandboxPath, ToolError};

/// Returns the text of a file.
pub(super) fn read(file: &SandboxPath, bytes_max: u64) -> Result<Value, ToolError> {
    if !metadata_followed(file)?.is_file() {
        return Err(not_a_file(file));
    }
    let bytes = file.read(bytes_max)?;
    let count = bytes.len();
    let content = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        invalid("not_utf8", format!("`{}` is not valid UTF-8 (at byte {at})", file.path()))
            .with_help("convert it to UTF-8 first")
    })?;
    Ok(json!({ "path": file.path(), "content": content, "bytes": count }))
}

/// Lists a directory in sorted order and, with `recursive`, its subdirectories, without following
/// links. The list is limited to `entries_max` entries.
pub(super) fn list(
    folder: &SandboxPath,
    recursive: bool,
    entries_max: usize,
    token: &CancellationToken,
) -> Result<Value, ToolError> {
    if !metadata_followed(folder)?.is_dir() {
        return Err(invalid("not_a_directory", format!("`{}` is not a directory", folder.path())));
    }
    let mut list = Listing { recursive, entries_max, token, entries: Vec::new(), truncated: false };
    list.add(folder, Path::new(""), 0)?;
    Ok(json!({ "path": folder.path(), "entries": list.entries, "truncated": list.truncated }))
}

/// Describes an entry. For a link, the result describes the link itself and names its target.
pub(super) fn describe(target: &SandboxPath) -> Result<Value, ToolError> {
    let metadata = metadata(target)?;
    let kind = Kind::of(metadata.file_type());
    let mut result = json!({
        "path": target.path(), "kind": kind.name(), "bytes": metadata.len(), "modified": modified(&metadata),
        "readonly": metadata.permissions().readonly(),
    });
    if kind == Kind::Link {
        let destination = target.dir().read_link_contents(target.relative());
        let destination = destination.map_err(|error| target.error("read", &error))?;
        let (destination, form) = encoded(&destination);
        result["link_target"] = json!(destination);
        result["link_target_type"] = json!(form.name());
    }
    Ok(result)
}

/// Reports whether an entry exists; a dangling link counts as existing.
pub(super) fn report_existence(target: &SandboxPath) -> Value {
    json!({ "path": target.path(), "exists": exists(target) })
}

struct Listing<'c> {
    recursive: bool,
    entries_max: usize,
    token: &'c CancellationToken,
    entries: Vec<Value>,
    truncated: bool,
}

impl Listing<'_> {
    fn add(&mut self, folder: &SandboxPath, prefix: &Path, depth: usize) -> Result<(), ToolError> {
        check_depth(folder, depth)?;
        for (name, kind) in children(folder)? {
            check_cancelled(self.token)?;
            if self.entries.len() == self.entries_max {
                self.truncated = true;
                return Ok(());
            }
            let child = folder.join(name.as_ref());
            let metadata = metadata(&child)?;
            let path = prefix.join(&name);
            let (shown, form) = encoded(&path);
            self.entries.push(json!({
                "path": shown, "path_type": form.name(), "kind": kind.name(), "bytes": metadata.len(),
                "modified": modified(&metadata),
            }));
            if self.recursive && kind == Kind::Directory {
                self.add(&child, &path, depth + 1)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Access, Policy, Services};

    #[test]
    fn a_long_listing_is_truncated() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a/b", "c", "d"] {
            std::fs::create_dir_all(folder.path().join(name)).unwrap();
        }
        let policy = Policy { working_directory: Some(folder.path().to_owned()), ..Policy::default() };
        let root = Services::for_tests(policy).sandbox.locate(".", Access::Read).unwrap();
        for (entries_max, count, truncated) in [(4, 4, false), (3, 3, true), (1, 1, true)] {
            let list = list(&root, true, entries_max, &CancellationToken::new()).unwrap();
            assert_eq!(list["entries"].as_array().map(Vec::len), Some(count));
            assert_eq!(list["truncated"], truncated, "{entries_max}");
        }
    }
}
