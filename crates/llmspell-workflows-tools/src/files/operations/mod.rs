//! Reads, writes, lists, copies, moves and deletes files.

mod change;
mod look;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::entry::{Kind, form_schema};
use super::file_spec;
use super::roots::Roots;
use crate::data::support::{
    OperationParameters, blocking, check_operation, invalid, object_schema, per_operation, read, require,
};
use crate::{Access, SandboxPath, Services, Tool, ToolContext, ToolError, ToolSpec};
use change::Change;

/// The maximum number of entries that `list_dir` returns.
const ENTRIES_MAX: usize = 10_000;

/// Works with files and directories within the policy's roots.
///
/// | operation | parameters | effect and result |
/// |---|---|---|
/// | `read` | `path` | returns the text of a file: `{path, content, bytes}` |
/// | `write` | `path`, `input` | replaces a file atomically: `{path, bytes, created}` |
/// | `append` | `path`, `input` | appends to a file: `{path, bytes, created}` |
/// | `delete` | `path` | deletes a file or a link; a directory only with `recursive`: `{path, deleted}` |
/// | `create_dir` | `path` | creates a directory; with `recursive` also its parents: `{path, created}` |
/// | `list_dir` | `path` | lists a directory: `{path, entries: [{path, path_type, kind, bytes, modified}], truncated}` |
/// | `copy` | `source_path`, `target_path` | copies a file or (`recursive`) a directory: `{…, bytes, links_skipped}` |
/// | `move` | `source_path`, `target_path` | renames a file or a directory within a file system |
/// | `metadata` | `path` | describes an entry: `{path, kind, bytes, modified, readonly, link_target, link_target_type}` |
/// | `exists` | `path` | reports whether an entry exists: `{path, exists}` |
///
/// `copy` and `move` also accept `path` instead of `source_path`. They replace an existing file,
/// but not a directory. `list_dir` returns at most 10,000 entries, sorted by path. With
/// `recursive`, operations that write also create missing parent directories. Paths of type `text`
/// are strings; a path with a name that is not UTF-8 is base64 with type `base64`. A root is never
/// deleted or moved, and operations that walk a directory do not follow links.
pub(crate) struct FileOperations {
    spec: ToolSpec,
    services: Services,
}

