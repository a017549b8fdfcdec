use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::{Access, Policy, Services};

fn services(folder: &tempfile::TempDir, change: impl FnOnce(&mut Policy)) -> Services {
    let mut policy = Policy { working_directory: Some(folder.path().to_owned()), ..Policy::default() };
    change(&mut policy);
    Services::for_tests(policy)
}

/// Reads all rows of a file with `content`, and returns each row with its line.
fn rows(name: &str, content: &[u8]) -> Result<Vec<(Value, u64)>, String> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(name), content).unwrap();
    let services = services(&folder, |_| ());
    let path = services.sandbox.locate(name, Access::Read).unwrap();
    let token = CancellationToken::new();
    let read = || {
        let mut source = RowReader::open(vec![&path], &services.policy, &token)?.unwrap();
        let mut all = Vec::new();
        while let Some(row) = source.next()? {
            all.push((row.value, row.line));
        }
        Ok(all)
    };
    read().map_err(|error: ToolError| error.to_string())
}

#[test]
fn rows_are_read_from_each_format() {
    let expected = Ok(vec![(json!({"a": 1}), 1), (json!({"a": "x,y"}), 2)]);
    assert_eq!(rows("x.jsonl", b"{\"a\": 1}\n{\"a\": \"x,y\"}"), expected);
    let below_header = Ok(vec![(json!({"a": 1}), 2), (json!({"a": "x,y"}), 3)]);
    assert_eq!(rows("x.CSV", b"a\n1\n\"x,y\"\n"), below_header);
    assert_eq!(rows("x.json", b"\xef\xbb\xbf\n[{\"a\": 1},\n{\"a\":\n\"x,y\"}]\n"), below_header);
    assert_eq!(rows("x.ndjson", b"\xef\xbb\xbf1\r\n\r\n  \n[2]\r\n"), Ok(vec![(json!(1), 1), (json!([2]), 4)]));
    assert_eq!(rows("x.json", br#" [ "a]\",[" , {"b": [1, "}"]}, 2 ] "#), {
        Ok(vec![(json!("a]\",["), 1), (json!({"b": [1, "}"]}), 1), (json!(2), 1)])
    });
    for (name, content) in [("x.jsonl", &b""[..]), ("x.json", b"[]"), ("x.csv", b"a\n"), ("x.csv", b"")] {
        assert_eq!(rows(name, content), Ok(Vec::new()), "{name}");
    }
}

#[test]
fn errors_name_the_file_and_the_line() {
    let long = [b"1\n\"".to_vec(), vec![b'x'; ROW_BYTES_MAX], b"\"".to_vec()].concat();
    let array = [b"[1,\n\"".to_vec(), vec![b'x'; ROW_BYTES_MAX], b"\"]".to_vec()].concat();
    let limit = "is longer than 4194304 bytes, the limit `ROW_BYTES_MAX`";
    for (name, content, expected) in [
        (
            "x.jsonl",
            &b"1\n\n{]\n"[..],
            "line 3 of `x.jsonl` is not valid JSON: key must be a string at column 2 (write one",
        ),
        ("x.jsonl", b"1\n99999999999999999999\n", "cannot parse line 2 of `x.jsonl`: `99999999999999999999`"),
        ("x.jsonl", b"\"\xff\"", "line 1 of `x.jsonl` is not valid JSON"),
        ("x.jsonl", &long, &format!("line 2 of `x.jsonl` {limit}")),
        ("x.json", &array, &format!("the row at line 2 of `x.json` {limit}")),
        ("x.json", b"{\"a\": 1}", "line 1 of `x.json`: expected an array of rows"),
        ("x.json", b"[1\n2]", "the row at line 1 of `x.json` is not valid JSON"),
        ("x.json", b"[1,]", "the row at line 1 of `x.json` is not valid JSON"),
        ("x.json", b"[1\n", "line 2 of `x.json`: the array is not closed"),
        ("x.json", b"[1] 2", "line 1 of `x.json`: unexpected data after the array"),
        ("x.json", b"[[1]x, 2]", "the row at line 1 of `x.json` is not valid JSON"),
        ("x.csv", b"a,b\n1,2\n3\n", "`x.csv`, line 3: expected 2 fields as in the previous rows, got 1"),
        ("x.csv", b"a,b\n1,\"2\n", "`x.csv`, line 2: unclosed quote"),
        ("x.txt", b"1", "the name `x.txt` does not imply a row format"),
    ] {
        let error = rows(name, content).unwrap_err();
        assert!(error.starts_with(expected), "{name}: {error}");
    }
}

