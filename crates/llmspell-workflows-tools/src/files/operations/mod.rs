//! Reads, writes, lists, copies, moves and deletes files.

mod change;
mod look;

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::entry::Kind;
use super::file_spec;
use super::roots::Roots;
use crate::data::support::{Takes, blocking, check_operation, invalid, needed, object_schema, per_operation, read};
use crate::{Access, Located, Services, Tool, ToolContext, ToolError, ToolSpec};
use change::Change;

/// How many entries `list_dir` gives.
const ENTRIES_MAX: usize = 10_000;

/// Works on files and folders within the policy's roots.
///
/// | operation | takes | does |
/// |---|---|---|
/// | `read` | `path` | gives the text of a file: `{path, content, bytes}` |
/// | `write` | `path`, `input` | replaces a file as a whole or not at all: `{path, bytes, created}` |
/// | `append` | `path`, `input` | adds to the end: `{path, bytes, created}` |
/// | `delete` | `path` | deletes a file or a link; a folder only with `recursive`: `{path, deleted}` |
/// | `create_dir` | `path` | makes a folder; with `recursive` also those above: `{path, created}` |
/// | `list_dir` | `path` | sorted, at most 10,000: `{path, entries: [{path, kind, bytes, modified}], truncated}` |
/// | `copy` | `source_path`, `target_path` | a file; a folder only with `recursive`: `{…, files, bytes, links_skipped}` |
/// | `move` | `source_path`, `target_path` | renames within one file system |
/// | `metadata` | `path` | `{path, kind, bytes, modified, readonly, link_target}` |
/// | `exists` | `path` | `{path, exists}` |
///
/// `copy` and `move` take `path` for `source_path` too, and replace a file that is there, but no folder. With `recursive`
/// what writes also makes the folders above. No root is ever deleted or moved; links are not followed by what walks.
pub(crate) struct FileOperations {
    spec: ToolSpec,
    services: Services,
}

const OPERATIONS: [Takes; 10] = [
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
            ], "description": "What to do" },
            "path": { "type": "string", "minLength": 1, "description": "A file or a folder" },
            "input": { "type": "string", "description": "The text that `write` and `append` take" },
            "source_path": { "type": "string", "minLength": 1, "description": "What `copy` and `move` take" },
            "target_path": { "type": "string", "minLength": 1, "description": "Where they put it" },
            "recursive": { "type": "boolean", "description": "Whole folders, and the folders above; false by default" },
        });
        Self {
            spec: file_spec(
                "file_operations",
                "Reads, writes, lists, copies, moves and deletes files and folders.",
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
    let at = |access| -> Result<Located, ToolError> {
        services.sandbox.locate(&needed(path.clone(), "path", name)?, access)
    };
    let text = || needed(input.as_deref(), "input", name);
    let pair = |access| -> Result<(Located, Located), ToolError> {
        let source = match (&path, &source_path) {
            (Some(_), Some(_)) => {
                return Err(invalid("unused_parameter", "`path` and `source_path` mean the same; give one"));
            }
            (path, source) => source.clone().or_else(|| path.clone()),
        };
        let source = services.sandbox.locate(&needed(source, "source_path", name)?, access)?;
        let target = needed(target_path.clone(), "target_path", name)?;
        Ok((source, services.sandbox.locate(&target, Access::Write)?))
    };
    match operation {
        Operation::Read => look::read(&at(Access::Read)?, bytes_max),
        Operation::ListDir => look::list(&at(Access::Read)?, recursive, ENTRIES_MAX, token),
        Operation::Metadata => look::describe(&at(Access::Read)?),
        Operation::Exists => Ok(look::is_there(&at(Access::Read)?)),
        Operation::Write => change.write(&at(Access::Write)?, text()?),
        Operation::Append => change.append(&at(Access::Write)?, text()?),
        Operation::CreateDir => change.create_dir(&at(Access::Write)?),
        Operation::Delete => change.delete(&at(Access::Write)?),
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
        "deleted": { "type": "integer", "minimum": 0, "description": "Files, links and folders" },
        "files": count,
        "links_skipped": count,
        "kind": kind,
        "modified": modified,
        "readonly": { "type": "boolean" },
        "link_target": { "type": "string" },
        "exists": { "type": "boolean" },
        "truncated": { "type": "boolean" },
        "entries": { "type": "array", "items": {
            "type": "object",
            "required": ["path", "kind", "bytes", "modified"],
            "properties": { "path": { "type": "string" }, "kind": kind, "bytes": count, "modified": modified },
            "additionalProperties": false,
        } },
    })
}
