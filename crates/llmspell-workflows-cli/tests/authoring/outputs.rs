//! Results that cannot be written, and files that are no files.

#![expect(clippy::unwrap_used, reason = "a test fails where it panics")]

use std::{fs, os::unix::fs::PermissionsExt, process::Command};

use crate::support::Place;

const FLOW: &str = "steps: [{id: a, type: set, params: {a: 1}}]\nname: x\n";

/// Runs `line` where every write to a file fails, as on a full disk; the exit code and standard error.
fn on_full_disk(place: &Place, line: &str) -> (Option<i32>, String) {
    let script = format!("trap '' XFSZ; ulimit -f 0; exec {} {line}", env!("CARGO_BIN_EXE_spellflow"));
    let mut command = Command::new("sh");
    let ended = command.args(["-c", &script]).current_dir(place.path(".")).env("HOME", place.path(".")).output();
    let ended = ended.unwrap();
    (ended.status.code(), String::from_utf8(ended.stderr).unwrap())
}

#[test]
fn a_result_that_cannot_be_written_is_an_error() {
    let place = Place::with("flow.yaml", FLOW);
    for line in ["fmt flow.yaml > out", "run flow.yaml -o json > out", "config show > out"] {
        let (code, err) = on_full_disk(&place, line);
        assert_eq!(code, Some(1), "{line}: {err}");
        assert!(err.contains("could not write to standard output"), "{line}: {err}");
    }
}

#[test]
fn a_file_that_cannot_be_written_anew_stays_as_it_was() {
    let place = Place::with("flow.yaml", FLOW);
    let (code, err) = on_full_disk(&place, "fmt --write flow.yaml");
    assert_eq!(code, Some(1), "{err}");
    assert_eq!(place.read("flow.yaml"), FLOW);
    assert_eq!(fs::read_dir(place.path(".")).unwrap().count(), 1, "nothing is left beside it");
}

#[test]
fn a_file_that_is_written_anew_keeps_its_permissions_and_its_links() {
    let place = Place::with("real.yaml", FLOW);
    fs::set_permissions(place.path("real.yaml"), fs::Permissions::from_mode(0o640)).unwrap();
    std::os::unix::fs::symlink("real.yaml", place.path("link.yaml")).unwrap();
    place.run(&["fmt", "--write", "link.yaml"]).ok();
    assert!(fs::symlink_metadata(place.path("link.yaml")).unwrap().is_symlink());
    assert_eq!(fs::metadata(place.path("real.yaml")).unwrap().permissions().mode() & 0o777, 0o640);
    assert!(place.read("real.yaml").starts_with("name: x\n"));
}

/// A pipe would be waited for without an end.
#[test]
fn what_is_no_file_in_a_folder_is_passed_over() {
    let place = Place::with("flow.yaml", FLOW);
    assert!(Command::new("mkfifo").arg(place.path("pipe.yaml")).status().unwrap().success());
    fs::create_dir(place.path("folder.yaml")).unwrap();
    std::os::unix::fs::symlink("folder.yaml", place.path("link.yaml")).unwrap();
    let report = place.run(&["validate", ".", "-o", "json"]).ok().json();
    assert_eq!(report["files"].as_array().map(Vec::len), Some(1), "{report}");
}
