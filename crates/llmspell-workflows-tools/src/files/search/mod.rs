//! Searches the lines of files.

mod lines;

use std::path::Path;

use async_trait::async_trait;
use regex::{Regex, RegexBuilder};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::entry::{DEPTH_MAX, Kind, children, form_schema, metadata_followed};
use super::file_spec;
use crate::data::support::{blocking, check_cancelled, invalid, object_schema, read};
use crate::{Access, Permission, SandboxPath, Services, Tool, ToolContext, ToolError, ToolSpec};

/// The maximum number of matches that a search returns.
const MATCHES_MAX: usize = 10_000;

/// The maximum number of context lines before and after a match.
const CONTEXT_MAX: usize = 50;

/// The maximum number of files that a search reads.
const FILES_MAX: usize = 100_000;

/// Searches files for lines that contain a string or match a regular expression.
///
/// `path` is a file or a directory; a directory is searched with its subdirectories unless `recursive` is false. Files
/// are searched in the order of their names, without following links. Files that are binary (a zero byte near the
/// start), larger than `max_file_size` or unreadable are skipped and counted in `files_skipped`; files excluded by
/// extension or by `exclude_dirs` are not counted.
///
/// The result is `{matches: [{path, path_type, line, column, text, before, after, text_type}],
/// files_searched, files_skipped, total_matches, truncated}`, with paths relative to `path`. A
/// path, or the lines of a match, are base64 if they are not UTF-8. In that case, `path_type` or
/// `text_type` is `base64`; otherwise it is `text`. Lines and columns start at 1; the column is the
/// position of the line's first match, in characters. `total_matches` counts all matching lines,
/// including those beyond `max_matches_per_file`. `truncated` is true if a match is not listed or a
/// file was not searched because of `max_matches_per_file`, `max_depth`, or the limits of 10,000
/// matches and 100,000 files.
pub(crate) struct FileSearch {
    spec: ToolSpec,
    services: Services,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Parameters {
    pattern: String,
    path: String,
    #[serde(default = "enabled")]
    recursive: bool,
    #[serde(default = "enabled")]
    case_sensitive: bool,
    #[serde(default)]
    use_regex: bool,
    #[serde(default)]
    context_lines: usize,
    include_extensions: Option<Vec<String>>,
    #[serde(default)]
    exclude_extensions: Vec<String>,
    #[serde(default)]
    exclude_dirs: Vec<String>,
    #[serde(default = "default_file_size_max")]
    max_file_size: u64,
    #[serde(default = "default_matches_per_file_max")]
    max_matches_per_file: usize,
    max_depth: Option<usize>,
}

fn enabled() -> bool {
    true
}

fn default_file_size_max() -> u64 {
    10 * 1024 * 1024
}

fn default_matches_per_file_max() -> usize {
    100
}

impl FileSearch {
    pub(crate) fn new(services: Services) -> Self {
        let extensions = |description: &str| json!({ "type": "array", "items": { "type": "string", "minLength": 1 }, "description": description });
        let parameters = json!({
            "pattern": { "type": "string", "minLength": 1, "description": "The string or regular expression to search for" },
            "path": { "type": "string", "minLength": 1, "description": "A file or a directory" },
            "recursive": { "type": "boolean", "description": "Search subdirectories; true by default" },
            "case_sensitive": { "type": "boolean", "description": "Whether upper and lower case differ; true by default" },
            "use_regex": { "type": "boolean", "description": "Treat the pattern as a regular expression; false by default" },
            "context_lines": { "type": "integer", "minimum": 0, "maximum": CONTEXT_MAX, "description": "The number of context lines before and after a match; 0 by default" },
            "include_extensions": extensions("Search only files with these extensions, such as `rs`"),
            "exclude_extensions": extensions("Skip files with these extensions"),
            "exclude_dirs": { "type": "array", "items": { "type": "string", "minLength": 1 }, "description": "Names of directories to skip" },
            "max_file_size": { "type": "integer", "minimum": 0, "description": "Skip files larger than this, in bytes; 10 MiB by default" },
            "max_matches_per_file": { "type": "integer", "minimum": 1, "description": "The maximum number of matches listed per file; 100 by default" },
            "max_depth": { "type": "integer", "minimum": 0, "maximum": DEPTH_MAX, "description": "The number of levels of subdirectories to search; 0 searches only the directory itself; 64 by default" },
        });
        let count = json!({ "type": "integer", "minimum": 0 });
        let position = json!({ "type": "integer", "minimum": 1 });
        let text = json!({ "type": "array", "items": { "type": "string" } });
        let result = json!({
            "matches": { "type": "array", "items": {
                "type": "object",
                "required": ["path", "path_type", "line", "column", "text", "before", "after", "text_type"],
                "properties": {
                    "path": { "type": "string" }, "path_type": form_schema(), "line": position, "column": position,
                    "text": { "type": "string" }, "before": text, "after": text, "text_type": form_schema(),
                },
                "additionalProperties": false,
            } },
            "files_searched": count,
            "files_skipped": count,
            "total_matches": count,
            "truncated": { "type": "boolean" },
        });
        let spec = file_spec(
            "file_search",
            "Searches the lines of files for a string or a regular expression.",
            object_schema(&["pattern", "path"], parameters),
            object_schema(&["matches", "files_searched", "files_skipped", "total_matches", "truncated"], result),
        );
        Self { spec: ToolSpec { permissions: &[Permission::FilesRead], ..spec }, services }
    }
}

#[async_trait]
impl Tool for FileSearch {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    async fn call(&self, parameters: Value, context: &ToolContext) -> Result<Value, ToolError> {
        let parameters: Parameters = read(parameters)?;
        let services = self.services.clone();
        blocking(context, move |token| {
            let start = services.sandbox.locate(&parameters.path, Access::Read)?;
            let mut search = Search::new(parameters, services.policy.file_bytes_max, token)?;
            let metadata = metadata_followed(&start)?;
            if metadata.is_dir() {
                search.folder(&start, Path::new(""), 0)?;
            } else {
                search.file(&start, Path::new(Path::new(start.path()).file_name().unwrap_or_default()));
            }
            Ok(search.result())
        })
        .await
    }
}

struct Search<'c> {
    pattern: Regex,
    parameters: Parameters,
    depth_max: usize,
    token: &'c CancellationToken,
    matches: Vec<Value>,
    searched: usize,
    skipped: usize,
    total: usize,
    truncated: bool,
}

