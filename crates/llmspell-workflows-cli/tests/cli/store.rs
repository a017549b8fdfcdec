//! Tests for the maintenance of the store: stats, verify, compact and backup.

use std::{fs, path::Path};

use serde_json::{Value, json};

use crate::support::{Sandbox, TIMEOUT, Terminal, json_of, newest_run};

const SETS: &str = "name: sets\nsteps: [{id: a, type: set, params: {x: 1}}]\n";

const WORKS: &str = "
name: works
steps:
  - {id: one, type: shell, command: 'echo one >> effects'}
  - {id: two, type: shell, command: 'echo up > alive; read told < tell; echo two >> effects'}
  - {id: three, type: shell, command: 'echo three >> effects'}
";

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

#[test]
fn stats_cover_empty_and_non_empty_stores() {
    let sandbox = Sandbox::with_flow(SETS);
    let empty = json_of(&sandbox, &["store", "stats"]);
    assert_eq!((&empty["runs"], &empty["journals"], &empty["bytes"]), (&json!({}), &json!([]), &json!(0)));
    assert_eq!(json_of(&sandbox, &["store", "verify"])["ok"], true);
    assert_eq!(json_of(&sandbox, &["store", "compact"])["archived"], 0);
    assert!(!sandbox.path(".spellflow").exists());
    for _ in 0..3 {
        assert_eq!(sandbox.run(&["run", "flow.yaml"]).code, 0);
    }
    let stats = json_of(&sandbox, &["store", "stats"]);
    assert_eq!((&stats["runs"], &stats["definitions"]), (&json!({"completed": 3}), &json!(1)));
    assert_eq!((&stats["journals"][0]["ended"], &stats["journals"][0]["holder"]), (&json!(3), &Value::Null));
    let text = sandbox.run(&["store", "stats"]).stdout;
    assert!(text.contains("completed") && text.contains("3 runs") && text.contains("not in use"), "{text}");
}

#[test]
fn process_exits_only_after_its_ended_runs_are_in_the_store() {
    let sandbox = Sandbox::with_flow(SETS);
    for _ in 0..34 {
        assert_eq!(sandbox.run(&["run", "flow.yaml"]).code, 0);
    }
    let stats = json_of(&sandbox, &["store", "stats"]);
    // Every 32nd process archives the runs of all earlier processes.
    assert_eq!((&stats["runs"], &stats["journals"][0]["ended"]), (&json!({"completed": 34}), &json!(2)));
}

#[test]
fn compact_archives_ended_runs_and_removes_empty_journals() {
    let sandbox = Sandbox::with_flow(SETS);
    for _ in 0..3 {
        assert_eq!(sandbox.run(&["run", "flow.yaml"]).code, 0);
    }
    let before = json_of(&sandbox, &["runs", "list"]);
    let done = json_of(&sandbox, &["store", "compact"]);
    assert_eq!((&done["archived"], &done["journals_removed"]), (&json!(3), &json!(1)));
    assert!(done["bytes_after"].as_u64() < done["bytes_before"].as_u64(), "{done}");
    assert_eq!(fs::read_dir(sandbox.path(".spellflow/log")).unwrap().count(), 0);
    assert_eq!(json_of(&sandbox, &["runs", "list"]), before);
    let run = before[0]["run_id"].as_str().unwrap();
    assert_eq!(json_of(&sandbox, &["runs", "show", run])["status"], "completed");
    assert_eq!(json_of(&sandbox, &["store", "verify"])["archived"], 3);
    // The store is still usable.
    assert_eq!(sandbox.run(&["run", "flow.yaml"]).code, 0);
    assert_eq!(sandbox.run(&["rerun", run]).code, 0);
}

