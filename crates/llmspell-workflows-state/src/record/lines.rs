//! A run's records in the form used by journals and stores.

use super::{FormatError, INLINE_MAX, Record};
use crate::run::RunState;

/// The first bytes of records about a single step.
const OF_STEPS: [&[u8]; 3] = [b"{\"began\"", b"{\"ended\"", b"{\"stopped\""];

/// The first bytes of records that refer to earlier records of steps.
const ABOUT_STEPS: [&[u8]; 2] = [b"{\"rewound\"", b"{\"redefined\""];

/// The records of a run, one line of JSON each, as journals and archives store them.
///
/// When a run moves from a journal to an archive, only lines whose content is needed are decoded.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RecordLines(Vec<u8>);

impl RecordLines {
    /// Encodes `records`.
    ///
    /// # Errors
    /// Returns an error if a value in a record cannot be encoded as JSON.
    pub fn of(records: &[Record]) -> Result<Self, FormatError> {
        let mut lines = Self::default();
        records.iter().try_for_each(|record| {
            lines.push(&record.encode()?);
            Ok(())
        })?;
        Ok(lines)
    }

    /// Adds an encoded record.
    pub(crate) fn push(&mut self, encoded: &[u8]) {
        self.0.extend_from_slice(encoded);
        self.0.push(b'\n');
    }

    /// Returns the lines, each ending with a line break.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Returns whether there are no records.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn lines(&self) -> impl Iterator<Item = &[u8]> {
        lines(&self.0)
    }

    /// Decodes the records.
    ///
    /// # Errors
    /// Returns an error if a line is not a record of this format.
    pub fn decode(&self) -> Result<Vec<Record>, FormatError> {
        Self::decode_bytes(&self.0)
    }

    /// Decodes bytes returned by [`Self::as_bytes`].
    pub(crate) fn decode_bytes(bytes: &[u8]) -> Result<Vec<Record>, FormatError> {
        lines(bytes).map(Record::decode).collect()
    }

    /// Returns the state of the run without individual steps: the run's start, end and
    /// sub-workflows.
    ///
    /// # Errors
    /// Returns an error if a line is not a record of this format.
    pub fn outline(&self) -> Result<RunState, FormatError> {
        let begins = |line: &[u8], kinds: &[&[u8]]| kinds.iter().any(|kind| line.starts_with(kind));
        let needs_steps = self.lines().any(|line| begins(line, &ABOUT_STEPS));
        let needed = self.lines().filter(|line| needs_steps || !begins(line, &OF_STEPS));
        Ok(RunState::read_outline(&needed.map(Record::decode).collect::<Result<Vec<_>, _>>()?))
    }

    /// Moves large outputs and state changes out of the records; returns each value with the hash
    /// that replaces it.
    ///
    /// # Errors
    /// Returns an error if a long line is not a record of this format.
    pub fn extract_large(&mut self) -> Result<Vec<(String, Vec<u8>)>, FormatError> {
        // The estimated size of a value is at most four times the length of its JSON.
        let may_be_large = |line: &[u8]| line.len() >= INLINE_MAX / 4;
        if !self.lines().any(may_be_large) {
            return Ok(Vec::new());
        }
        let (mut lines, mut large) = (Self::default(), Vec::new());
        for line in self.lines() {
            if may_be_large(line) {
                let mut record = Record::decode(line)?;
                large.extend(record.extract_large());
                lines.push(&record.encode()?);
            } else {
                lines.push(line);
            }
        }
        *self = lines;
        Ok(large)
    }
}

fn lines(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty())
}

#[cfg(test)]
mod tests {
    use llmspell_workflows_basic::engine::{ChildRun, Decision};
    use serde_json::{Value, json};
    use uuid::Uuid;

    use super::*;
    use crate::record::{End, Rewound, Started, StoredValue};

    fn ended(path: &str, value: Value) -> Record {
        let end = End::Completed { output: StoredValue::Value(value.into()), changes: Vec::new() };
        Record::Ended { path: path.to_owned(), end, time_us: 1 }
    }

    #[test]
    fn record_lines_and_decoded_records_have_the_same_outline() {
        let child = Decision::Child(1, ChildRun { run: Uuid::from_u128(7), definition: String::new() });
        let mut records = vec![
            Record::Started(Box::new(Started { workflow: "w".to_owned(), ..Started::default() })),
            Record::Began { path: "/main/a".to_owned(), time_us: 1 },
            ended("/main/a", json!(1)),
            Record::Decided { path: "/main/b".to_owned(), decision: child, masks: Vec::new(), time_us: 2 },
        ];
        let check = |records: &[Record]| {
            let (lines, all) = (RecordLines::of(records).unwrap(), RunState::read_outline(records));
            let outline = lines.outline().unwrap();
            assert_eq!(outline.summary(Uuid::nil(), None), all.summary(Uuid::nil(), None));
            assert_eq!(outline.children(), all.children());
            assert_eq!(lines.decode().unwrap(), records);
        };
        check(&records);
        let closed = || Record::Closed {
            end: End::Completed { output: StoredValue::Value(json!(1).into()), changes: Vec::new() },
            time_us: 3,
            compensated: false,
        };
        records.push(closed());
        check(&records);
        records.push(Record::Rewound(Box::new(Rewound { reopened: vec!["/main/a".to_owned()], ..Rewound::default() })));
        check(&records);
        records.extend([ended("/main/a", json!(2)), closed()]);
        check(&records);
    }

    #[test]
    fn only_large_values_are_extracted() {
        let small = ended("/main/a", json!("x".repeat(INLINE_MAX / 2)));
        // The estimated size is four bytes per number; the actual size is two.
        let numbers = ended("/main/b", json!(vec![1; INLINE_MAX / 4 + 1]));
        let large = ended("/main/c", json!("x".repeat(INLINE_MAX)));
        let records = [small.clone(), numbers, large];
        let mut lines = RecordLines::of(&records).unwrap();
        let moved = lines.extract_large().unwrap();
        let mut expected = records.to_vec();
        let each: Vec<_> = expected.iter_mut().flat_map(Record::extract_large).collect();
        assert_eq!(moved, each);
        assert_eq!(lines.decode().unwrap(), expected);
        assert_eq!(expected[0], small);
        assert_eq!(moved.len(), 2);
    }

    #[test]
    fn damaged_line_is_an_error() {
        let mut lines = RecordLines::default();
        lines.push(b"{\"closed\":1}");
        assert!(lines.decode().is_err());
        assert!(lines.outline().is_err());
    }
}
