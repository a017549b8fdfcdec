use std::fs;

use serde_json::{Value, json};

use super::{follow_the_page, place_with};
use crate::{
    again_inside::runs,
    support::{Place, show},
};

const BACKUP: &str = "examples/sub-workflows/backup.yaml";
const RELEASE: &str = "examples/sub-workflows/release.yaml";

fn files(place: &Place, folder: &str) -> Vec<String> {
    let entries = fs::read_dir(place.path(folder)).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn they_print_what_the_page_says() {
    follow_the_page(&place_with("sub-workflows"), "sub-workflows");
}

#[test]
fn the_last_three_backups_are_kept() {
    let place = place_with("sub-workflows");
    for day in ["1", "2", "3", "4"] {
        let label = format!("label=day-{day}");
        let ended = place.run(&["run", BACKUP, "--input", &label]);
        assert_eq!(ended.code, 0, "{}", ended.stderr);
    }
    let kept = files(&place, "target/sub-workflows/backups");
    assert_eq!(kept, ["day-2.tar.gz", "day-3.tar.gz", "day-4.tar.gz"]);
}

#[test]
fn both_workflows_run_the_library_as_runs_of_their_own() {
    let place = place_with("sub-workflows");
    for file in [BACKUP, RELEASE] {
        let ended = place.run(&["run", file, "-o", "json"]);
        assert_eq!(ended.code, 0, "{}", ended.stderr);
        let children = runs(&place, ended.json()["run_id"].as_str());
        let mut names: Vec<_> = children.iter().map(|child| show(&place, child)["workflow"].take()).collect();
        names.sort_by_key(Value::to_string);
        assert_eq!(names, ["archive", "keep-newest"], "{file}");
    }
    let manifest = fs::read_to_string(place.path("target/sub-workflows/release/manifest.json")).unwrap();
    let manifest: Value = serde_json::from_str(&manifest).unwrap();
    assert_eq!(
        (&manifest["number"], manifest["archive"]["sha256"].as_str().map(str::len)),
        (&json!("1.0.0"), Some(64))
    );
}