#[test]
fn backup_of_an_active_store_can_be_resumed_elsewhere() {
    for journal in ["log", "sled", "fjall"] {
        let settings = format!("store.journal = '{journal}'\n");
        let sandbox = Sandbox::with_flow(WORKS).file("sets.yaml", SETS).file("spellflow.toml", &settings);
        assert_eq!(sandbox.run(&["run", "sets.yaml"]).code, 0);
        let alive = sandbox.pipe("alive");
        sandbox.make_pipe("tell");
        let first = Terminal::open(&sandbox, &["run", "flow.yaml"]);
        assert_eq!(alive.recv_timeout(TIMEOUT).as_deref(), Ok("up"));
        if journal == "log" {
            let done = json_of(&sandbox, &["store", "backup", "copy"]);
            assert_eq!((&done["live"], &done["definitions"]), (&json!(2), &json!(2)));
            fs::write(sandbox.path("tell"), "on\n").unwrap();
            assert_eq!(first.end().0, Some(0));
        } else {
            // Only one process at a time can use these journals, so the store is copied after the
            // other process has ended.
            let refused = sandbox.run(&["store", "backup", "copy", "-o", "json"]);
            assert_eq!((refused.code, &refused.json()["error"]["code"]), (1, &json!("store_in_use")));
            first.kill();
            fs::write(sandbox.path("tell"), "on\n").unwrap();
            json_of(&sandbox, &["store", "backup", "copy"]);
        }
        assert_eq!(sandbox.run(&["store", "backup", "copy"]).code, 2);

        // Restore the store by copying the backup to its path.
        let elsewhere = Sandbox::new().file("spellflow.toml", &settings);
        copy(&sandbox.path("copy"), &elsewhere.path(".spellflow"));
        assert_eq!(json_of(&elsewhere, &["store", "verify"])["damage"], json!([]));
        let runs = json_of(&elsewhere, &["runs", "list"]);
        assert_eq!((&runs[0]["status"], &runs[1]["status"]), (&json!("interrupted"), &json!("completed")), "{journal}");
        let alive = elsewhere.pipe("alive");
        elsewhere.make_pipe("tell");
        let resumed = Terminal::open(&elsewhere, &["resume", "@last"]);
        assert_eq!(alive.recv_timeout(TIMEOUT).as_deref(), Ok("up"));
        fs::write(elsewhere.path("tell"), "on\n").unwrap();
        let (code, _, stderr) = resumed.end();
        assert_eq!(code, Some(0), "{stderr}");
        // Steps completed before the backup do not run again.
        assert_eq!(fs::read_to_string(elsewhere.path("effects")).unwrap(), "two\nthree\n");
    }
}

/// Returns a sandbox with one run in a journal and one in the archive.
fn mixed() -> Sandbox {
    let sandbox = Sandbox::with_flow(SETS).file("waits.yaml", "name: waits\nsteps: [{id: a, event: go}]\n");
    assert_eq!(sandbox.run(&["run", "flow.yaml"]).code, 0);
    assert_eq!(sandbox.run(&["store", "compact"]).code, 0);
    assert_eq!(sandbox.run(&["run", "waits.yaml"]).code, 5);
    assert_eq!(
        json_of(&sandbox, &["store", "verify"]),
        json!({"ok": true, "live": 1, "archived": 1, "definitions": 2, "damage": []})
    );
    sandbox
}

/// Returns the first file in `folder` whose name ends with `end`.
fn file_of(sandbox: &Sandbox, folder: &str, end: &str) -> std::path::PathBuf {
    let mut names: Vec<_> = fs::read_dir(sandbox.path(folder)).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    names.into_iter().find(|path| path.to_string_lossy().ends_with(end)).unwrap()
}

fn flip(path: &Path, at: impl FnOnce(&[u8]) -> usize) {
    let mut bytes = fs::read(path).unwrap();
    let at = at(&bytes);
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
}

fn find(bytes: &[u8], part: &[u8]) -> usize {
    bytes.windows(part.len()).rposition(|window| window == part).expect("the file contains the bytes")
}

#[test]
fn verify_reports_every_kind_of_damage() {
    type Damage = fn(&Sandbox);
    let damages: [(&str, Damage, &str); 6] = [
        (
            "a corrupt journal",
            |sandbox| flip(&file_of(sandbox, ".spellflow/log/000001", ".log"), |bytes| find(bytes, b"waits")),
            "synced",
        ),
        (
            "a truncated journal",
            |sandbox| {
                let path = file_of(sandbox, ".spellflow/log/000001", ".log");
                fs::OpenOptions::new().write(true).open(path).unwrap().set_len(300).unwrap();
            },
            "the file was truncated",
        ),
        (
            "a corrupt archive",
            |sandbox| flip(&sandbox.path(".spellflow/store.db"), |bytes| find(bytes, b"\"closed\"")),
            "checksum",
        ),
        (
            "a changed definition",
            |sandbox| {
                let path = file_of(sandbox, ".spellflow/definitions", ".json");
                fs::write(
                    &path,
                    fs::read_to_string(&path).unwrap().replace("\"set", "\"sit").replace("waits", "waitz"),
                )
                .unwrap();
            },
            "the definition ",
        ),
        (
            "a missing definition",
            |sandbox| fs::remove_file(file_of(sandbox, ".spellflow/definitions", ".json")).unwrap(),
            "is missing",
        ),
        ("a corrupt database", |sandbox| flip(&sandbox.path(".spellflow/store.db"), |_| 2), "not a SQLite database"),
    ];
    for (name, damage, part) in damages {
        let sandbox = mixed();
        damage(&sandbox);
        let found = sandbox.run(&["store", "verify", "-o", "json"]);
        assert_eq!(found.code, 1, "{name}: {}", found.stdout);
        assert!(found.stdout.contains(part), "{name}: {}", found.stdout);
        let text = sandbox.run(&["store", "verify"]);
        assert!(text.code == 1 && (text.stdout + &text.stderr).contains(part), "{name}");
    }
}

