//! What the libraries say of their work, as lines on standard error.

use std::io;

use clap::ValueEnum;
use llmspell_workflows_basic::targets;
use serde::Deserialize;
use tracing::{Level, level_filters::LevelFilter};
use tracing_subscriber::{
    Registry,
    filter::Targets,
    fmt::{self, MakeWriter},
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

use crate::{output::Output, screen::screen};

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// What the targets of the libraries and of this program begin with.
const OURS: [&str; 2] = ["llmspell_workflows", "spellflow"];

/// Writes log lines from now on: those that `filter` admits, or warnings and errors where there is none.
pub(crate) fn start(filter: Option<&str>, format: LogFormat, output: &Output) {
    let targets = filter.and_then(|directives| parse(directives).ok()).unwrap_or_else(by_default);
    let registry = Registry::default().with(targets);
    match format {
        LogFormat::Text => registry.with(fmt::layer().with_ansi(output.paints_err()).with_writer(Lines)).init(),
        LogFormat::Json => {
            registry.with(fmt::layer().json().flatten_event(true).with_current_span(false).with_writer(Lines)).init();
        }
    }
}

/// Without the warnings of runs, which commands show themselves.
fn by_default() -> Targets {
    ours(LevelFilter::WARN).with_target(targets::WARNING, LevelFilter::OFF)
}

fn ours(level: LevelFilter) -> Targets {
    OURS.into_iter().fold(Targets::new(), |targets, target| targets.with_target(target, level))
}

/// What `-v`, `-vv` and so on ask for, as directives.
pub(crate) fn directives(verbosity: u8) -> Option<String> {
    let level = match verbosity {
        0 => return None,
        1 => Level::INFO,
        2 => Level::DEBUG,
        _ => Level::TRACE,
    };
    Some(level.as_str().to_lowercase())
}

/// Directives, separated by commas: a level for all of ours, or `TARGET=LEVEL` for whatever begins with `TARGET`.
///
/// # Errors
/// One is neither; the message says what it must be.
pub(crate) fn parse(directives: &str) -> Result<Targets, String> {
    let mut targets = Targets::new();
    for directive in directives.split(',').map(str::trim).filter(|directive| !directive.is_empty()) {
        let (target, level) = match directive.split_once('=') {
            Some((target, level)) => (Some(target.trim()), level.trim()),
            None => (None, directive),
        };
        let level: LevelFilter = level
            .parse()
            .map_err(|_| format!("`{level}` is not a level: use `off`, `error`, `warn`, `info`, `debug` or `trace`"))?;
        targets = match target {
            Some(target) => targets.with_target(target, level),
            None => targets.with_targets(OURS.map(|target| (target, level))),
        };
    }
    Ok(targets)
}

/// Standard error, whole lines at a time, so that they never stand inside of the live view.
struct Lines;

impl MakeWriter<'_> for Lines {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        Self
    }
}

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        screen().write(&String::from_utf8_lossy(bytes))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directives_admit_levels_by_target() {
        let step = targets::STEP;
        for (text, target, level, admits) in [
            ("info", step, Level::INFO, true),
            ("info", step, Level::DEBUG, false),
            ("info", "rustls", Level::INFO, false),
            ("warn, llmspell_workflows::step=trace", step, Level::TRACE, true),
            ("warn, llmspell_workflows::step=trace", targets::RUN, Level::INFO, false),
            ("hyper=debug", "hyper::client", Level::DEBUG, true),
            ("off", targets::JOURNAL, Level::ERROR, false),
        ] {
            assert_eq!(parse(text).unwrap().would_enable(target, &level), admits, "{text}: {target} at {level}");
        }
    }

    #[test]
    fn directives_without_a_level_are_refused() {
        for text in ["debgu", "llmspell_workflows::step", "llmspell_workflows=loud", "a=b=info"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn warnings_of_runs_are_shown_once() {
        assert!(by_default().would_enable(targets::HOOK, &Level::WARN));
        assert!(!by_default().would_enable(targets::WARNING, &Level::WARN));
    }
}
