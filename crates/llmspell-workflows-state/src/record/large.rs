//! Large values apart from the records that hold them.

use std::sync::Arc;

use serde_json::Value;

use super::{End, Kept, Record, kept::takes_at_least};

/// How many bytes of JSON or so a value takes at least that is kept apart from the records of a run that has ended.
pub const INLINE_MAX: usize = 64 << 10;

impl Record {
    /// Takes large outputs and changes of the state out of it; `keep` keeps each and says by which hash.
    ///
    /// # Errors
    /// Those of `keep`.
    pub fn set_apart<E>(&mut self, mut keep: impl FnMut(&[u8]) -> Result<String, E>) -> Result<(), E> {
        self.each_kept(&mut |kept| {
            if let Kept::Value(value) = kept
                && takes_at_least(value, INLINE_MAX)
            {
                *kept = Kept::Apart(keep(value.to_string().as_bytes())?);
            }
            Ok(())
        })
    }

    /// Puts back what [`Self::set_apart`] took out; `get` gives what was kept, or none where it is not there.
    ///
    /// # Errors
    /// Those of `get`; what it gives is no JSON, or it gives nothing.
    pub fn put_back<E: From<NotThere>>(
        &mut self,
        mut get: impl FnMut(&str) -> Result<Option<Vec<u8>>, E>,
    ) -> Result<(), E> {
        self.each_kept(&mut |kept| {
            if let Kept::Apart(hash) = kept {
                let bytes = get(hash)?;
                let value = bytes.and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
                let value = value.ok_or_else(|| NotThere(hash.clone()))?;
                *kept = Kept::Value(Arc::new(value));
            }
            Ok(())
        })
    }

    fn each_kept<E>(&mut self, visit: &mut impl FnMut(&mut Kept) -> Result<(), E>) -> Result<(), E> {
        match self {
            Self::Ended { end: End::Completed { output, changes }, .. }
            | Self::Closed { end: End::Completed { output, changes }, .. } => {
                each(output, visit)?;
                changes.iter_mut().try_for_each(|change| each(&mut change.value, visit))
            }
            Self::Redefined(redefined) => {
                let migrated = redefined.migrated.iter_mut();
                let mut changes = migrated.flat_map(|migrated| migrated.changes.values_mut().flatten());
                changes.try_for_each(|change| each(&mut change.value, visit))
            }
            Self::Ended { end: End::Skipped(_) | End::Failed(_) | End::Cancelled(_), .. }
            | Self::Closed { end: End::Skipped(_) | End::Failed(_) | End::Cancelled(_), .. }
            | Self::Started(_)
            | Self::Began { .. }
            | Self::Stopped { .. }
            | Self::Stuck { .. }
            | Self::Decided { .. }
            | Self::Warned { .. }
            | Self::Asked { .. }
            | Self::Suspended { .. }
            | Self::Resumed { .. }
            | Self::Rewound(_) => Ok(()),
        }
    }
}

/// A value that a record refers to is not kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the large value {0} is not there")]
pub struct NotThere(pub String);

fn each<E>(kept: &mut Kept, visit: &mut impl FnMut(&mut Kept) -> Result<(), E>) -> Result<(), E> {
    match kept {
        Kept::Object(fields) => fields.iter_mut().try_for_each(|(_, kept)| each(kept, visit)),
        Kept::List(items) => items.iter_mut().try_for_each(|kept| each(kept, visit)),
        kept => visit(kept),
    }
}
