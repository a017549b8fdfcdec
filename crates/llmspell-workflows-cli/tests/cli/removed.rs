//! Stores that another program changes, removes or write-protects.

use std::{fs, path::Path, process::Command};

use serde_json::json;

use crate::support::{CommandOutput, Sandbox, TIMEOUT, Terminal, assert_error, json_of, newest_run, release_step};

/// A loop with long outputs that fill several segments; one iteration kills the program.
const SEGMENTS: &str = "
name: f
steps:
  - id: each
    type: loop
    range: {start: 0, end: 30}
    steps:
      - {id: a, type: shell, command: 'echo x >> effects; head -c 60000 /dev/zero | tr \"\\0\" x; [ {{ loop.index | shell_quote }} -lt 22 ] || kill -9 $PPID'}
";

fn copy_all(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_all(&entry.path(), &to)
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// All damage to a journal's segments is reported, and no step runs again based on the remaining
/// records.
#[test]
fn damaged_segments_are_reported_and_never_used_to_resume() {
    let sandbox = Sandbox::with_flow(SEGMENTS);
    let killed = sandbox.command(&["run", "flow.yaml"]).output().unwrap();
    assert_eq!(killed.status.code(), None);
    let run = newest_run(&sandbox);
    let log = sandbox.path(".spellflow/log/000001");
    let is_segment = |name: &String| name.ends_with(".log");
    let names = fs::read_dir(&log).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut segments: Vec<String> = names.filter(is_segment).collect();
    segments.sort();
    // Skips preallocated segments, which contain only zeros until they have records.
    segments.retain(|name| fs::read(log.join(name)).unwrap().iter().any(|byte| *byte != 0));
    assert!(segments.len() >= 3, "{segments:?}");
    type Damage = fn(&Path);
    let ways: [(&str, Damage); 4] = [
        ("lost", |path| fs::remove_file(path).unwrap()),
        ("emptied", |path| fs::write(path, "").unwrap()),
        ("zeroed", |path| fs::write(path, vec![0; fs::metadata(path).unwrap().len() as usize]).unwrap()),
        ("truncated", |path| fs::write(path, &fs::read(path).unwrap()[..1_000]).unwrap()),
    ];
    let effects = fs::read(sandbox.path("effects")).unwrap();
    for segment in &segments {
        for (name, damage) in ways {
            let copy = sandbox.path("copy");
            let _ = fs::remove_dir_all(&copy);
            copy_all(&sandbox.path(".spellflow"), &copy);
            damage(&copy.join("log/000001").join(segment));
            let verified = sandbox.run(&["store", "verify", "--store", "copy"]);
            assert_eq!(verified.code, 1, "{name} {segment}: {}", verified.stdout);
            let resumed = sandbox.run(&["resume", &run, "--store", "copy"]);
            assert!([1, 4].contains(&resumed.code), "{name} {segment}: exit {}", resumed.code);
            assert_eq!(fs::read(sandbox.path("effects")).unwrap(), effects, "{name} {segment}");
            let listed = sandbox.run(&["runs", "list", "--store", "copy"]);
            assert!(listed.code == 0 && listed.stderr.contains("warning"), "{name} {segment}: {}", listed.stderr);
        }
    }
}

#[test]
fn changed_definition_is_not_executed() {
    let flow = "name: f\nsteps:\n  - {id: w, type: wait_for_event, event: go}\n  - {id: two, type: shell, command: 'echo AAAA >> effects'}\n";
    let sandbox = Sandbox::with_flow(flow);
    assert_eq!(sandbox.run(&["run", "flow.yaml"]).code, 5);
    let folder = sandbox.path(".spellflow/definitions");
    let path = fs::read_dir(folder).unwrap().next().unwrap().unwrap().path();
    fs::write(&path, fs::read_to_string(&path).unwrap().replace("AAAA", "BBBB")).unwrap();
    assert_eq!(sandbox.run(&["signal", "@last", "go"]).code, 0);
    for verb in [&["resume", "@last"][..], &["fork", "@last", "--from", "two"], &["rerun", "@last"]] {
        let refused = sandbox.run(verb);
        assert!(refused.code == 1 && refused.stderr.contains("different hash"), "{verb:?}: {}", refused.stderr);
    }
    assert!(!sandbox.path("effects").exists());
}

#[test]
fn run_reports_the_removal_of_its_store_and_stops() {
    for what in [".spellflow", ".spellflow/log/000001/lock"] {
        let flow = "name: f\nsteps:\n  - {id: a, type: shell, command: 'echo up > alive; read line < tell'}\n  - {id: b, type: shell, command: 'echo b >> effects'}\n";
        let sandbox = Sandbox::with_flow(flow);
        let alive = sandbox.pipe("alive");
        sandbox.make_pipe("tell");
        let process = Terminal::open(&sandbox, &["run", "flow.yaml"]);
        assert_eq!(alive.recv_timeout(TIMEOUT).as_deref(), Ok("up"));
        let path = sandbox.path(what);
        if path.is_dir() {
            fs::remove_dir_all(&path).unwrap()
        } else {
            fs::remove_file(&path).unwrap()
        }
        release_step(&sandbox);
        let (code, _, stderr) = process.end();
        assert!(code == Some(1) && stderr.contains("was removed or replaced"), "{what}: exit {code:?} {stderr}");
        // No step begins after a step whose completion could not be recorded.
        assert!(!sandbox.path("effects").exists(), "{what}");
    }
}

#[test]
fn read_only_store_can_be_inspected() {
    let flow = "name: f\nsteps: [{id: a, type: shell, command: 'true'}, {id: w, type: wait_for_event, event: go}]\n";
    let sandbox = Sandbox::with_flow(flow);
    let is_root = rustix::process::geteuid().is_root();
    if is_root && Command::new("setpriv").arg("--version").output().is_err() {
        println!("skipped: everything is writable for this user, and `setpriv` is not installed");
        return;
    }
    assert_eq!(sandbox.run(&["run", "flow.yaml"]).code, 5);
    assert_eq!(sandbox.run(&["signal", "@last", "go"]).code, 0);
    assert_eq!(sandbox.run(&["resume", "@last"]).code, 0);
    assert_eq!(sandbox.run(&["store", "compact"]).code, 0);
    assert_eq!(sandbox.run(&["run", "flow.yaml"]).code, 5);
    let chmod = |mode: &str| {
        let changed = Command::new("chmod").args(["-R", mode]).arg(sandbox.path(".spellflow")).status().unwrap();
        assert!(changed.success());
    };
    chmod("a+rX,a-w");
    let as_reader = |arguments: &[&str]| {
        let spellflow = sandbox.command(&[]);
        let mut command = match is_root {
            true => {
                let mut command = Command::new("setpriv");
                command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(spellflow.get_program());
                command
            }
            false => Command::new(spellflow.get_program()),
        };
        command.args(arguments).current_dir(sandbox.path("")).env("HOME", sandbox.path("home"));
        CommandOutput::new(command.output().unwrap())
    };
    if is_root {
        let folder = sandbox.path("");
        drop(Command::new("chmod").arg("755").arg(folder).status());
    }
    let commands =
        ["runs list", "runs show @last", "runs events @last", "runs export @last", "store verify", "store stats"];
    let failed: Vec<String> = commands
        .iter()
        .filter_map(|command| {
            let ended = as_reader(&command.split(' ').collect::<Vec<_>>());
            (ended.code != 0).then(|| format!("{command}: exit {} {}", ended.code, ended.stderr))
        })
        .collect();
    chmod("u+w");
    assert!(failed.is_empty(), "{failed:#?}");
    assert_eq!(json_of(&sandbox, &["store", "verify"])["damage"], json!([]));
}

/// A journal with a damaged and an intact run is moved aside. The intact run is kept, and the store
/// is healthy again.
#[test]
fn repair_moves_a_damaged_journal_aside_and_keeps_its_intact_runs() {
    let flow =
        "name: f\nsteps: [{id: a, type: shell, command: 'echo AAA'}, {id: w, type: wait_for_event, event: go}]\n";
    let sandbox = Sandbox::with_flow(flow);
    for _ in 0..2 {
        assert_eq!(sandbox.run(&["run", "flow.yaml"]).code, 5);
    }
    // Both runs of the backup are in one journal, one after the other.
    assert_eq!(sandbox.run(&["store", "backup", "copy"]).code, 0);
    let path = sandbox.path("copy/log/000001/000000000001.log");
    let mut bytes = fs::read(&path).unwrap();
    let at = bytes.windows(3).position(|part| part == b"AAA").unwrap();
    bytes[at] ^= 1;
    fs::write(&path, bytes).unwrap();
    assert_eq!(sandbox.run(&["store", "verify", "--store", "copy"]).code, 1);
    let repaired = sandbox.run(&["store", "verify", "--repair", "--store", "copy"]);
    assert_eq!(repaired.code, 0, "{}{}", repaired.stdout, repaired.stderr);
    assert!(repaired.stderr.contains("kept 1 undamaged run from it"), "{}", repaired.stderr);
    assert!(sandbox.path("copy/damaged").is_dir());
    let kept = json_of(&sandbox, &["runs", "list", "--store", "copy"]);
    assert_eq!(kept.as_array().unwrap().len(), 1, "{kept}");
    assert_eq!(sandbox.run(&["signal", "@last", "go", "--store", "copy"]).code, 0);
    assert_eq!(sandbox.run(&["resume", "@last", "--store", "copy"]).code, 0);
}

/// Runs in journals do not depend on the archive, and a lost archive is never treated as empty.
#[test]
fn lost_archive_counts_as_damage_and_repair_keeps_the_other_runs() {
    let flow = "name: f\nsteps: [{id: a, command: echo AAA}, {id: w, event: go}]\n";
    for (damage, expected) in [
        ("removed", "missing or empty"),
        ("emptied", "missing or empty"),
        ("one byte", "missing or empty"),
        ("cut", "is damaged"),
        ("header", "is damaged"),
    ] {
        let sandbox = Sandbox::with_flow(flow).file("done.yaml", "name: done\nsteps: [{id: a, command: echo b}]\n");
        assert_eq!(sandbox.run(&["run", "done.yaml"]).code, 0);
        assert_eq!(sandbox.run(&["store", "compact"]).code, 0);
        assert_eq!(sandbox.run(&["run", "flow.yaml"]).code, 5);
        let path = sandbox.path(".spellflow/store.db");
        match damage {
            "removed" => fs::remove_file(&path).unwrap(),
            "header" => {
                let mut bytes = fs::read(&path).unwrap();
                bytes[0] ^= 1;
                fs::write(&path, bytes).unwrap();
            }
            _ => {
                let length = match damage {
                    "cut" => 5_000,
                    "one byte" => 1,
                    _ => 0,
                };
                fs::File::options().write(true).open(&path).unwrap().set_len(length).unwrap();
            }
        }
        for suffix in ["-wal", "-shm"] {
            let _ = fs::remove_file(sandbox.path(&format!(".spellflow/store.db{suffix}")));
        }
        let checked = sandbox.run(&["store", "verify", "-o", "json"]);
        let found = checked.json()["damage"].to_string();
        assert_eq!(checked.code, 1, "{damage}: {found}");
        assert!(found.contains(expected) && found.contains("backup"), "{damage}: {found}");
        assert_error(&sandbox.run(&["runs", "list", "-o", "json"]), 1, "store_failed");
        let repaired = sandbox.run(&["store", "verify", "--repair"]);
        assert_eq!(repaired.code, 0, "{damage}: {}", repaired.stderr);
        assert!(repaired.stderr.contains("moved aside to `"), "{}", repaired.stderr);
        let kept = json_of(&sandbox, &["runs", "list"]);
        assert_eq!((kept.as_array().unwrap().len(), &kept[0]["workflow"]), (1, &json!("f")), "{damage}: {kept}");
        assert_eq!(sandbox.run(&["signal", "@last", "go"]).code, 0);
        assert_eq!(sandbox.run(&["resume", "@last"]).code, 0);
    }
}