const OPERATIONS: [OperationParameters; 10] = [
    ("read", &["path"], &[]),
    ("write", &["path", "input"], &["recursive"]),
    ("append", &["path", "input"], &["recursive"]),
    ("delete", &["path"], &["recursive"]),
    ("create_dir", &["path"], &["recursive"]),
    ("list_dir", &["path"], &["recursive"]),
    ("copy", &["target_path"], &["source_path", "path", "recursive"]),
    ("move", &["target_path"], &["source_path", "path", "recursive"]),
    ("metadata", &["path"], &[]),
    ("exists", &["path"], &[]),
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Parameters {
    operation: Operation,
    path: Option<String>,
    input: Option<String>,
    source_path: Option<String>,
    target_path: Option<String>,
    #[serde(default)]
    recursive: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Operation {
    Read,
    Write,
    Append,
    Delete,
    CreateDir,
    ListDir,
    Copy,
    Move,
    Metadata,
    Exists,
}

impl FileOperations {
    pub(crate) fn new(services: Services) -> Self {
        let parameters = json!({
            "operation": { "enum": [
                "read", "write", "append", "delete", "create_dir", "list_dir", "copy", "move", "metadata", "exists",
            ], "description": "The operation" },
            "path": { "type": "string", "minLength": 1, "description": "A file or a directory" },
            "input": { "type": "string", "description": "The text for `write` and `append`" },
            "source_path": { "type": "string", "minLength": 1, "description": "The source of `copy` and `move`" },
            "target_path": { "type": "string", "minLength": 1, "description": "The target of `copy` and `move`" },
            "recursive": { "type": "boolean", "description": "Include directories with their contents, and create missing parent directories; false by default" },
        });
        Self {
            spec: file_spec(
                "file_operations",
                "Reads, writes, lists, copies, moves and deletes files and directories.",
                per_operation(object_schema(&["operation"], parameters), &OPERATIONS),
                object_schema(&[], result_properties()),
            ),
            services,
        }
    }
}

#[async_trait]
impl Tool for FileOperations {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    async fn call(&self, parameters: Value, context: &ToolContext) -> Result<Value, ToolError> {
        check_operation(&parameters, &OPERATIONS)?;
        let parameters: Parameters = read(parameters)?;
        let services = self.services.clone();
        blocking(context, move |token| run(parameters, &services, token)).await
    }
}

fn run(parameters: Parameters, services: &Services, token: &CancellationToken) -> Result<Value, ToolError> {
    let Parameters { operation, path, input, source_path, target_path, recursive } = parameters;
    let roots = Roots::of(&services.policy);
    let bytes_max = services.policy.file_bytes_max;
    let change = Change { recursive, bytes_max, roots: &roots, token };
    let name = operation.name();
    let locate = |access| -> Result<SandboxPath, ToolError> {
        services.sandbox.locate(&require(path.clone(), "path", name)?, access)
    };
    let text = || require(input.as_deref(), "input", name);
    let pair = |access| -> Result<(SandboxPath, SandboxPath), ToolError> {
        let source = match (&path, &source_path) {
            (Some(_), Some(_)) => {
                return Err(invalid(
                    "unused_parameter",
                    "`path` and `source_path` are the same parameter; set only one",
                ));
            }
            (path, source) => source.clone().or_else(|| path.clone()),
        };
        let source = services.sandbox.locate(&require(source, "source_path", name)?, access)?;
        let target = require(target_path.clone(), "target_path", name)?;
        Ok((source, services.sandbox.locate(&target, Access::Write)?))
    };
    match operation {
        Operation::Read => look::read(&locate(Access::Read)?, bytes_max),
        Operation::ListDir => look::list(&locate(Access::Read)?, recursive, ENTRIES_MAX, token),
        Operation::Metadata => look::describe(&locate(Access::Read)?),
        Operation::Exists => Ok(look::report_existence(&locate(Access::Read)?)),
        Operation::Write => change.write(&locate(Access::Write)?, text()?),
        Operation::Append => change.append(&locate(Access::Write)?, text()?),
        Operation::CreateDir => change.create_dir(&locate(Access::Write)?),
        Operation::Delete => change.delete(&locate(Access::Write)?),
        Operation::Copy => {
            let (source, target) = pair(Access::Read)?;
            change.copy(&source, &target)
        }
        Operation::Move => {
            let (source, target) = pair(Access::Write)?;
            change.rename(&source, &target)
        }
    }
}

impl Operation {
    fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Append => "append",
            Self::Delete => "delete",
            Self::CreateDir => "create_dir",
            Self::ListDir => "list_dir",
            Self::Copy => "copy",
            Self::Move => "move",
            Self::Metadata => "metadata",
            Self::Exists => "exists",
        }
    }
}

fn result_properties() -> Value {
    let count = json!({ "type": "integer", "minimum": 0 });
    let kind = json!({ "enum": Kind::NAMES });
    let modified = json!({ "type": ["string", "null"], "description": "RFC 3339" });
    json!({
        "path": { "type": "string" },
        "source_path": { "type": "string" },
        "target_path": { "type": "string" },
        "content": { "type": "string" },
        "bytes": count,
        "created": { "type": "boolean" },
        "deleted": { "type": "integer", "minimum": 0, "description": "The number of deleted files, links and directories" },
        "files": count,
        "links_skipped": count,
        "kind": kind,
        "modified": modified,
        "readonly": { "type": "boolean" },
        "link_target": { "type": "string" },
        "link_target_type": form_schema(),
        "exists": { "type": "boolean" },
        "truncated": { "type": "boolean" },
        "entries": { "type": "array", "items": {
            "type": "object",
            "required": ["path", "path_type", "kind", "bytes", "modified"],
            "properties": {
                "path": { "type": "string" }, "path_type": form_schema(), "kind": kind, "bytes": count,
                "modified": modified,
            },
            "additionalProperties": false,
        } },
    })
}
