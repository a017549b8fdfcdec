//! Suggested commands. They repeat the necessary options of the current command, so that they work
//! when pasted.

use std::{borrow::Cow, path::Path, sync::OnceLock};

use llmspell_workflows_advanced::RunWait;
use uuid::Uuid;

/// The commands that use the store.
const USE_STORE: [&str; 11] =
    ["run", "resume", "retry", "rerun", "fork", "resolve", "pause", "cancel", "signal", "runs", "store"];

/// The commands that continue a run.
const CONTINUE: [&str; 5] = ["resume", "retry", "rerun", "fork", "resolve"];

/// Options added to suggested commands that use the store; set once.
static GLOBAL: OnceLock<String> = OnceLock::new();

/// Options added to suggested commands that continue a run; set once.
static SESSION: OnceLock<String> = OnceLock::new();

/// Stores the options that name the store and the configuration.
pub(crate) fn keep_global(store: Option<&Path>, config: Option<&Path>) {
    let options = [("--store", store), ("--config", config)];
    let given = options.into_iter().filter_map(|(name, value)| Some((name, value?.display().to_string())));
    let _ = GLOBAL.set(written(given));
}

/// Stores the options of a run that are not recorded with the run.
pub(crate) fn keep_session(hosts: &[String], roots: &[std::path::PathBuf]) {
    let hosts = hosts.iter().map(|host| ("--allow-host", host.clone()));
    let roots = roots.iter().map(|root| ("--root", root.display().to_string()));
    let _ = SESSION.set(written(hosts.chain(roots)));
}

fn written(options: impl Iterator<Item = (&'static str, String)>) -> String {
    options.map(|(name, value)| format!("{name} {} ", shell_word(&value))).collect()
}

/// Adds the stored options to the commands in `text`.
pub(crate) fn with_options(text: &str) -> Cow<'_, str> {
    let kept = |options: &'static OnceLock<String>| options.get().map(String::as_str).unwrap_or_default();
    let (global, session) = (kept(&GLOBAL), kept(&SESSION));
    if global.is_empty() && session.is_empty() {
        return Cow::Borrowed(text);
    }
    let mut text = text.to_owned();
    for verb in USE_STORE {
        let session = if CONTINUE.contains(&verb) { session } else { "" };
        text = text.replace(&format!("spellflow {verb} "), &format!("spellflow {global}{verb} {session}"));
    }
    Cow::Owned(text)
}

/// Returns the command that sends the event `name` to `run`.
pub(crate) fn answer(run: impl std::fmt::Display, name: &str) -> String {
    // A name that begins with a dash would be read as an option.
    let separator = if name.starts_with('-') { "-- " } else { "" };
    with_options(&format!("spellflow signal {run} {separator}{}", shell_word(name))).into_owned()
}

/// Returns the command that ends a step's wait; `root` is the run to resume.
pub(crate) fn next_command(wait: &RunWait, root: Uuid) -> Option<String> {
    let name = wait.awaited.signal.as_deref()?;
    // The event is already stored, so sending it again would not help.
    let resume = || with_options(&format!("spellflow resume {root}")).into_owned();
    let reads_data = wait.filter.as_ref().is_some_and(|filter| filter.condition.contains("event.data"));
    Some(match (wait.has_arrived, reads_data) {
        (true, _) => resume(),
        (false, true) => format!("{} --data JSON", answer(wait.run, name)),
        (false, false) => answer(wait.run, name),
    })
}

/// Returns the command that resolves the stuck step at `path` of `run`, without the stored options.
pub(crate) fn resolution(run: impl std::fmt::Display, path: &str) -> String {
    format!("spellflow resolve {run} {} --completed JSON", shell_word(path))
}

/// Returns `word` as one word of a shell command.
pub(crate) fn shell_word(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+=,".contains(c);
    match !word.is_empty() && word.chars().all(is_plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
}
