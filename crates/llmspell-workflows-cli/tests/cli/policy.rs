//! A workflow can access neither the store nor the configuration, and another user's configuration
//! is not used.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
};

use crate::support::{CommandOutput, Sandbox};

/// The content that a step tries to write into the configuration.
const LOOSE: &str = "[tools]\nprograms = [\"*\"]\nread_roots = [\"/\"]\n";

/// Returns a definition that writes `LOOSE` to each of `paths` and continues after each failure.
fn writes(paths: &[String]) -> String {
    let step = |(number, path): (usize, &String)| {
        let params = serde_json::json!({"operation": "write", "path": path, "input": LOOSE, "recursive": true});
        format!("  - {{id: s{number}, type: tool, tool: file_operations, on_error: continue, params: {params}}}\n")
    };
    format!("name: f\nsteps:\n{}", paths.iter().enumerate().map(step).collect::<String>())
}

/// Returns the files below `folder` that contain `LOOSE`.
fn planted(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() && !path.is_symlink() {
            found.extend(planted(&path));
        } else if fs::read(&path).is_ok_and(|content| content == LOOSE.as_bytes()) {
            found.push(path.display().to_string());
        }
    }
    found
}

#[test]
fn no_step_writes_to_the_store_or_the_configuration() {
    let sandbox = Sandbox::new()
        .file("spellflow.toml", "[tools]\nprograms = []\nread_roots = [\".\"]\nwrite_roots = [\".\"]\n")
        .file("home/.config/spellflow/config.toml", "color = \"never\"\n")
        .file("given.toml", "[tools]\nprograms = []\nread_roots = [\".\"]\nwrite_roots = [\".\"]\n")
        .file("project/x", "x");
    symlink("../.spellflow", sandbox.path("project/link")).unwrap();
    symlink("spellflow.toml", sandbox.path("to-conf")).unwrap();
    fs::hard_link(sandbox.path("spellflow.toml"), sandbox.path("hard")).unwrap();
    let absolute = |path: &str| sandbox.path(path).canonicalize().unwrap().display().to_string();
    let names = |store: &str| {
        let mut paths = vec![
            "spellflow.toml".to_owned(),
            "./project/../spellflow.toml".to_owned(),
            absolute("spellflow.toml"),
            "to-conf".to_owned(),
            "home/.config/spellflow/config.toml".to_owned(),
            format!("{store}/definitions/planted.json"),
            format!("{store}/log/000001/000000000009.log"),
            format!("./project/../{store}/store.db"),
        ];
        if store == ".spellflow" {
            paths.push("project/link/definitions/planted.json".to_owned());
        }
        paths
    };
    for (store, flags, extra) in [
        (".spellflow", &[][..], None),
        ("elsewhere/st", &["--store", "elsewhere/st"], None),
        (".spellflow", &["--config", "given.toml"], Some("given.toml")),
    ] {
        let mut paths = names(store);
        paths.extend(extra.map(str::to_owned));
        let file = sandbox.path("flow.yaml");
        fs::write(file, writes(&paths)).unwrap();
        let ended = sandbox.run(&[&["run", "flow.yaml", "-o", "json"], flags].concat()).json();
        for (step, path) in ended["steps"].as_array().unwrap().iter().zip(&paths) {
            assert_eq!(step["error"]["code"], "path_outside_roots", "{path}: {step}");
        }
        assert_eq!(planted(sandbox.path("").as_path()), Vec::<String>::new());
    }
    // A hard link is just another name for the file.
    fs::write(sandbox.path("flow.yaml"), writes(&["hard".to_owned()])).unwrap();
    let ended = sandbox.run(&["run", "flow.yaml", "-o", "json"]).json();
    assert_eq!(ended["steps"][0]["error"]["code"], "path_outside_roots", "{ended}");
}

#[test]
fn steps_cannot_create_configuration_files_for_later_commands() {
    let sandbox = Sandbox::new().file("project/deep/x", "x").file("home/x", "x");
    let root = sandbox.path("").display().to_string();
    let of_user = sandbox.path("home").join(".config/spellflow/config.toml").display().to_string();
    let mut paths = ["spellflow.toml", "../spellflow.toml", "../../spellflow.toml"].map(str::to_owned).to_vec();
    paths.push(of_user);
    fs::write(sandbox.path("project/deep/flow.yaml"), writes(&paths)).unwrap();
    let mut command = sandbox.command(&["run", "flow.yaml", "-o", "json"]);
    command.current_dir(sandbox.path("project/deep")).env("SPELLFLOW_TOOLS_WRITE_ROOTS", &root);
    let ended = CommandOutput::new(command.output().unwrap()).json();
    for step in ended["steps"].as_array().unwrap() {
        assert_eq!(step["error"]["code"], "path_outside_roots", "{step}");
    }
    assert_eq!(planted(sandbox.path("").as_path()), Vec::<String>::new());
}

