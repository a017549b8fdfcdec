use std::ops::ControlFlow;

use uuid::Uuid;

use super::{
    super::{
        INBOX_PAGE, Message, StoreError,
        inbox::{StoredMessage, expect_number},
        seal,
    },
    KeyValue, KeyValueStores, Range, keys,
};
use crate::store::blocking::InboxStore;

fn key(run: Uuid, number: u64) -> Vec<u8> {
    keys::named(b'm', run, &number.to_be_bytes())
}

impl<K: KeyValue> KeyValueStores<K> {
    fn stored_message(&self, run: Uuid, number: u64, bytes: &[u8]) -> Result<StoredMessage, StoreError> {
        let location = format!("message {number} of run {run} in {}", self.below.location());
        seal::open_json(&location, &StoredMessage::key(run, number), bytes)
    }

    fn number_of(&self, run: Uuid, message_id: &str) -> Result<Option<u64>, StoreError> {
        let key = keys::named(b'n', run, message_id.as_bytes());
        let location = || format!("the inbox of run {run} in {}", self.below.location());
        self.below.get(&key)?.map(|bytes| seal::open_json(&location(), &key, &bytes)).transpose()
    }

    fn last_number(&self, run: Uuid) -> Result<u64, StoreError> {
        let mut last = 0;
        let range = Range { backward: true, ..Range::of(keys::of_run(b'm', run)) };
        self.below.scan(&range, &mut |key, _| {
            last = number(key);
            Ok(ControlFlow::Break(()))
        })?;
        Ok(last)
    }
}

fn number(key: &[u8]) -> u64 {
    key.last_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

impl<K: KeyValue> InboxStore for KeyValueStores<K> {
    fn post(&self, run: Uuid, message_id: &str, message: &Message) -> Result<u64, StoreError> {
        self.change(|changes| {
            let stored_message = StoredMessage { id: message_id.to_owned(), message: message.clone() };
            if let Some(number) = self.number_of(run, message_id)? {
                let missing = || expect_number(&self.below.location(), run, number, 0);
                let Some(bytes) = self.below.get(&key(run, number))? else { return missing().map(|()| number) };
                return stored_message.existing_number(&self.stored_message(run, number, &bytes)?, run, number);
            }
            let number = self.last_number(run)? + 1;
            changes.push((key(run, number), Some(seal::seal_json(&StoredMessage::key(run, number), &stored_message))));
            let id = keys::named(b'n', run, message_id.as_bytes());
            let sealed = seal::seal_json(&id, &number);
            changes.push((id, Some(sealed)));
            Ok(number)
        })
    }

    fn next(&self, run: Uuid, after: u64) -> Result<Vec<(u64, Message)>, StoreError> {
        let mut messages = Vec::new();
        let from = key(run, after.saturating_add(1));
        let range = Range { from, ..Range::of(keys::of_run(b'm', run)) };
        let mut expected = after;
        self.below.scan(&range, &mut |key, bytes| {
            let number = number(key);
            expected = expected.saturating_add(1);
            expect_number(&self.below.location(), run, expected, number)?;
            messages.push((number, self.stored_message(run, number, bytes)?.message));
            Ok(if messages.len() == INBOX_PAGE { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })?;
        Ok(messages)
    }

    fn remove(&self, run: Uuid) -> Result<usize, StoreError> {
        self.change(|changes| {
            let messages = self.all(keys::of_run(b'm', run))?;
            let count = messages.len();
            let ids = self.all(keys::of_run(b'n', run))?;
            changes.extend(messages.into_iter().chain(ids).map(|(key, _)| (key, None)));
            Ok(count)
        })
    }
}
