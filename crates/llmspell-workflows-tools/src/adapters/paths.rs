//! Finds calls that would write to one of the files they read, before a run.

use llmspell_workflows_basic::activity::ParamProblem;
use serde_json::Value;

/// The parameters that name files to read. Each entry is a name, or the names of an object and one
/// of its fields.
const READ: [&[&str]; 3] = [&["input_path"], &["with_path"], &["options", "path"]];

/// The parameters that name files to write.
const WRITTEN: [&[&str]; 7] = [
    &["output_path"],
    &["dropped_path"],
    &["valid_path"],
    &["invalid_path"],
    &["options", "output_path"],
    &["options", "bad_rows_path"],
    &["path"],
];

/// Returns a problem for each output file that an earlier parameter names with the same text or the
/// same template.
pub(super) fn problems(params: &Value) -> Vec<ParamProblem> {
    let paths = |name: &[&str]| {
        let value = name.iter().try_fold(params, |value, field| value.get(field));
        value.into_iter().flat_map(texts)
    };
    let mut seen: Vec<_> = READ.iter().flat_map(|name| paths(name).map(move |path| (*name, path))).collect();
    let mut problems = Vec::new();
    for name in WRITTEN {
        for path in paths(name) {
            if let Some((other, _)) = seen.iter().find(|(_, other)| *other == path) {
                let [shown, other] = [name, *other].map(|name| name.join("."));
                let pointer = format!("/{}", name.join("/"));
                let problem =
                    ParamProblem::new(pointer, format!("`{shown}` and `{other}` are the same file, `{path}`"));
                problems.push(problem.with_help("write to another file"));
            }
            seen.push((name, path));
        }
    }
    problems
}

fn texts(value: &Value) -> impl Iterator<Item = &str> {
    let several = value.as_array().map_or(&[][..], Vec::as_slice);
    several.iter().chain(value.is_string().then_some(value)).filter_map(Value::as_str)
}
