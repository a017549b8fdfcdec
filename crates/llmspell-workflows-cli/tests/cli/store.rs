//! The store as a whole: how large it is, whether it is whole, kept small, copied while it works.

use std::{fs, path::Path};

use serde_json::{Value, json};

use crate::support::{PATIENCE, Place, Terminal};

const SETS: &str = "name: sets\nsteps: [{id: a, type: set, params: {x: 1}}]\n";

const WORKS: &str = "
name: works
steps:
  - {id: one, type: shell, command: 'echo one >> effects'}
  - {id: two, type: shell, command: 'echo up > alive; read told < tell; echo two >> effects'}
  - {id: three, type: shell, command: 'echo three >> effects'}
";

fn json_of(place: &Place, arguments: &[&str]) -> Value {
    let ended = place.run(&[arguments, &["-o", "json"]].concat());
    assert_eq!(ended.code, 0, "{arguments:?}: {}{}", ended.stdout, ended.stderr);
    ended.json()
}

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
fn an_empty_store_and_one_with_runs_say_what_they_hold() {
    let place = Place::with_flow(SETS);
    let empty = json_of(&place, &["store", "stats"]);
    assert_eq!((&empty["runs"], &empty["journals"], &empty["bytes"]), (&json!({}), &json!([]), &json!(0)));
    assert_eq!(json_of(&place, &["store", "verify"])["ok"], true);
    assert_eq!(json_of(&place, &["store", "compact"])["archived"], 0);
    assert!(!place.path(".spellflow").exists());
    for _ in 0..3 {
        assert_eq!(place.run(&["run", "flow.yaml"]).code, 0);
    }
    let stats = json_of(&place, &["store", "stats"]);
    assert_eq!((&stats["runs"], &stats["definitions"]), (&json!({"completed": 3}), &json!(1)));
    assert_eq!((&stats["journals"][0]["ended"], &stats["journals"][0]["holder"]), (&json!(3), &Value::Null));
    let text = place.run(&["store", "stats"]).stdout;
    assert!(text.contains("completed") && text.contains("3 runs") && text.contains("nobody has it"), "{text}");
}

#[test]
fn compacting_moves_what_has_ended_and_leaves_nothing_empty() {
    let place = Place::with_flow(SETS);
    for _ in 0..3 {
        assert_eq!(place.run(&["run", "flow.yaml"]).code, 0);
    }
    let before = json_of(&place, &["runs", "list"]);
    let done = json_of(&place, &["store", "compact"]);
    assert_eq!((&done["archived"], &done["journals_removed"]), (&json!(3), &json!(1)));
    assert!(done["bytes_after"].as_u64() < done["bytes_before"].as_u64(), "{done}");
    assert_eq!(fs::read_dir(place.path(".spellflow/log")).unwrap().count(), 0);
    assert_eq!(json_of(&place, &["runs", "list"]), before);
    let run = before[0]["run_id"].as_str().unwrap();
    assert_eq!(json_of(&place, &["runs", "show", run])["status"], "completed");
    assert_eq!(json_of(&place, &["store", "verify"])["archived"], 3);
    // And it goes on.
    assert_eq!(place.run(&["run", "flow.yaml"]).code, 0);
    assert_eq!(place.run(&["rerun", run]).code, 0);
}

#[test]
fn a_backup_of_a_store_at_work_is_resumed_elsewhere() {
    for journal in ["log", "sled", "fjall"] {
        let settings = format!("store.journal = '{journal}'\n");
        let place = Place::with_flow(WORKS).file("sets.yaml", SETS).file("spellflow.toml", &settings);
        assert_eq!(place.run(&["run", "sets.yaml"]).code, 0);
        let alive = place.pipe("alive");
        place.make_pipe("tell");
        let first = Terminal::open(&place, &["run", "flow.yaml"]);
        assert_eq!(alive.recv_timeout(PATIENCE).as_deref(), Ok("up"));
        if journal == "log" {
            let done = json_of(&place, &["store", "backup", "copy"]);
            assert_eq!((&done["live"], &done["definitions"]), (&json!(2), &json!(2)));
            fs::write(place.path("tell"), "on\n").unwrap();
            assert_eq!(first.end().0, Some(0));
        } else {
            // These are for one process, so they are copied when it has gone.
            let refused = place.run(&["store", "backup", "copy", "-o", "json"]);
            assert_eq!((refused.code, &refused.json()["error"]["code"]), (1, &json!("store_in_use")));
            first.kill();
            fs::write(place.path("tell"), "on\n").unwrap();
            json_of(&place, &["store", "backup", "copy"]);
        }
        assert_eq!(place.run(&["store", "backup", "copy"]).code, 2);

        // The way back: a copy of the backup in place of the store.
        let elsewhere = Place::new().file("spellflow.toml", &settings);
        copy(&place.path("copy"), &elsewhere.path(".spellflow"));
        assert_eq!(json_of(&elsewhere, &["store", "verify"])["damage"], json!([]));
        let runs = json_of(&elsewhere, &["runs", "list"]);
        assert_eq!((&runs[0]["status"], &runs[1]["status"]), (&json!("interrupted"), &json!("completed")), "{journal}");
        let alive = elsewhere.pipe("alive");
        elsewhere.make_pipe("tell");
        let resumed = Terminal::open(&elsewhere, &["resume", "@last"]);
        assert_eq!(alive.recv_timeout(PATIENCE).as_deref(), Ok("up"));
        fs::write(elsewhere.path("tell"), "on\n").unwrap();
        let (code, _, said) = resumed.end();
        assert_eq!(code, Some(0), "{said}");
        // What was done before the backup is not done again.
        assert_eq!(fs::read_to_string(elsewhere.path("effects")).unwrap(), "two\nthree\n");
    }
}

