//! The log of step output in a folder home.

use std::{fs, io::Write, sync::Arc};

use llmspell_workflows_advanced::{
    FolderHome, Home, LoggedLine, OUTPUT_HEAD_LINES, OUTPUT_TAIL_LINES, OutputCursor, OutputEnd, StepOutputs,
};
use llmspell_workflows_basic::activity::{OutputLine, OutputLog, OutputSource, OutputStream};
use tempfile::TempDir;
use uuid::Uuid;

const RUN: Uuid = Uuid::from_u128(7);

fn outputs() -> (TempDir, Arc<dyn StepOutputs>) {
    let folder = tempfile::tempdir().unwrap();
    let home: Arc<dyn Home> = FolderHome::new(folder.path()).into();
    (folder, home.outputs().unwrap())
}

fn open(outputs: &Arc<dyn StepOutputs>, path: &str, attempt: u32) -> Box<dyn OutputLog> {
    outputs.open(&OutputSource { run: RUN, path: path.to_owned(), attempt, cuts: 0 })
}

async fn write(log: &mut Box<dyn OutputLog>, texts: impl IntoIterator<Item = String>) {
    let line = |text| OutputLine { stream: OutputStream::Stdout, text };
    log.write(&texts.into_iter().map(line).collect::<Vec<_>>()).await;
}

async fn read(outputs: &Arc<dyn StepOutputs>, cursor: &mut OutputCursor) -> Vec<LoggedLine> {
    outputs.read(RUN, cursor).await.unwrap()
}

fn texts(lines: &[LoggedLine]) -> Vec<String> {
    lines
        .iter()
        .map(|one| format!("{}#{} {}", one.attempt.source.path, one.attempt.source.attempt, one.line.text))
        .collect()
}

#[tokio::test]
async fn reader_receives_each_line_once_in_order() {
    let (_folder, outputs) = outputs();
    let mut cursor = OutputCursor::default();
    assert!(read(&outputs, &mut cursor).await.is_empty(), "nothing has been written");
    let (mut a, mut b) = (open(&outputs, "/main/a", 1), open(&outputs, "/main/b", 2));
    write(&mut a, ["one".to_owned()]).await;
    write(&mut b, ["two".to_owned(), "\u{1b}[31m \"three\"".to_owned()]).await;
    assert_eq!(
        texts(&read(&outputs, &mut cursor).await),
        ["/main/a#1 one", "/main/b#2 two", "/main/b#2 \u{1b}[31m \"three\""]
    );
    write(&mut a, ["four".to_owned()]).await;
    assert_eq!(texts(&read(&outputs, &mut cursor).await), ["/main/a#1 four"]);
    assert!(read(&outputs, &mut cursor).await.is_empty());
    assert_eq!(read(&outputs, &mut OutputCursor::default()).await.len(), 4);
    outputs.remove(&[RUN]).await.unwrap();
    assert!(read(&outputs, &mut OutputCursor::default()).await.is_empty());
}

/// The first and the last lines of a long output are kept in bounded space, however the output is
/// divided into writes.
#[tokio::test]
async fn long_output_keeps_its_first_and_last_lines() {
    const LINES: u64 = 50_000;
    for batch in [1, 7, 4000, usize::try_from(LINES).unwrap()] {
        let total = if batch == 1 { 5_000 } else { LINES };
        let (folder, outputs) = outputs();
        let mut log = open(&outputs, "/main/a", 1);
        let (mut follower, mut followed) = (OutputCursor::default(), Vec::new());
        for (number, lines) in (0..total).collect::<Vec<_>>().chunks(batch).enumerate() {
            write(&mut log, lines.iter().map(|line| format!("line {line} {}", "x".repeat(100)))).await;
            if number % 100 == 0 {
                followed.extend(read(&outputs, &mut follower).await.iter().map(|line| line.number));
            }
        }
        let lines = read(&outputs, &mut OutputCursor::default()).await;
        let numbers: Vec<u64> = lines.iter().map(|line| line.number).collect();
        assert!(numbers.is_sorted());
        assert!(lines.iter().all(|line| line.line.text.starts_with(&format!("line {} ", line.number))));
        let head = OUTPUT_HEAD_LINES as u64;
        assert!((0..head).all(|number| numbers.binary_search(&number).is_ok()), "batches of {batch}");
        assert!((total - OUTPUT_TAIL_LINES as u64..total).all(|number| numbers.binary_search(&number).is_ok()));
        assert!(numbers.len() <= OUTPUT_HEAD_LINES + 2 * OUTPUT_TAIL_LINES, "{} lines", numbers.len());
        followed.extend(read(&outputs, &mut follower).await.iter().map(|line| line.number));
        assert!(followed.is_sorted_by(|one, next| one < next) && followed.last() == Some(&(total - 1)));
        let bytes: u64 = fs::read_dir(folder.path().join(format!("output/{RUN}")))
            .unwrap()
            .map(|entry| entry.unwrap().metadata().unwrap().len())
            .sum();
        assert!(bytes < 1024 * 1024, "{bytes} bytes");
    }
}

