//! Checks the code blocks of one page.

use std::fs;

use serde_json::{Value, json};

use super::blocks::Block;
use crate::{
    gallery::{page::PageCommand, shell},
    support::{CommandOutput, Sandbox},
};

/// The folder of a page, with the files shown on the page so far.
pub(super) struct PageCheck(Sandbox);

impl PageCheck {
    pub(super) fn new() -> Self {
        Self(Sandbox::new())
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.0.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Checks a block and the blocks about its run, and describes the first difference.
    pub(super) fn check_group(&mut self, group: &[Block]) -> Result<(), String> {
        let checked = self.check(group);
        match (group[0].is_new_rule, checked) {
            (true, Ok(())) => Err("this is what the program does; remove the mark NEW-RULE".to_owned()),
            (true, Err(_)) => Ok(()),
            (false, checked) => checked,
        }
    }

    fn check(&mut self, group: &[Block]) -> Result<(), String> {
        let block = &group[0];
        let (name, arguments) = block.file();
        match block.kind.as_str() {
            "yaml host" => {
                self.write(name, &block.text);
                self.check_host_activities(group, name)
            }
            "yaml run" | "yaml fail" | "yaml validate" | "yaml invalid" => {
                self.write(name, &block.text);
                let validated = self.0.run(&["validate", "--strict", name]);
                if block.kind == "yaml invalid" {
                    let shown = group.get(1).map_or(Ok(()), |block| check_text(&block.text, &validated.stdout));
                    return if validated.code == 3 { shown } else { Err(format!("it is valid: {}", validated.stdout)) };
                }
                if validated.code != 0 {
                    return Err(format!("it is not valid\n{}{}", validated.stdout, validated.stderr));
                }
                if block.kind == "yaml validate" {
                    return if group.len() == 1 { Ok(()) } else { Err("nothing has run".to_owned()) };
                }
                let line = format!("spellflow run {name} {arguments} --in-memory -o json");
                let ended = shell(&self.0, &line);
                let expected = i32::from(block.kind == "yaml fail");
                if ended.code != expected {
                    return Err(format!("it ended with {}\n{}{}", ended.code, ended.stdout, ended.stderr));
                }
                group[1..].iter().try_for_each(|block| check_run(block, &ended))
            }
            "yaml test" | "toml file" => {
                self.write(name, &block.text);
                Ok(())
            }
            "console" => self.check_console(&block.text),
            "yaml part" | "text" => Ok(()),
            other => Err(format!("unknown kind of block `{other}`")),
        }
    }

    /// Checks that the only problems of a definition are activities missing from the program.
    fn check_host_activities(&self, group: &[Block], name: &str) -> Result<(), String> {
        let found = self.0.run(&["validate", "--strict", name, "-o", "json"]).json();
        let problems = found["files"][0]["diagnostics"].as_array().cloned().unwrap_or_default();
        if problems.is_empty() || problems.iter().any(|problem| problem["code"] != "unknown_activity") {
            return Err(format!("it has other problems than unknown activities: {found}"));
        }
        let validated = self.0.run(&["validate", "--strict", name]);
        group.get(1).map_or(Ok(()), |block| check_text(&block.text, &validated.stdout))
    }

    fn check_console(&self, text: &str) -> Result<(), String> {
        let mut commands: Vec<(String, String)> = Vec::new();
        for line in text.lines() {
            match (line.strip_prefix("$ "), commands.last_mut()) {
                (Some(command), _) => commands.push((command.to_owned(), String::new())),
                (None, Some((_, output))) => *output += &format!("{line}\n"),
                (None, None) => return Err(format!("`{line}` follows no command")),
            }
        }
        commands.into_iter().try_for_each(|(command, output)| {
            let ended = shell(&self.0, &command);
            PageCommand::new(command, output).difference(&ended.stdout, &ended.stderr).map_or(Ok(()), Err)
        })
    }
}

fn check_text(shown: &str, printed: &str) -> Result<(), String> {
    let printed = printed.trim_end();
    PageCommand::new(String::new(), shown.to_owned()).difference(printed, "").map_or(Ok(()), Err)
}

/// Compares a block about a run with the actual run.
fn check_run(block: &Block, ended: &CommandOutput) -> Result<(), String> {
    let run = ended.json();
    let shown: Value = serde_json::from_str(&block.text).map_err(|error| format!("{error}\n{}", block.text))?;
    let (actual, matched) = match block.kind.as_str() {
        "json output" => (run["output"].clone(), matches(&shown, &run["output"], false)),
        "json error" => (run["error"].clone(), matches(&shown, &run["error"], true)),
        "json steps" => {
            let actual = steps(&run);
            let found = shown.as_object().into_iter().flatten().all(|(path, status)| match actual.get(path) {
                Some(found) => found == status,
                None => status == "pending",
            });
            (actual, found)
        }
        other => return Err(format!("unknown kind of block `{other}`")),
    };
    if matched { Ok(()) } else { Err(format!("{}:\nshown  {shown}\nactual {actual}", block.kind)) }
}

/// Returns each step's status and the code of its error or skip reason, by the step's path below
/// the root step.
fn steps(run: &Value) -> Value {
    let status = |step: &Value| {
        let status = step["status"].as_str().unwrap();
        let code = step["skip_reason"]["code"].as_str().or_else(|| step["error"]["code"].as_str());
        match code.filter(|_| status != "completed") {
            Some(code) => format!("{status}: {code}"),
            None => status.to_owned(),
        }
    };
    let path = |step: &Value| step["path"].as_str().unwrap().trim_start_matches("/main/").to_owned();
    run["steps"].as_array().into_iter().flatten().map(|step| (path(step), json!(status(step)))).collect()
}

/// Returns whether `actual` matches `shown`; with `is_partial`, `actual` may have more fields.
fn matches(shown: &Value, actual: &Value, is_partial: bool) -> bool {
    match (shown, actual) {
        (Value::String(text), Value::String(whole)) if text.contains('…') => {
            PageCommand::new(String::new(), format!("{text}\n")).difference(&format!("{whole}\n"), "").is_none()
        }
        (Value::Object(shown), Value::Object(actual)) => {
            (is_partial || shown.len() == actual.len())
                && shown
                    .iter()
                    .all(|(name, value)| actual.get(name).is_some_and(|actual| matches(value, actual, is_partial)))
        }
        (Value::Array(shown), Value::Array(actual)) => {
            shown.len() == actual.len()
                && shown.iter().zip(actual).all(|(shown, actual)| matches(shown, actual, is_partial))
        }
        (Value::String(text), _) if text == "…" => true,
        _ => shown == actual,
    }
}

#[test]
fn shown_values_match_as_described() {
    for (shown, actual, is_partial, expected) in [
        (json!({"a": 1}), json!({"a": 1}), false, true),
        (json!({"a": 1}), json!({"a": 1, "b": 2}), false, false),
        (json!({"a": 1}), json!({"a": 1, "b": 2}), true, true),
        (json!({"a": "x…"}), json!({"a": "xyz"}), false, true),
        (json!({"a": "…"}), json!({"a": {"b": 1}}), false, true),
        (json!([1, 2]), json!([1]), true, false),
    ] {
        assert_eq!(matches(&shown, &actual, is_partial), expected, "{shown} {actual}");
    }
}
