use rusqlite::params;
use uuid::Uuid;

use super::{
    super::{
        INBOX_PAGE, Message, StoreError,
        inbox::{StoredMessage, expect_number},
        seal,
    },
    Sqlite, Sync, execute, rows,
};
use crate::store::blocking::InboxStore;

impl Sqlite {
    fn stored_message(&self, run: Uuid, number: u64, body: &[u8]) -> Result<StoredMessage, StoreError> {
        let location = format!("message {number} of run {run} in {}", self.location());
        seal::open_json(&location, &StoredMessage::key(run, number), body)
    }
}

impl InboxStore for Sqlite {
    fn post(&self, run: Uuid, message_id: &str, message: &Message) -> Result<u64, StoreError> {
        let stored_message = StoredMessage { id: message_id.to_owned(), message: message.clone() };
        self.write(Sync::Yes, |transaction| {
            let sqlite_error = |error: rusqlite::Error| self.error(&error);
            let sql = "SELECT number, body FROM messages WHERE run = ? AND message_id = ?";
            let before: Vec<(u64, Vec<u8>)> =
                rows(transaction, sql, params![run.as_bytes(), message_id], |row| Ok((row.get(0)?, row.get(1)?)))
                    .map_err(sqlite_error)?;
            if let Some((number, body)) = before.first() {
                return stored_message.existing_number(&self.stored_message(run, *number, body)?, run, *number);
            }
            let sql = "SELECT coalesce(max(number), 0) + 1 FROM messages WHERE run = ?";
            let number: u64 = transaction.query_row(sql, [run.as_bytes()], |row| row.get(0)).map_err(sqlite_error)?;
            let body = seal::seal_json(&StoredMessage::key(run, number), &stored_message);
            let sql = "INSERT INTO messages (run, number, message_id, body) VALUES (?, ?, ?, ?)";
            execute(transaction, sql, params![run.as_bytes(), number, message_id, body]).map_err(sqlite_error)?;
            Ok(number)
        })
    }

    fn next(&self, run: Uuid, after: u64) -> Result<Vec<(u64, Message)>, StoreError> {
        let sql = "SELECT number, body FROM messages WHERE run = ? AND number > ? ORDER BY number LIMIT ?";
        // SQLite's integers are signed.
        let after = after.min(i64::MAX.cast_unsigned());
        let found: Vec<(u64, Vec<u8>)> =
            self.rows(sql, params![run.as_bytes(), after, INBOX_PAGE], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let read = |(expected, (number, body)): (u64, (u64, Vec<u8>))| {
            expect_number(&self.location(), run, expected, number)?;
            Ok((number, self.stored_message(run, number, &body)?.message))
        };
        (after + 1..).zip(found).map(read).collect()
    }

    fn remove(&self, run: Uuid) -> Result<usize, StoreError> {
        self.execute("DELETE FROM messages WHERE run = ?", [run.as_bytes()])
    }
}
