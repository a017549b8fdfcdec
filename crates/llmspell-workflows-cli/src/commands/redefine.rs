//! Options for continuing a run under another definition, and a preview of the repeated steps.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::Args;
use llmspell_workflows_advanced::{Cause, Continuation, KnownRun, Preview, Redefinition, RewindOptions, RunsAgain};
use llmspell_workflows_basic::model::Definition;
use serde::Serialize;

use super::run::{Session, check_secrets};
use crate::{Failure, config::Settings, difference::diff_definitions, host, source::Source};

/// The definition under which a run continues.
#[derive(Debug, Clone, Args)]
pub(crate) struct Redefine {
    /// Continue under the definition in this file; changed steps and the steps after them run
    /// again.
    #[arg(long, value_name = "FILE")]
    definition: Option<PathBuf>,
    /// Keep the result of the changed step at this path (or path suffix); may be repeated.
    #[arg(long, value_name = "PATH", requires = "definition")]
    keep: Vec<String>,
    /// Show what would run again, without running anything.
    #[arg(long)]
    dry_run: bool,
}

/// A run, and how a command continues it.
pub(crate) struct Continued<'s> {
    pub(crate) settings: &'s Settings,
    pub(crate) known: &'s KnownRun,
    pub(crate) continuation: Continuation,
}

impl Redefine {
    /// Returns the definition's file.
    pub(crate) fn file(&self) -> Option<&Path> {
        self.definition.as_deref()
    }

    /// Reads the definition, if one was given.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read or the definition is not valid.
    pub(crate) fn definition(&self, session: &Session) -> Result<Option<Arc<Definition>>, Failure> {
        let Some(file) = &self.definition else { return Ok(None) };
        Ok(Some(Arc::new(Source::read(file)?.check(session.executor().engine())?.definition)))
    }

    /// Adds the definition to `options` and shows what it changes. Checks the definition's secrets
    /// first, except in a dry run. Returns `false` after a dry run, because the run then does not
    /// continue.
    ///
    /// # Errors
    /// Returns an error if the definition is not valid or the run cannot continue under it.
    pub(crate) fn prepare(
        &self,
        session: &Session,
        continued: &Continued<'_>,
        options: &mut RewindOptions,
    ) -> Result<bool, Failure> {
        match self.definition(session)? {
            Some(definition) => {
                if !self.dry_run {
                    host::check_secrets(continued.settings, &definition)?;
                }
                options.definition = Some(Redefinition { definition, keep: self.keep.clone() });
            }
            None if !self.dry_run => {
                check_secrets(session, continued.settings, continued.known)?;
                return Ok(true);
            }
            None => {}
        }
        let preview = session.wait(session.executor().preview(continued.known, continued.continuation, options))?;
        let output = session.output();
        match self.dry_run {
            true if output.is_text() => output.text(&text(&preview, options)),
            true => output.payload(&Shown::new(continued.known, &preview)),
            false => output.note(text(&preview, options).trim_end()),
        }
        Ok(!self.dry_run)
    }
}

fn text(preview: &Preview, options: &RewindOptions) -> String {
    let mut text = match (&preview.difference, &options.definition) {
        (Some(difference), _) => {
            let name = &difference.new.name;
            format!("the definition of `{name}` has changed:\n{}", diff_definitions(&difference.old, &difference.new))
        }
        (None, Some(_)) => "the definition has not changed\n".to_owned(),
        (None, None) => String::new(),
    };
    let mut list = |title: &str, lines: Vec<String>| {
        if !lines.is_empty() {
            text.push_str(&format!("{title}:\n"));
            lines.iter().for_each(|line| text.push_str(&format!("  {line}\n")));
        }
    };
    let width = preview.runs_again.iter().map(|step| step.path.chars().count()).max().unwrap_or_default();
    let again = |step: &RunsAgain| format!("{:width$}  {}", step.path, reason(step));
    list("runs again", preview.runs_again.iter().map(again).collect());
    list("removed, so its results no longer count", preview.removed.clone());
    list("changed, but kept as is", preview.kept.clone());
    text
}

/// Describes why a step runs again.
fn reason(step: &RunsAgain) -> String {
    match &step.cause {
        Cause::Requested if step.has_completed => "as you asked".to_owned(),
        Cause::Requested => "it did not complete".to_owned(),
        Cause::Changed => "it has changed".to_owned(),
        Cause::Reads(name) => format!("it reads `{name}`, which has changed"),
        Cause::New(path) => format!("it comes after {path}, which is new"),
        Cause::Removed(path) => format!("it came after {path}, which was removed"),
        Cause::Moved => "it has moved".to_owned(),
        Cause::Undone => "it was undone".to_owned(),
        Cause::Follows(path) => format!("it comes after {path}"),
    }
}

/// The result of a dry run, in the formats for programs.
#[derive(Serialize)]
struct Shown<'p> {
    run_id: String,
    /// A unified diff; `null` if the definition has not changed.
    difference: Option<String>,
    runs_again: Vec<ShownStep<'p>>,
    removed: &'p [String],
    kept: &'p [String],
}

#[derive(Serialize)]
struct ShownStep<'p> {
    path: &'p str,
    completed: bool,
    reason: &'static str,
    /// The name or path of the step given as the reason.
    because_of: Option<&'p str>,
}

impl<'p> Shown<'p> {
    fn new(known: &KnownRun, preview: &'p Preview) -> Self {
        let step = |step: &'p RunsAgain| {
            let (reason, because_of) = match &step.cause {
                Cause::Requested => ("requested", None),
                Cause::Changed => ("changed", None),
                Cause::Reads(name) => ("reads", Some(name.as_str())),
                Cause::New(path) => ("after_new", Some(path.as_str())),
                Cause::Removed(path) => ("after_removed", Some(path.as_str())),
                Cause::Moved => ("moved", None),
                Cause::Undone => ("undone", None),
                Cause::Follows(path) => ("after", Some(path.as_str())),
            };
            ShownStep { path: &step.path, completed: step.has_completed, reason, because_of }
        };
        Self {
            run_id: known.id().to_string(),
            difference: preview.difference.as_ref().map(|it| diff_definitions(&it.old, &it.new)),
            runs_again: preview.runs_again.iter().map(step).collect(),
            removed: &preview.removed,
            kept: &preview.kept,
        }
    }
}