/// A damaged page of the database concerns the runs in it. All other runs can be read, and the
/// verification names the ones that cannot.
#[test]
fn damaged_page_of_the_archive_affects_only_its_runs() {
    let step = "{id: a, command: 'head -c 3000 /dev/zero | tr \"\\0\" x; echo \"$N\"', env: {N: '{{ n }}'}}";
    let flow = format!("name: f\ninputs: {{n: {{type: string}}}}\nsteps: [{step}]\n");
    let sandbox = Sandbox::with_flow(&flow);
    let runs: Vec<String> = (0..20)
        .map(|n| {
            assert_eq!(sandbox.run(&["run", "flow.yaml", "--input", &format!("n=number-{n}.")]).code, 0);
            newest_run(&sandbox)
        })
        .collect();
    assert_eq!(sandbox.run(&["store", "compact"]).code, 0);
    let path = sandbox.path(".spellflow/store.db");
    let mut bytes = fs::read(&path).unwrap();
    let page = find(&bytes, b"number-7.") / 4096 * 4096;
    bytes[page..page + 4096].fill(0);
    fs::write(&path, bytes).unwrap();
    let checked = sandbox.run(&["store", "verify", "-o", "json"]);
    let (found, damage) = (checked.json(), checked.json()["damage"].to_string());
    assert!(checked.code == 1 && damage.contains("malformed"), "{found}");
    let unreadable: Vec<_> = runs.iter().filter(|run| sandbox.run(&["runs", "show", run]).code != 0).collect();
    assert!((1..=3).contains(&unreadable.len()) && unreadable.contains(&&runs[7]), "{unreadable:?}");
    for run in &runs {
        assert_eq!(damage.contains(run.as_str()), unreadable.contains(&run), "{run}: {damage}");
    }
    assert_eq!(found["archived"], json!(runs.len() - unreadable.len()), "{found}");
    let repaired = sandbox.run(&["store", "verify", "--repair"]);
    assert!(repaired.code == 1 && repaired.stdout.contains("restore the store from a backup"), "{}", repaired.stdout);
    assert_eq!(json_of(&sandbox, &["runs", "list"]).as_array().unwrap().len(), runs.len());
}

/// If a journal has lost synced records, its runs are not shown with missing steps, and cannot be
/// forked or resumed. All other runs are listed, and new runs can be started.
#[test]
fn damaged_run_is_refused_and_does_not_affect_others() {
    let sandbox = mixed();
    let run = newest_run(&sandbox);
    flip(&file_of(&sandbox, ".spellflow/log/000001", ".log"), |bytes| find(bytes, b"waits"));
    for arguments in [&["runs", "show", &run][..], &["fork", &run, "--from", "a"], &["resume", &run], &["cancel", &run]]
    {
        let ended = sandbox.run(arguments);
        assert!(ended.code == 1 && ended.stderr.contains("were synced"), "{arguments:?}: {}", ended.stderr);
    }
    let listed = sandbox.run(&["runs", "list"]);
    assert!(listed.code == 0 && listed.stderr.contains("were synced"), "{}", listed.stderr);
    assert!(listed.stdout.contains("completed") && !listed.stdout.contains(&run), "{}", listed.stdout);
    assert_eq!(sandbox.run(&["run", "waits.yaml"]).code, 5);
    assert_eq!(sandbox.run(&["resume", "@last"]).code, 5);
}

#[test]
fn run_larger_than_the_definition_limit_can_be_imported() {
    let flow = "name: f\nsteps:\n  - {id: a, type: shell, command: 'head -c 9000000 /dev/zero | tr \"\\0\" x'}\n";
    let sandbox = Sandbox::with_flow(flow);
    assert_eq!(sandbox.run(&["run", "flow.yaml", "-o", "json"]).code, 0);
    assert_eq!(sandbox.run(&["runs", "export", "@last", "--file", "run.json"]).code, 0);
    let imported = sandbox.run(&["runs", "import", "run.json", "--store", "elsewhere"]);
    assert_eq!(imported.code, 0, "{}", imported.stderr);
}