#[test]
fn no_step_reads_the_store() {
    let sandbox = Sandbox::with_flow(
        "name: f\nsteps:\n  - {id: a, type: tool, tool: file_operations, params: {operation: list_dir, path: .spellflow}}\n",
    );
    let ended = sandbox.run(&["run", "flow.yaml", "-o", "json"]).json();
    assert_eq!(ended["error"]["code"], "path_outside_roots", "{ended}");
    let listed = sandbox.run(&[
        "tools",
        "call",
        "file_operations",
        "--input",
        "operation=list_dir",
        "--input",
        "path=.",
        "-o",
        "json",
    ]);
    let entries = listed.json()["entries"].clone();
    assert_eq!(entries.as_array().map(Vec::len), Some(1), "only `flow.yaml`: {entries}");
}

#[test]
fn world_writable_configuration_in_a_parent_folder_is_ignored_with_a_warning() {
    let sandbox = Sandbox::new().file("spellflow.toml", "timeout = \"5m\"\n").file("a/x", "");
    let shown = |flags: &[&str]| {
        let mut command = sandbox.command(&[&["config", "show"], flags].concat());
        CommandOutput::new(command.current_dir(sandbox.path("a")).output().unwrap())
    };
    let set_mode = |path: &str, mode: u32| {
        fs::set_permissions(sandbox.path(path), fs::Permissions::from_mode(mode)).unwrap();
    };
    set_mode("spellflow.toml", 0o644);
    assert!(shown(&[]).stdout.contains("timeout = \"5m\""));
    for (path, mode, original) in [("spellflow.toml", 0o646, 0o644), ("", 0o777, 0o700)] {
        set_mode(path, mode);
        let ended = shown(&[]);
        assert!(!ended.stdout.contains("timeout = \"5m\""), "{path}: {}", ended.stdout);
        let file = sandbox.path("spellflow.toml").canonicalize().unwrap();
        assert!(ended.stderr.contains("warning") && ended.stderr.contains(file.to_str().unwrap()), "{}", ended.stderr);
        let given = shown(&["--config", "../spellflow.toml"]);
        assert!(given.stdout.contains("timeout = \"5m\"") && given.stderr.is_empty(), "{}", given.stderr);
        set_mode(path, original);
    }
    // The working directory itself is the user's choice.
    set_mode("", 0o777);
    assert!(sandbox.run(&["config", "show"]).stdout.contains("timeout = \"5m\""));
    set_mode("", 0o700);
}

/// Returns the modes of everything in `folder`, except files written by the libraries of the
/// optional journals.
fn modes(folder: &Path) -> Vec<(String, u32)> {
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let mut all = vec![(folder.display().to_string(), mode(folder))];
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let is_foreign = path.ends_with("sled/sled") || path.ends_with("fjall/fjall");
        if path.is_dir() && !is_foreign {
            all.extend(modes(&path));
        } else {
            all.push((path.display().to_string(), mode(&path)));
        }
    }
    all
}

#[test]
fn only_the_owner_can_read_a_store_and_its_backup() {
    let flow = "
name: f
steps:
  - {id: large, type: shell, command: 'head -c 300000 /dev/zero | tr \"\\0\" x'}
  - {id: w, type: wait_for_event, event: go}
";
    for journal in ["log", "sled", "fjall"] {
        let sandbox = Sandbox::with_flow(flow);
        // The process uses the umask of most systems, regardless of the umask of the tests.
        let run = |arguments: &[&str]| {
            let spellflow = sandbox.command(&[]);
            let script = ["-c", "umask 022; exec \"$@\"", "sh", spellflow.get_program().to_str().unwrap()];
            let mut command = std::process::Command::new("sh");
            command.args(script).args(arguments).current_dir(sandbox.path("")).env("HOME", sandbox.path("home"));
            CommandOutput::new(command.env("SPELLFLOW_STORE_JOURNAL", journal).output().unwrap())
        };
        assert_eq!(run(&["run", "flow.yaml"]).code, 5);
        assert_eq!(run(&["run", "flow.yaml"]).code, 5);
        let signal = run(&["signal", "@last", "go"]);
        assert_eq!(signal.code, 0, "{}", signal.stderr);
        let resumed = run(&["resume", "@last"]);
        assert_eq!(resumed.code, 0, "{}", resumed.stderr);
        let backup = run(&["store", "backup", "copies/one"]);
        assert_eq!(backup.code, 0, "{journal}: {}", backup.stderr);
        for folder in [".spellflow", "copies/one"] {
            let all = modes(&sandbox.path(folder));
            assert!(all.len() > 5, "{all:?}");
            for (path, mode) in all {
                let expected = if Path::new(&path).is_dir() { 0o700 } else { 0o600 };
                assert_eq!(mode, expected, "{journal}: {path} has mode {mode:o}");
            }
        }
    }
}
