//! Output: results go to standard output, and everything else goes to standard error.

use std::{
    ffi::OsString,
    io::{self, IsTerminal, Write},
    sync::atomic::{AtomicBool, Ordering},
};

use clap::ValueEnum;
use llmspell_workflows_definition::{Diagnostics, Style};
use serde::{Deserialize, Serialize};

use crate::{Exit, Failure, escape, report::with_options, screen::screen};

/// The format of results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Format {
    /// Text for people.
    Text,
    /// One JSON value.
    Json,
    /// One JSON value per line.
    Jsonl,
    /// One YAML document.
    Yaml,
}

/// When to use colors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Color {
    /// On a terminal, unless `NO_COLOR` is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// A meaning conveyed by color; the text conveys the same meaning without color.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Paint {
    Good,
    Bad,
    Warn,
    Dim,
    Bold,
}

/// Whether some output could not be written; global, because the process has one standard output.
static OUTPUT_LOST: AtomicBool = AtomicBool::new(false);

/// Writes results, notes and failures in the configured format.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    format: Format,
    paints_out: bool,
    paints_err: bool,
}

impl Format {
    /// Returns the output format requested by `arguments`, even if the arguments as a whole are invalid.
    pub(crate) fn find_in(arguments: &[OsString]) -> Option<Self> {
        let texts: Vec<_> = arguments.iter().filter_map(|argument| argument.to_str()).collect();
        let apart = texts.windows(2).filter(|pair| matches!(pair[0], "-o" | "--output")).map(|pair| pair[1]);
        let together = texts.iter().filter_map(|text| {
            let value = text.strip_prefix("--output=").or_else(|| text.strip_prefix("-o"))?;
            Some(value.trim_start_matches('='))
        });
        apart.chain(together).find_map(|value| Self::from_str(value, true).ok())
    }
}

impl Output {
    pub(crate) fn new(format: Format, color: Color) -> Self {
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let paints = |is_terminal: bool| match color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => is_terminal && !no_color,
        };
        let (out, err) = (io::stdout().is_terminal(), io::stderr().is_terminal());
        Self { format, paints_out: paints(out), paints_err: paints(err) }
    }

    /// Creates an output without colors.
    pub(crate) fn plain(format: Format) -> Self {
        Self { format, paints_out: false, paints_err: false }
    }

    pub(crate) fn format(&self) -> Format {
        self.format
    }

    pub(crate) fn is_text(&self) -> bool {
        self.format == Format::Text
    }

    /// Renders diagnostics for standard error.
    pub(crate) fn on_err_rendered(&self, diagnostics: &Diagnostics) -> String {
        rendered(diagnostics, self.paints_err)
    }

    /// Renders diagnostics for standard output.
    pub(crate) fn on_out_rendered(&self, diagnostics: &Diagnostics) -> String {
        rendered(diagnostics, self.paints_out)
    }

    /// Writes a command's result in a format for programs; [`Self::text`] writes the text format.
    pub(crate) fn payload(&self, value: &impl Serialize) {
        let written = match self.format {
            Format::Yaml => {
                serde_json::to_value(value).map(|value| llmspell_workflows_definition::value_to_yaml(&value))
            }
            Format::Jsonl => serde_json::to_string(value).and_then(lines),
            Format::Text | Format::Json => serde_json::to_string_pretty(value).map(|text| text + "\n"),
        };
        self.text(&written.expect("results are plain data with string keys"));
    }

    /// Writes `text` to standard output, with its control characters escaped. A closed pipe is not an error; any other
    /// failure, such as a full disk, is reported and changes the exit code ([`Self::exit`]).
    pub(crate) fn text(&self, text: &str) {
        let mut out = io::stdout().lock();
        let Err(error) = out.write_all(escape::for_terminal(text).as_bytes()).and_then(|()| out.flush()) else {
            return;
        };
        if error.kind() != io::ErrorKind::BrokenPipe && !OUTPUT_LOST.swap(true, Ordering::Relaxed) {
            self.note(&format!("{}: could not write to standard output: {error}", self.on_err(Paint::Bad, "error")));
        }
    }

    /// Returns `exit`, or [`Exit::Failed`] instead of [`Exit::Ok`] if some output could not be
    /// written.
    pub(crate) fn exit(&self, exit: Exit) -> Exit {
        if exit == Exit::Ok && OUTPUT_LOST.load(Ordering::Relaxed) { Exit::Failed } else { exit }
    }

    /// Writes a line to standard error, and adds the necessary options to the commands in the line.
    pub(crate) fn note(&self, line: &str) {
        // If standard error is closed, nothing can be reported.
        let _ = screen().write(&format!("{}\n", with_options(line)));
    }

    /// Writes `text`, which ends with a line break, to standard error, with its control characters
    /// escaped.
    pub(crate) fn lines(&self, text: &str) {
        // If standard error is closed, nothing can be reported.
        let _ = screen().write(text);
    }

    /// Reports a failure and returns its exit code.
    pub(crate) fn failure(&self, failure: &Failure) -> Exit {
        match self.format {
            Format::Text => {
                if let Some(diagnostics) = &failure.diagnostics {
                    let _ = screen().write(&self.on_err_rendered(diagnostics));
                }
                self.note(&format!("{}: {}", self.on_err(Paint::Bad, "error"), failure.message));
                if let Some(help) = &failure.help {
                    self.note(&format!("  {} {help}", self.on_err(Paint::Dim, "help:")));
                }
            }
            _ => self.payload(&failure.to_json()),
        }
        failure.exit
    }

    /// Colors `text` for standard output.
    pub(crate) fn on_out(&self, paint: Paint, text: &str) -> String {
        paint.apply(self.paints_out, text)
    }

    /// Colors `text` for standard error.
    pub(crate) fn on_err(&self, paint: Paint, text: &str) -> String {
        paint.apply(self.paints_err, text)
    }
}

/// Returns JSON as one line, or a list as one line per item.
fn lines(text: String) -> Result<String, serde_json::Error> {
    if !text.starts_with('[') {
        return Ok(text + "\n");
    }
    let items: Vec<serde_json::Value> = serde_json::from_str(&text)?;
    Ok(items.iter().map(|item| format!("{item}\n")).collect())
}

/// Renders diagnostics; the result contains no control characters except those used for styling.
fn rendered(diagnostics: &Diagnostics, paints: bool) -> String {
    escape::trusted(&diagnostics.render(if paints { Style::Colour } else { Style::Plain }))
}

impl Paint {
    fn apply(self, is_on: bool, text: &str) -> String {
        let code = match self {
            Self::Good => "32",
            Self::Bad => "1;31",
            Self::Warn => "33",
            Self::Dim => "2",
            Self::Bold => "1",
        };
        if is_on { escape::styled(code, text) } else { text.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_format_is_found_even_in_invalid_arguments() {
        for (arguments, expected) in [
            (vec!["spellflow", "rnu", "-o", "json"], Some(Format::Json)),
            (vec!["spellflow", "-ojson"], Some(Format::Json)),
            (vec!["spellflow", "--output=yaml"], Some(Format::Yaml)),
            (vec!["spellflow", "-o"], None),
            (vec!["spellflow", "run", "json"], None),
        ] {
            let arguments: Vec<OsString> = arguments.into_iter().map(Into::into).collect();
            assert_eq!(Format::find_in(&arguments), expected, "{arguments:?}");
        }
    }
}
