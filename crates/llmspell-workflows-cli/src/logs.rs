//! Logs of the libraries and of this program, written to standard error.

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

use crate::{
    output::{Format, Output, Paint},
    screen::screen,
};

/// The format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// Text for people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// Prefixes of the log targets used by the libraries and this program.
const OURS: [&str; 2] = ["llmspell_workflows", "spellflow"];

/// Starts logging the lines that pass `filter`; without a filter, only warnings and errors are logged.
pub(crate) fn start(filter: Option<&str>, format: LogFormat, output: &Output) {
    let targets = filter.and_then(|directives| parse(directives).ok()).unwrap_or_else(default_targets);
    let registry = Registry::default().with(targets);
    match format {
        LogFormat::Text => registry.with(fmt::layer().with_ansi(false).with_writer(Lines(*output))).init(),
        LogFormat::Json => {
            let lines = Lines(Output::plain(Format::Json));
            registry.with(fmt::layer().json().flatten_event(true).with_current_span(false).with_writer(lines)).init();
        }
    }
}

/// Returns the default filter, which excludes the warnings of runs because the commands show these
/// warnings themselves.
fn default_targets() -> Targets {
    ours(LevelFilter::WARN).with_target(targets::WARNING, LevelFilter::OFF)
}

fn ours(level: LevelFilter) -> Targets {
    OURS.into_iter().fold(Targets::new(), |targets, target| targets.with_target(target, level))
}

/// Returns the log directives for `-v`, `-vv` and so on.
pub(crate) fn directives(verbosity: u8) -> Option<String> {
    let level = match verbosity {
        0 => return None,
        1 => Level::INFO,
        2 => Level::DEBUG,
        _ => Level::TRACE,
    };
    Some(level.as_str().to_lowercase())
}

/// Parses comma-separated directives: `LEVEL` for all targets in [`OURS`], or `TARGET=LEVEL` for
/// targets beginning with `TARGET`.
///
/// # Errors
/// Returns an error if a level is unknown; the message lists the levels.
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

/// Writes whole log lines to standard error through the [`screen`], so they never appear inside the
/// live view.
struct Lines(Output);

impl MakeWriter<'_> for Lines {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        Self(self.0)
    }
}

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        screen().write(&painted(&String::from_utf8_lossy(bytes), &self.0))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Colors the level of a log line, which is its second word.
fn painted(line: &str, output: &Output) -> String {
    let level = line.split_ascii_whitespace().nth(1).unwrap_or_default();
    let paint = match level {
        "ERROR" => Paint::Bad,
        "WARN" => Paint::Warn,
        "INFO" => Paint::Good,
        "DEBUG" | "TRACE" => Paint::Dim,
        _ => return line.to_owned(),
    };
    line.replacen(level, &output.on_err(paint, level), 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directives_set_levels_by_target() {
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
    fn directives_without_a_valid_level_are_rejected() {
        for text in ["debgu", "llmspell_workflows::step", "llmspell_workflows=loud", "a=b=info"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn default_filter_excludes_run_warnings() {
        assert!(default_targets().would_enable(targets::HOOK, &Level::WARN));
        assert!(!default_targets().would_enable(targets::WARNING, &Level::WARN));
    }
}
