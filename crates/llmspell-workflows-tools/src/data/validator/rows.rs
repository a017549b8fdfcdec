use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::Checker;
use crate::ToolError;
use crate::data::row_files::{Files, RowWriter};
use crate::data::schema_check::{VIOLATIONS_MAX, Violations};
use crate::data::support::invalid;

/// Checks each row of the file `input_path`, and writes valid and invalid rows to the files named
/// by the call.
pub(super) fn validate(checker: &Checker, files: &Files<'_>, token: &CancellationToken) -> Result<Value, ToolError> {
    let source = files.rows("input_path", token)?;
    let mut source = source.ok_or_else(|| invalid("missing_parameter", "`input_path` must name at least one file"))?;
    let mut valid_rows = RowWriter::create(files, "valid_path")?;
    let mut invalid_rows = RowWriter::create(files, "invalid_path")?;
    let (mut all, mut checked, mut valid) = (Violations::default(), 0, 0_u64);
    while let Some(row) = source.next()? {
        let (violations, checks) = checker.check(&row.value).map_err(|error| source.error(error))?;
        checked += checks;
        if violations.listed.is_empty() {
            valid += 1;
            if let Some(writer) = &mut valid_rows {
                writer.copy(&source, &row.value)?;
            }
            continue;
        }
        if let Some(writer) = &mut invalid_rows {
            let mut rejected = json!({ "line": row.line, "row": row.value, "errors": violations.listed });
            if let Some(path) = source.path_among_several() {
                rejected["path"] = json!(path);
            }
            writer.write(&rejected)?;
        }
        add(&mut all, violations, row.line);
    }
    let Violations { listed, truncated } = all;
    let mut result = json!({
        "valid": listed.is_empty(),
        "errors": listed,
        "checked": checked,
        "truncated": truncated,
        "rows": source.count(),
        "valid_rows": valid,
        "invalid_rows": source.count() - valid,
    });
    for (writer, name) in [(valid_rows, "valid_path"), (invalid_rows, "invalid_path")] {
        if let Some(writer) = writer {
            writer.finish(token)?.add_to(&mut result, name, None);
        }
    }
    Ok(result)
}

/// Adds the violations of the row at `line` to the violations of the file.
fn add(all: &mut Violations, of_row: Violations, line: u64) {
    all.truncated |= of_row.truncated || all.listed.len() + of_row.listed.len() > VIOLATIONS_MAX;
    let left = VIOLATIONS_MAX - all.listed.len();
    all.listed.extend(of_row.listed.into_iter().take(left).map(|mut violation| {
        violation["line"] = json!(line);
        violation
    }));
}
