//! Tests the rendered message of each kind of error; `UPDATE_GOLDEN=1` updates the golden files.

use std::{
    fs,
    path::{Path, PathBuf},
};

use llmspell_workflows_definition::{StepTypes, Style, read_bytes};

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/bad");
    let entries = fs::read_dir(folder).expect("the fixtures exist");
    let mut files: Vec<_> = entries.map(|entry| entry.expect("the fixture is readable").path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension != "txt"));
    files.sort();
    files
}

#[test]
fn rendered_errors_match_the_golden_files() {
    let mut wrong = Vec::new();
    for path in files() {
        let name = path.file_name().unwrap().to_string_lossy();
        let diagnostics = read_bytes(&fs::read(&path).unwrap(), &name, &StepTypes::new()).unwrap_err();
        let text = diagnostics.render(Style::Plain);
        let golden = path.with_extension("txt");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&golden, &text).unwrap();
        }
        if fs::read_to_string(&golden).unwrap_or_default() != text {
            wrong.push(format!("{}:\n{text}", golden.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn colored_output_differs_only_in_escape_codes() {
    for path in files() {
        let diagnostics = read_bytes(&fs::read(&path).unwrap(), "x", &StepTypes::new()).unwrap_err();
        let mut text = String::new();
        let coloured = diagnostics.render(Style::Colour);
        let mut rest = coloured.as_str();
        while let Some((before, after)) = rest.split_once('\u{1b}') {
            text.push_str(before);
            rest = after.split_once('m').unwrap().1;
        }
        text.push_str(rest);
        assert_eq!(text, diagnostics.render(Style::Plain));
    }
}

#[test]
fn diagnostics_serialize_with_location_and_help() {
    let text = "name: x\nsteps:\n  - {id: a, tool: t, timout: 3}\n";
    let diagnostics = read_bytes(text.as_bytes(), "flow.yml", &StepTypes::new()).unwrap_err();
    let expected = serde_json::json!({
        "file": "flow.yml",
        "diagnostics": [{
            "code": "unknown_field",
            "severity": "error",
            "message": "`timout` is not a field of a `tool` step",
            "help": "did you mean `timeout`?",
            "line": 3,
            "column": 22,
            "end_line": 3,
            "end_column": 28,
            "path": "/main/a",
        }],
    });
    assert_eq!(serde_json::to_value(&diagnostics).unwrap(), expected);
}

#[test]
fn every_code_has_a_documentation_page() {
    let pages = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/errors");
    for path in files() {
        let diagnostics = read_bytes(&fs::read(&path).unwrap(), "x", &StepTypes::new()).unwrap_err();
        for each in diagnostics.list() {
            assert!(pages.join(format!("{}.md", each.code)).is_file(), "docs/errors/{}.md is missing", each.code);
        }
    }
}
