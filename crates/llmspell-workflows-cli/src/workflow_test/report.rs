use std::fmt::Write;

use serde_json::Value;
use similar::{ChangeTag, TextDiff};

use super::{CaseReport, Mismatch};
use crate::output::{Output, Paint};

/// Renders the results of the cases in `file`, with the differences in each failed case and in the
/// file as a whole.
pub(crate) fn report_text(
    output: &Output,
    file: &str,
    workflow: Option<&str>,
    cases: &[CaseReport],
    mismatches: &[Mismatch],
) -> String {
    let about = workflow.map(|name| format!(" ({name})")).unwrap_or_default();
    let mut text = format!("{file}{about}\n");
    for case in cases {
        let verdict = match case.passed {
            true => output.on_out(Paint::Good, "ok  "),
            false => output.on_out(Paint::Bad, "FAIL"),
        };
        line(&mut text, 2, &format!("{verdict} {}", case.name));
        if let Some(error) = &case.error {
            line(&mut text, 7, error);
        }
        case.mismatches.iter().for_each(|mismatch| difference(&mut text, output, mismatch));
    }
    if !mismatches.is_empty() {
        line(&mut text, 2, &format!("{} mocks of the file", output.on_out(Paint::Bad, "FAIL")));
        mismatches.iter().for_each(|mismatch| difference(&mut text, output, mismatch));
    }
    text
}

fn line(text: &mut String, margin: usize, content: &str) {
    for part in content.lines() {
        writeln!(text, "{:margin$}{part}", "").expect("writing to a String cannot fail");
    }
}

fn difference(text: &mut String, output: &Output, mismatch: &Mismatch) {
    line(text, 7, &output.on_out(Paint::Bold, &mismatch.at));
    let (expected, got) = (&mismatch.expected, &mismatch.got);
    match (block(expected), got.as_ref().and_then(block)) {
        (Some(expected), Some(got)) => {
            for change in TextDiff::from_lines(&expected, &got).iter_all_changes() {
                let content = change.value().trim_end_matches('\n');
                let shown = match change.tag() {
                    ChangeTag::Equal => format!("  {content}"),
                    ChangeTag::Delete => output.on_out(Paint::Good, &format!("- {content}")),
                    ChangeTag::Insert => output.on_out(Paint::Bad, &format!("+ {content}")),
                };
                line(text, 9, &shown);
            }
            line(text, 9, "(- expected, + got)");
        }
        _ => {
            line(text, 9, &format!("expected {}", output.on_out(Paint::Good, &expected.to_string())));
            let got = got.as_ref().map_or_else(|| "nothing".to_owned(), Value::to_string);
            line(text, 9, &format!("got      {}", output.on_out(Paint::Bad, &got)));
        }
    }
    if let Some(note) = &mismatch.note {
        line(text, 9, &output.on_out(Paint::Dim, &format!("({note})")));
    }
}

/// Renders a value that does not fit on one line.
fn block(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if text.trim_end().contains('\n') => Some(format!("{}\n", text.trim_end())),
        Value::Array(items) if items.len() > 2 => Some(format!("{value:#}\n")),
        Value::Object(fields) if fields.len() > 2 => Some(format!("{value:#}\n")),
        _ => None,
    }
}