/// A place with a run in a journal and one in the archive.
fn mixed() -> Place {
    let place = Place::with_flow(SETS).file("waits.yaml", "name: waits\nsteps: [{id: a, event: go}]\n");
    assert_eq!(place.run(&["run", "flow.yaml"]).code, 0);
    assert_eq!(place.run(&["store", "compact"]).code, 0);
    assert_eq!(place.run(&["run", "waits.yaml"]).code, 5);
    assert_eq!(
        json_of(&place, &["store", "verify"]),
        json!({"ok": true, "live": 1, "archived": 1, "definitions": 2, "damage": []})
    );
    place
}

/// The first file under `folder` whose name ends so.
fn file_of(place: &Place, folder: &str, end: &str) -> std::path::PathBuf {
    let mut names: Vec<_> = fs::read_dir(place.path(folder)).unwrap().map(|entry| entry.unwrap().path()).collect();
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
    bytes.windows(part.len()).rposition(|window| window == part).expect("it is there")
}

#[test]
fn whatever_is_damaged_is_named() {
    type Damage = fn(&Place);
    let damages: [(&str, Damage, &str); 6] = [
        (
            "a journal",
            |place| flip(&file_of(place, ".spellflow/log/000001", ".log"), |bytes| find(bytes, b"waits")),
            "synced",
        ),
        (
            "a journal cut",
            |place| {
                let path = file_of(place, ".spellflow/log/000001", ".log");
                fs::OpenOptions::new().write(true).open(path).unwrap().set_len(300).unwrap();
            },
            "the file was truncated",
        ),
        (
            "the archive",
            |place| flip(&place.path(".spellflow/store.db"), |bytes| find(bytes, b"\"closed\"")),
            "checksum",
        ),
        (
            "a definition",
            |place| {
                let path = file_of(place, ".spellflow/definitions", ".json");
                fs::write(
                    &path,
                    fs::read_to_string(&path).unwrap().replace("\"set", "\"sit").replace("waits", "waitz"),
                )
                .unwrap();
            },
            "the definition ",
        ),
        (
            "a definition gone",
            |place| fs::remove_file(file_of(place, ".spellflow/definitions", ".json")).unwrap(),
            "is missing",
        ),
        ("the database", |place| flip(&place.path(".spellflow/store.db"), |_| 2), "not a SQLite database"),
    ];
    for (what, damage, part) in damages {
        let place = mixed();
        damage(&place);
        let found = place.run(&["store", "verify", "-o", "json"]);
        assert_eq!(found.code, 1, "{what}: {}", found.stdout);
        assert!(found.stdout.contains(part), "{what}: {}", found.stdout);
        let text = place.run(&["store", "verify"]);
        assert!(text.code == 1 && (text.stdout + &text.stderr).contains(part), "{what}");
    }
}

/// A run whose journal has lost what was synced is not shown as if it had done less than it did, nor made again.
#[test]
fn no_run_is_read_out_of_a_damaged_journal() {
    let place = mixed();
    flip(&file_of(&place, ".spellflow/log/000001", ".log"), |bytes| find(bytes, b"waits"));
    for arguments in [&["runs", "list"][..], &["runs", "show", "@last"], &["fork", "@last", "--from", "a"]] {
        let ended = place.run(arguments);
        assert!(ended.code == 1 && ended.stderr.contains("were synced"), "{arguments:?}: {}", ended.stderr);
    }
}