#[tokio::test]
async fn line_cut_off_by_a_crash_does_not_hide_later_lines() {
    let (folder, outputs) = outputs();
    write(&mut open(&outputs, "/main/a", 1), ["one".to_owned()]).await;
    let file = folder.path().join(format!("output/{RUN}/lines"));
    fs::OpenOptions::new().append(true).open(file).unwrap().write_all(br#"{"line":{"id":1,"n":"#).unwrap();
    let mut cursor = OutputCursor::default();
    assert_eq!(texts(&read(&outputs, &mut cursor).await), ["/main/a#1 one"]);
    write(&mut open(&outputs, "/main/a", 2), ["two".to_owned()]).await;
    assert_eq!(texts(&read(&outputs, &mut cursor).await), ["/main/a#2 two"]);
}

#[tokio::test]
async fn removed_home_does_not_reappear() {
    let (folder, outputs) = outputs();
    let path = folder.path().to_owned();
    drop(folder);
    write(&mut open(&outputs, "/main/a", 1), ["one".to_owned()]).await;
    assert!(!path.exists());
}

/// The tail of the log is on a full disk.
#[tokio::test]
async fn unwritable_log_reports_the_number_of_missing_lines() {
    let (folder, outputs) = outputs();
    let mut log = open(&outputs, "/main/a", 1);
    let head = OUTPUT_HEAD_LINES as u64;
    write(&mut log, (0..head).map(|number| number.to_string())).await;
    let mut cursor = OutputCursor::default();
    let id = read(&outputs, &mut cursor).await[0].attempt.id;
    assert_eq!(cursor.end(id), None, "the output has not ended");
    let tail = folder.path().join(format!("output/{RUN}/tail-{id}-0"));
    std::os::unix::fs::symlink("/dev/full", &tail).unwrap();
    for batch in [1, 2] {
        write(&mut log, (0..batch).map(|number| number.to_string())).await;
    }
    log.close().await;
    fs::remove_file(tail).unwrap();
    assert!(read(&outputs, &mut cursor).await.is_empty());
    let end = cursor.end(id).expect("an end");
    assert_eq!(end.lines, head + 3);
    assert!(end.error.as_deref().is_some_and(|error| error.contains("No space left on device")), "{end:?}");
}

#[tokio::test]
async fn complete_log_ends_without_an_error() {
    let (_folder, outputs) = outputs();
    let mut log = open(&outputs, "/main/a", 1);
    write(&mut log, ["one".to_owned()]).await;
    log.close().await;
    let mut cursor = OutputCursor::default();
    let id = read(&outputs, &mut cursor).await[0].attempt.id;
    assert_eq!(cursor.end(id), Some(&OutputEnd { lines: 1, error: None }));
}

#[tokio::test]
async fn unfinished_lines_are_previewed_until_complete() {
    let (folder, outputs) = outputs();
    let mut log = open(&outputs, "/main/a", 1);
    let line = |stream, text: &str| OutputLine { stream, text: text.to_owned() };
    let mut cursor = OutputCursor::default();
    log.preview(OutputStream::Stdout, &[line(OutputStream::Stdout, "10 %")]).await;
    log.preview(OutputStream::Stderr, &[line(OutputStream::Stderr, "a longer line")]).await;
    assert!(read(&outputs, &mut cursor).await.is_empty());
    assert_eq!(texts(cursor.unfinished()), ["/main/a#1 10 %", "/main/a#1 a longer line"]);
    log.preview(OutputStream::Stdout, &[line(OutputStream::Stdout, "20 %")]).await;
    log.write(&[line(OutputStream::Stderr, "a line")]).await;
    assert_eq!(texts(&read(&outputs, &mut cursor).await), ["/main/a#1 a line"]);
    assert_eq!(texts(cursor.unfinished()), ["/main/a#1 20 %"]);
    assert_eq!(cursor.unfinished()[0].number, 1);
    log.write(&[line(OutputStream::Stdout, "100 %")]).await;
    assert_eq!(texts(&read(&outputs, &mut cursor).await), ["/main/a#1 100 %"]);
    assert!(cursor.unfinished().is_empty());
    log.preview(OutputStream::Stdout, &[line(OutputStream::Stdout, "rest")]).await;
    log.write(&[line(OutputStream::Stdout, "rest")]).await;
    log.close().await;
    assert_eq!(read(&outputs, &mut cursor).await.len(), 1);
    assert_eq!(fs::read_dir(folder.path().join(format!("output/{RUN}"))).unwrap().count(), 1);
}