impl<'c> Search<'c> {
    fn new(mut parameters: Parameters, bytes_max: u64, token: &'c CancellationToken) -> Result<Self, ToolError> {
        let pattern = match parameters.use_regex {
            true => parameters.pattern.clone(),
            false => regex::escape(&parameters.pattern),
        };
        let pattern = RegexBuilder::new(&pattern)
            .case_insensitive(!parameters.case_sensitive)
            .size_limit(1 << 20)
            .build()
            .map_err(|error| {
                invalid("invalid_pattern", format!("`pattern` is not a valid regular expression: {error}"))
            })?;
        if parameters.context_lines > CONTEXT_MAX {
            let message = format!("`context_lines` must be at most {CONTEXT_MAX}, got {}", parameters.context_lines);
            return Err(invalid("option_too_large", message));
        }
        parameters.max_file_size = parameters.max_file_size.min(bytes_max);
        let depth_max = if parameters.recursive { parameters.max_depth.unwrap_or(DEPTH_MAX).min(DEPTH_MAX) } else { 0 };
        Ok(Self {
            pattern,
            parameters,
            depth_max,
            token,
            matches: Vec::new(),
            searched: 0,
            skipped: 0,
            total: 0,
            truncated: false,
        })
    }

    fn folder(&mut self, folder: &SandboxPath, prefix: &Path, depth: usize) -> Result<(), ToolError> {
        for (name, kind) in children(folder)? {
            check_cancelled(self.token)?;
            if self.is_full() {
                self.truncated = true;
                return Ok(());
            }
            let path = prefix.join(&name);
            let child = folder.join(name.as_ref());
            match kind {
                Kind::File if self.wants(&path) => self.file(&child, &path),
                Kind::Directory if self.parameters.exclude_dirs.iter().any(|excluded| name == **excluded) => {}
                Kind::Directory if depth < self.depth_max => {
                    // A directory that cannot be listed is counted as skipped.
                    if let Err(error) = self.folder(&child, &path, depth + 1) {
                        if error.code != "permission_denied" {
                            return Err(error);
                        }
                        self.skipped += 1;
                    }
                }
                Kind::Directory => self.truncated |= self.parameters.recursive,
                _ => {}
            }
        }
        Ok(())
    }

    fn file(&mut self, file: &SandboxPath, path: &Path) {
        let content = file.read(self.parameters.max_file_size).ok().filter(|content| !lines::is_binary(content));
        let Some(content) = content else {
            self.skipped += 1;
            return;
        };
        self.searched += 1;
        let room = MATCHES_MAX - self.matches.len();
        let listed_max = self.parameters.max_matches_per_file.min(room);
        let found = lines::search(path, &content, &self.pattern, self.parameters.context_lines, listed_max);
        self.total += found.total;
        self.truncated |= found.listed.len() < found.total;
        self.matches.extend(found.listed);
    }

    fn is_full(&self) -> bool {
        self.matches.len() >= MATCHES_MAX || self.searched + self.skipped >= FILES_MAX
    }

    /// Returns whether the extension filters include the file.
    fn wants(&self, path: &Path) -> bool {
        let extension = path.extension().map(|extension| extension.to_string_lossy());
        let is = |wanted: &String| {
            let wanted = wanted.trim_start_matches('.');
            extension.as_ref().is_some_and(|extension| extension.eq_ignore_ascii_case(wanted))
        };
        let included = self.parameters.include_extensions.as_ref().is_none_or(|wanted| wanted.iter().any(is));
        included && !self.parameters.exclude_extensions.iter().any(is)
    }

    fn result(self) -> Value {
        json!({
            "matches": self.matches,
            "files_searched": self.searched,
            "files_skipped": self.skipped,
            "total_matches": self.total,
            "truncated": self.truncated,
        })
    }
}
