//! Commands that maintain the store.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use llmspell_workflows_advanced::{HomeStats, JournalStats, MovedAside, RepairReport};
use serde_json::{Map, Value, json};

use crate::{App, Exit, Failure, output::Paint, table::table};

/// Inspects, verifies, compacts and backs up the store.
#[derive(Debug, Args)]
#[command(before_help = "Examples:\n  spellflow store stats\n  spellflow store verify\n  \
    spellflow store backup /backups/monday")]
pub(crate) struct Store {
    #[command(subcommand)]
    command: StoreCommand,
}

#[derive(Debug, Subcommand)]
enum StoreCommand {
    Stats(Stats),
    Verify(Verify),
    Compact(Compact),
    Backup(Backup),
}

/// Shows what the store contains and how much space it uses.
#[derive(Debug, Args)]
#[command(before_help = "Examples:\n  spellflow store stats\n  spellflow store stats -o json")]
struct Stats {}

/// Verifies the store and reports damage; the exit code is 1 if any damage is found.
///
/// Reads all journals, records of finished runs, definitions and large values. Changes nothing
/// unless `--repair` is given.
#[derive(Debug, Args)]
#[command(before_help = "Examples:\n  spellflow store verify\n  spellflow store verify --store /backups/monday")]
struct Verify {
    /// Move damaged journals and a lost or damaged archive to the store's `damaged` folder; intact
    /// runs in damaged journals are kept.
    #[arg(long)]
    repair: bool,
}

/// Moves ended runs to the archive, removes empty journals and frees disk space.
///
/// Does not touch journals used by a running process.
#[derive(Debug, Args)]
#[command(before_help = "Examples:\n  spellflow store compact")]
struct Compact {}

/// Copies the store to a new folder; runs can continue during the copy.
///
/// The copy is itself a store: use it with `--store DIR`. To restore a lost store, copy the backup to the store's path;
/// its runs can then be resumed.
#[derive(Debug, Args)]
#[command(before_help = "Examples:\n  spellflow store backup /backups/monday\n  \
    spellflow runs list --store /backups/monday\n  cp -R /backups/monday .spellflow   # restore")]
struct Backup {
    /// The new folder.
    dir: PathBuf,
}

impl Store {
    pub(crate) fn execute(self, app: &App) -> Result<Exit, Failure> {
        match self.command {
            StoreCommand::Stats(Stats {}) => stats(app),
            StoreCommand::Verify(Verify { repair }) => {
                if repair {
                    self::repair(app)?;
                }
                verify(app)
            }
            StoreCommand::Compact(Compact {}) => compact(app),
            StoreCommand::Backup(backup) => backup.execute(app),
        }
    }
}

fn stats(app: &App) -> Result<Exit, Failure> {
    let home = app.home();
    let stats = app.wait(home.stats())?;
    let output = app.output();
    if output.is_text() {
        output.text(&text(&home.location(), app.config()?.settings().journal.as_str(), &stats));
        return Ok(Exit::Ok);
    }
    let HomeStats { runs, journals, definitions, store, usage } = &stats;
    let runs: Map<String, Value> = runs.iter().map(|(status, count)| (status.to_string(), json!(count))).collect();
    let journal = |one: &JournalStats| {
        let JournalStats { id, holder, live, ended, bytes } = one;
        json!({
            "journal": id.to_string(), "holder": holder.as_ref().map(|holder| &holder.0), "live": live,
            "ended": ended, "bytes": bytes,
        })
    };
    output.payload(&json!({
        "path": home.location(), "journal": app.config()?.settings().journal.as_str(), "store": store,
        "bytes": usage.bytes, "runs": runs, "definitions": definitions, "definition_bytes": usage.definition_bytes,
        "journals": journals.iter().map(journal).collect::<Vec<_>>(),
    }));
    Ok(Exit::Ok)
}

