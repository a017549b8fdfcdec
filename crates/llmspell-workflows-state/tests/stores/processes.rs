//! Concurrent use: SQLite stores are shared by processes and threads, and sled stores allow only one process.
//!
//! A child process runs this test program again; an environment variable specifies the folder to use.

use std::{
    env,
    io::{BufRead, BufReader, Read, Write},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
};

use llmspell_workflows_state::store::{
    Message, RunQuery, StoreError, Stores,
    conformance::{summary, wait},
};
use uuid::Uuid;

use crate::support::{SLED, SQLITE, folder};

const FOLDER_VARIABLE: &str = "STORES_OF_ANOTHER_PROCESS";

const EACH: u64 = 20;

fn run() -> Uuid {
    Uuid::from_u128(1)
}

/// Runs the test `name` of this program in another process and passes the folder to it.
fn start(name: &str, folder: &Path) -> Child {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args([name, "--exact", "--nocapture", "--test-threads=1"]).env(FOLDER_VARIABLE, folder);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap()
}

/// Returns the folder passed by the parent process; `None` in the parent itself.
fn child_task() -> Option<std::path::PathBuf> {
    env::var_os(FOLDER_VARIABLE).map(Into::into)
}

fn work(stores: &Stores, worker: u64) {
    for number in 0..EACH {
        wait(stores.inbox.post(run(), &format!("{worker}-{number}"), &Message::Pause)).unwrap();
        wait(stores.inbox.post(run(), &format!("all-{number}"), &Message::Resume)).unwrap();
        wait(stores.runs.put(&summary(worker * EACH + number, 1))).unwrap();
    }
}

#[test]
fn processes_and_handles_share_a_database() {
    if let Some(folder) = child_task() {
        return work(&SQLITE.open_in(&folder).unwrap(), 9);
    }
    let folder = folder();
    // Both processes also create the database concurrently.
    let mut other = start("processes::processes_and_handles_share_a_database", folder.path());
    thread::scope(|scope| {
        for worker in 0..2 {
            let folder = folder.path();
            scope.spawn(move || work(&SQLITE.open_in(folder).unwrap(), worker));
        }
    });
    assert!(other.wait().unwrap().success());

    let stores = SQLITE.open_in(folder.path()).unwrap();
    let messages = wait(stores.inbox.next(run(), 0)).unwrap();
    let numbers: Vec<_> = messages.iter().map(|(number, _)| *number).collect();
    assert_eq!(
        numbers,
        (1..=4 * EACH).collect::<Vec<_>>(),
        "the messages of three workers, and one set that all of them post"
    );
    let page = wait(stores.runs.list(&RunQuery { limit: 1_000, ..RunQuery::default() })).unwrap();
    assert_eq!(page.runs.len() as u64, 3 * EACH);
}

#[test]
fn two_handles_see_each_others_writes() {
    let folder = folder();
    let (one, other) = (SQLITE.open_in(folder.path()).unwrap(), SQLITE.open_in(folder.path()).unwrap());
    for number in 1..=5 {
        let (writer, reader) = if number % 2 == 0 { (&one, &other) } else { (&other, &one) };
        assert_eq!(wait(writer.inbox.post(run(), &number.to_string(), &Message::Cancel)), Ok(number));
        assert_eq!(wait(reader.inbox.next(run(), number - 1)), Ok(vec![(number, Message::Cancel)]));
        assert_eq!(
            wait(reader.inbox.post(run(), &number.to_string(), &Message::Cancel)),
            Ok(number),
            "the other handle has already posted the message"
        );
    }
}

/// Keeps the folder open until the parent process kills this one or exits.
fn hold_store(folder: &Path) {
    let _stores = SLED.open_in(folder).unwrap();
    println!("held");
    std::io::stdout().flush().unwrap();
    drop(std::io::stdin().read_to_end(&mut Vec::new()));
}

#[test]
fn sled_error_names_the_owner_of_the_store() {
    if let Some(folder) = child_task() {
        return hold_store(&folder);
    }
    let folder = folder();
    let mut other = start("processes::sled_error_names_the_owner_of_the_store", folder.path());
    let mut lines = BufReader::new(other.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("held")), "the other process never opened the store");

    let error = SLED.open_in(folder.path()).unwrap_err();
    let StoreError::Held { path, holder } = &error else { panic!("{error}") };
    assert_eq!(*path, SLED.path(folder.path()));
    assert!(holder.starts_with(&format!("process {} (stores-", other.id())), "{holder}");
    assert!(holder.ends_with(" processes::sled_error_names_the_owner_of_the_store)"), "{holder}");
    assert!(error.to_string().contains("or use a SQLite store"), "{error}");

    // A killed process owns nothing, even if it leaves its name behind.
    other.kill().unwrap();
    other.wait().unwrap();
    drop(SLED.open_in(folder.path()).unwrap());
}

#[test]
fn sled_allows_only_one_handle() {
    let folder = folder();
    let first = SLED.open_in(folder.path()).unwrap();
    let error = SLED.open_in(folder.path()).unwrap_err();
    let own = format!("process {} (", std::process::id());
    assert!(matches!(&error, StoreError::Held { holder, .. } if holder.starts_with(&own)), "{error}");
    wait(first.runs.put(&summary(1, 1))).unwrap();
    drop(first);
    for _ in 0..5 {
        let again = SLED.open_in(folder.path()).unwrap();
        assert!(wait(again.runs.get(summary(1, 1).id)).unwrap().is_some());
    }
}
