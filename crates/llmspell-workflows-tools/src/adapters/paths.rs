//! Finds calls that would write to a file that they also read, before a run.

use llmspell_workflows_basic::activity::ParamProblem;
use serde_json::Value;

/// The parameters that name files to read, as JSON Pointers.
const READ: [&str; 3] = ["/input_path", "/with_path", "/options/path"];

/// The parameters that name files to write.
const WRITTEN: [&str; 7] = [
    "/output_path",
    "/dropped_path",
    "/valid_path",
    "/invalid_path",
    "/options/output_path",
    "/options/bad_rows_path",
    "/path",
];

/// Returns a problem for each parameter that names a file to write that an earlier parameter names too, with the same
/// text or the same template.
pub(super) fn problems(params: &Value) -> Vec<ParamProblem> {
    let read = READ.iter().filter_map(|pointer| Some((*pointer, params.pointer(pointer)?)));
    let mut seen: Vec<_> = read.flat_map(|(pointer, paths)| texts(paths).map(move |path| (pointer, path))).collect();
    let mut problems = Vec::new();
    for pointer in WRITTEN {
        for path in params.pointer(pointer).into_iter().flat_map(texts) {
            if let Some((other, _)) = seen.iter().find(|(_, other)| *other == path) {
                let [name, other] = [pointer, other].map(|pointer| pointer[1..].replace('/', "."));
                let problem = ParamProblem::new(pointer, format!("`{name}` and `{other}` are the same file, `{path}`"));
                problems.push(problem.with_help("write to another file"));
            }
            seen.push((pointer, path));
        }
    }
    problems
}

fn texts(value: &Value) -> impl Iterator<Item = &str> {
    let several = value.as_array().map_or(&[][..], Vec::as_slice);
    several.iter().chain(value.is_string().then_some(value)).filter_map(Value::as_str)
}