fn text(path: &str, kind: &str, stats: &HomeStats) -> String {
    let mut rows = vec![
        ["store".to_owned(), path.to_owned()],
        ["journal".to_owned(), kind.to_owned()],
        ["size".to_owned(), size(stats.usage.bytes)],
    ];
    rows.extend(stats.runs.iter().map(|(status, count)| [status.to_string(), format!("{count} runs")]));
    rows.push(["definitions".to_owned(), format!("{}, {}", stats.definitions, size(stats.usage.definition_bytes))]);
    for one in &stats.journals {
        let holder = one.holder.as_ref().map_or("not in use", |holder| &holder.0);
        let usage = format!("{} unfinished, {} ended, {}; {holder}", one.live, one.ended, size(one.bytes));
        rows.push([format!("journal {}", one.id), usage]);
    }
    table(rows)
}

/// Formats a number of bytes for people to read.
fn size(bytes: u64) -> String {
    match bytes {
        0..1_024 => format!("{bytes} B"),
        1_024..1_048_576 => format!("{:.1} KiB", bytes as f64 / 1_024.0),
        _ => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
    }
}

/// Moves damaged journals aside, and reports the damage.
fn repair(app: &App) -> Result<(), Failure> {
    let RepairReport { moved, held, are_stores_held } = app.wait(app.home().repair())?;
    let output = app.output();
    for MovedAside { damage, place, rescued } in moved {
        damage.iter().for_each(|damage| output.note(damage));
        let runs = if rescued == 1 { "run" } else { "runs" };
        output.note(&format!("moved aside to `{}`; kept {rescued} undamaged {runs} from it", place.display()));
    }
    if are_stores_held {
        output.note("the store is damaged, but is in use by a running process; repair it later");
    }
    for journal in held {
        output.note(&format!("journal {journal} is damaged, but is in use by a running process; repair it later"));
    }
    Ok(())
}

fn verify(app: &App) -> Result<Exit, Failure> {
    let check = app.wait(app.home().verify())?;
    let output = app.output();
    let is_intact = check.damage.is_empty();
    if output.is_text() {
        check.damage.iter().for_each(|damage| output.text(&format!("{damage}\n")));
        let verdict = match check.damage.len() {
            0 => output.on_err(Paint::Good, "no damage found"),
            1 => output.on_err(Paint::Bad, "1 damaged item"),
            count => output.on_err(Paint::Bad, &format!("{count} damaged items")),
        };
        let (live, archived, definitions) = (check.live, check.archived, check.definitions);
        output
            .note(&format!("{verdict}: {live} runs in journals, {archived} in the archive, {definitions} definitions"));
    } else {
        output.payload(&json!({
            "ok": is_intact, "live": check.live, "archived": check.archived, "definitions": check.definitions,
            "damage": check.damage,
        }));
    }
    Ok(if is_intact { Exit::Ok } else { Exit::Failed })
}

fn compact(app: &App) -> Result<Exit, Failure> {
    let home = app.home();
    let before = app.wait(home.stats())?.usage.bytes;
    let done = app.wait(home.compact())?;
    let after = app.wait(home.stats())?.usage.bytes;
    let output = app.output();
    if !output.is_text() {
        output.payload(&json!({
            "archived": done.archived, "journals_removed": done.journals_removed,
            "journals_held": done.journals_held, "bytes_before": before, "bytes_after": after,
        }));
    }
    output.note(&format!(
        "{} runs moved to the archive, {} journals removed, {} still in use; {} before, {} now",
        done.archived,
        done.journals_removed,
        done.journals_held,
        size(before),
        size(after)
    ));
    Ok(Exit::Ok)
}

impl Backup {
    fn execute(self, app: &App) -> Result<Exit, Failure> {
        let dir = self.dir;
        if dir.exists() {
            let message = format!("`{}` already exists", dir.display());
            return Err(
                Failure::new(Exit::Usage, "file_exists", message).with_help("choose a folder that does not exist")
            );
        }
        let done = app.wait(app.home().back_up(&dir))?;
        let output = app.output();
        if !output.is_text() {
            let dir = dir.display().to_string();
            output.payload(&json!({"dir": dir, "live": done.live, "definitions": done.definitions}));
        }
        output.note(&format!(
            "copied the store to `{0}`; list its runs with `spellflow runs list --store {0}`",
            dir.display()
        ));
        Ok(Exit::Ok)
    }
}