#[test]
fn using_the_same_file_twice_is_rejected_before_any_write() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.jsonl"), "1\n").unwrap();
    std::os::unix::fs::symlink("a.jsonl", folder.path().join("link.jsonl")).unwrap();
    let services = services(&folder, |_| ());
    let locate = |read: Option<&str>, first: &str, second: Option<&str>| {
        let [read, first, second] = [read, Some(first), second].map(|path| path.map(str::to_owned));
        let written = [("output_path", &first), ("dropped_path", &second)];
        Files::locate(&services, &[("input_path", read.as_slice())], &written).map(|_| ()).map_err(|error| error.code)
    };
    assert_eq!(locate(Some("a.jsonl"), "b.jsonl", Some("c.jsonl")), Ok(()));
    assert_eq!(locate(Some("a.jsonl"), "./a.jsonl", None), Err("same_file"));
    assert_eq!(locate(Some("link.jsonl"), "a.jsonl", None), Err("same_file"));
    assert_eq!(locate(Some("a.jsonl"), "link.jsonl", None), Err("same_file"));
    assert_eq!(locate(None, "new/x.jsonl", Some("new/./x.jsonl")), Err("same_file"));
    for (link, to) in [("x.jsonl", "new.jsonl"), ("y.jsonl", "new.jsonl"), ("d", "nd")] {
        std::os::unix::fs::symlink(to, folder.path().join(link)).unwrap();
    }
    assert_eq!(locate(None, "x.jsonl", Some("y.jsonl")), Err("same_file"), "both lead to a new file");
    assert_eq!(locate(None, "x.jsonl", Some("new.jsonl")), Err("same_file"));
    assert_eq!(locate(None, "d/a.jsonl", Some("nd/a.jsonl")), Err("same_file"));
    assert_eq!(locate(None, "x.jsonl", Some("b.jsonl")), Ok(()));
    assert_eq!(locate(Some("../a.jsonl"), "b.jsonl", None), Err("path_outside_roots"));
    assert_eq!(locate(Some("a.jsonl"), "../b.jsonl", None), Err("path_outside_roots"));
}

#[test]
fn an_incomplete_file_is_discarded() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.jsonl"), "old\n").unwrap();
    let services = services(&folder, |policy| policy.file_bytes_max = 20);
    let files = Files::locate(&services, &[], &[("output_path", &Some("a.jsonl".to_owned()))]).unwrap();
    let content = || std::fs::read_to_string(folder.path().join("a.jsonl")).unwrap();
    let token = CancellationToken::new();

    let mut dropped = RowWriter::create(&files, "output_path").unwrap().unwrap();
    dropped.write(&1).unwrap();
    drop(dropped);
    let mut too_large = RowWriter::create(&files, "output_path").unwrap().unwrap();
    let error = (0..20).map(|row| too_large.write(&row)).find_map(Result::err).unwrap();
    assert_eq!(error.to_string(), {
        "`a.jsonl` would be larger than 20 bytes, the limit `file_bytes_max` (raise `file_bytes_max` in the policy)"
    });
    drop(too_large);
    let mut cancelled = RowWriter::create(&files, "output_path").unwrap().unwrap();
    cancelled.write(&1).unwrap();
    token.cancel();
    assert_eq!(cancelled.finish(&token).unwrap_err().code, "cancelled");
    assert_eq!(content(), "old\n");

    let mut complete = RowWriter::create(&files, "output_path").unwrap().unwrap();
    complete.write(&json!({"a": 1})).unwrap();
    let written = complete.finish(&CancellationToken::new()).unwrap();
    assert_eq!((written.rows, content()), (1, "{\"a\":1}\n".to_owned()));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}
