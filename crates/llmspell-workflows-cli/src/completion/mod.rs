//! Completions of words that the command line definition does not contain: runs, steps, tools and
//! workflow files.
//!
//! A shell's script calls this program with the variable [`VARIABLE`] set and the words of the
//! command line after `--`.

mod quoting;

use std::{
    collections::BTreeSet,
    ffi::{OsStr, OsString},
    path::Path,
};

use clap::{ArgMatches, Command};
use clap_complete::{
    engine::{ArgValueCompleter, CompletionCandidate, PathCompleter},
    env::{Bash, CompleteEnv, Elvish, EnvCompleter, Fish, Powershell, Shells, Zsh},
};
use llmspell_workflows_advanced::{Home, KnownRun, RunQuery};
use tokio::runtime::{Builder, Runtime};

use crate::{app, cli::Global, config::Config, host};
use quoting::{Quoting, for_bash, for_powershell};

const SHELLS: Shells<'static> = Shells(&[
    &Quoting { shell: Bash, quote: for_bash },
    &Elvish,
    &Fish,
    &Quoting { shell: Powershell, quote: for_powershell },
    &Zsh,
]);

/// The variable that contains the name of the shell during a completion.
const VARIABLE: &str = "_SPELLFLOW_COMPLETE";

/// The maximum number of runs offered.
const RUNS_MAX: usize = 50;

/// The file name extensions of workflow files.
const FILE_ENDINGS: [&str; 3] = ["yaml", "yml", "json"];

/// Completes a command line and exits, if this process was started to do so.
pub(crate) fn complete_if_asked() {
    CompleteEnv::with_factory(|| with_values(crate::cli::command()))
        .shells(SHELLS)
        .var(VARIABLE)
        .bin("spellflow")
        .complete();
}

/// Returns the names of the shells that have a completion script.
pub(crate) fn shells() -> Vec<&'static str> {
    SHELLS.names().collect()
}

/// Returns the script that connects `shell` with this program; `None` if the shell is unknown.
pub(crate) fn script(shell: &str) -> Option<String> {
    let mut text = Vec::new();
    let completer: &dyn EnvCompleter = SHELLS.completer(shell)?;
    completer.write_registration(VARIABLE, "spellflow", "spellflow", "spellflow", &mut text).ok()?;
    String::from_utf8(text).ok()
}

/// Adds completions to the arguments of `command` and of its subcommands.
fn with_values(command: Command) -> Command {
    let name = command.get_name().to_owned();
    let command = command.mut_args(|arg| {
        let completer = match (arg.get_id().as_str(), &*name) {
            ("run" | "runs" | "other" | "parent", _) => ArgValueCompleter::new(runs),
            ("step" | "at" | "path" | "keep", _) | ("from", "fork" | "retry" | "diff") | ("to", "diff") => {
                ArgValueCompleter::new(steps)
            }
            ("name", "show" | "call" | "explain") => ArgValueCompleter::new(tools),
            ("file", "import") => ArgValueCompleter::new(PathCompleter::file().stdio()),
            ("file", "run" | "plan" | "graph") => ArgValueCompleter::new(workflow_files().stdio()),
            ("files" | "definition", _) => ArgValueCompleter::new(workflow_files()),
            _ => return arg,
        };
        arg.add(completer)
    });
    command.mut_subcommands(with_values)
}

fn workflow_files() -> PathCompleter {
    let is_workflow = |path: &Path| {
        path.is_dir() || path.extension().and_then(OsStr::to_str).is_some_and(|ending| FILE_ENDINGS.contains(&ending))
    };
    PathCompleter::any().filter(is_workflow)
}

/// The store and the run given in the words of the command line.
struct Given {
    config: Config,
    run: Option<String>,
}

impl Given {
    /// Reads the words of the command line being completed.
    fn read() -> Option<Self> {
        let words: Vec<OsString> = std::env::args_os().skip_while(|word| word != "--").skip(1).collect();
        let matches = crate::cli::command().ignore_errors(true).try_get_matches_from(words).ok()?;
        let mut inner = &matches;
        let mut run = None;
        let text = |matches: &ArgMatches, id: &str| matches.try_get_one::<String>(id).ok().flatten().cloned();
        let path = |id: &str| matches.try_get_one::<std::path::PathBuf>(id).ok().flatten().cloned();
        while let Some((_, sub)) = inner.subcommand() {
            run = text(sub, "run").or(run);
            inner = sub;
        }
        let global = Global { store: path("store"), config: path("config"), ..Global::default() };
        Some(Self { config: Config::load(&global).ok()?, run })
    }

    /// Reads from the store with `read`.
    fn read_store<T>(&self, read: impl AsyncFnOnce(&dyn Home) -> Option<T>) -> Option<T> {
        let home = app::home(self.config.settings());
        let runtime: Runtime = Builder::new_current_thread().enable_all().build().ok()?;
        runtime.block_on(read(&*home))
    }
}

fn runs(current: &OsStr) -> Vec<CompletionCandidate> {
    let Some(current) = current.to_str() else { return Vec::new() };
    let prefix = Some(current.to_owned()).filter(|prefix| !prefix.is_empty() && !prefix.starts_with('@'));
    let query = RunQuery { id_prefix: prefix, limit: RUNS_MAX, ..RunQuery::default() };
    let found = Given::read().and_then(|given| given.read_store(async |home| home.runs(&query).await.ok()));
    let found = found.unwrap_or_default();
    let last = found.first().map(|run| CompletionCandidate::new("@last").help(Some(about(run).into())));
    let ids = found.iter().map(|run| CompletionCandidate::new(run.id().to_string()).help(Some(about(run).into())));
    let all = last.into_iter().chain(ids).enumerate().map(|(at, run)| run.display_order(Some(at)));
    all.filter(|run| run.get_value().to_string_lossy().starts_with(current)).collect()
}

fn about(run: &KnownRun) -> String {
    format!("{} {}, {}", run.status(), run.summary.workflow, run.summary.started_at.strftime("%Y-%m-%d %H:%M:%S"))
}

/// Returns the steps of the run named on the command line: full paths after a `/`, otherwise path
/// suffixes.
fn steps(current: &OsStr) -> Vec<CompletionCandidate> {
    let Some(current) = current.to_str() else { return Vec::new() };
    let paths = Given::read().and_then(|given| {
        let run = given.run.clone()?;
        given.read_store(async |home| {
            let known = home.find(&run).await.ok()?;
            Some(home.history(&known).await.ok()?.steps.into_iter().map(|step| step.path).collect::<Vec<_>>())
        })
    });
    let end = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
    let paths = paths.unwrap_or_default();
    let names: BTreeSet<String> = match current.starts_with('/') {
        true => paths.into_iter().collect(),
        // A suffix identifies a step only if exactly one path has it.
        false => {
            let ends: Vec<String> = paths.iter().map(|path| end(path)).collect();
            let is_unique = |name: &&String| ends.iter().filter(|end| end == name).count() == 1;
            let whole = paths.iter().filter(|path| !is_unique(&&end(path))).map(|path| path.trim_start_matches('/'));
            let whole = whole.map(str::to_owned).collect::<Vec<_>>();
            ends.iter().filter(is_unique).cloned().chain(whole).collect()
        }
    };
    names.into_iter().filter(|name| name.starts_with(current)).map(CompletionCandidate::new).collect()
}

fn tools(current: &OsStr) -> Vec<CompletionCandidate> {
    let Some(current) = current.to_str() else { return Vec::new() };
    let registry = Given::read().and_then(|given| host::tools(given.config.settings()).ok());
    let specs = registry.iter().flat_map(|registry| registry.specs());
    let found = specs.filter(|spec| spec.name.starts_with(current));
    found.map(|spec| CompletionCandidate::new(spec.name).help(Some(spec.description.to_owned().into()))).collect()
}

#[cfg(test)]
mod tests {
    use clap::Command;

    use super::*;

    /// Every argument that names a run, a step or a tool is completed.
    #[test]
    fn arguments_are_completed_according_to_their_meaning() {
        fn check(command: &Command, found: &mut Vec<String>) {
            for arg in command.get_arguments() {
                let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
                let means =
                    ["The run:", "The runs:", "The other run", "its path or", "alias of the tool", "The definition"];
                let is_known = means.iter().any(|part| help.contains(part));
                let is_completed = arg.get::<ArgValueCompleter>().is_some();
                assert!(!is_known || is_completed, "{} {}: {help}", command.get_name(), arg.get_id());
                if is_completed {
                    found.push(format!("{} {}", command.get_name(), arg.get_id()));
                }
            }
            command.get_subcommands().for_each(|command| check(command, found));
        }
        let mut found = Vec::new();
        check(&with_values(crate::cli::command()), &mut found);
        for expected in
            ["resume run", "logs step", "fork from", "resolve path", "call name", "validate files", "run file"]
        {
            assert!(found.iter().any(|one| one == expected), "{expected} in {found:?}");
        }
    }
}
