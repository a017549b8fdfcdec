//! The block collections that are open at a line, with their old and new columns.

/// The indentation of an inner block in columns.
pub(super) const INDENT: usize = 2;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LevelKind {
    Map,
    Seq,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Level {
    pub(super) old: usize,
    pub(super) new: usize,
    kind: LevelKind,
}

/// The open collections, outermost first.
#[derive(Debug, Default, Clone)]
pub(super) struct Levels(Vec<Level>);

impl Levels {
    pub(super) fn last(&self) -> Option<Level> {
        self.0.last().copied()
    }

    /// Returns the new column of content inside the innermost collection.
    pub(super) fn inner(&self) -> usize {
        self.last().map_or(0, |level| level.new + INDENT)
    }

    /// Closes the collections that do not contain a value at the column `old`.
    pub(super) fn close_for_value(&mut self, old: usize) {
        while self.last().is_some_and(|level| level.old >= old) {
            self.0.pop();
        }
    }

    /// Enters the collection of `kind` at the column `old`; returns its new column.
    ///
    /// `new` is the new column of a collection that begins in the middle of a line.
    pub(super) fn enter(&mut self, kind: LevelKind, old: usize, new: Option<usize>) -> usize {
        while let Some(level) = self.last() {
            let is_ended =
                level.old > old || (level.old == old && level.kind == LevelKind::Seq && kind == LevelKind::Map);
            if !is_ended {
                break;
            }
            self.0.pop();
        }
        match self.last() {
            Some(level) if level.old == old && level.kind == kind => level.new,
            _ => {
                let new = new.unwrap_or_else(|| self.inner());
                self.0.push(Level { old, new, kind });
                new
            }
        }
    }

    /// Returns the new column of a comment at the column `old`, before a line that moves from `next` to `next_new`.
    pub(super) fn comment(&self, old: usize, next: usize, next_new: usize) -> usize {
        let own = self.0.iter().rev().find(|level| level.old <= old && level.old > next);
        own.map_or(next_new, |level| level.new)
    }
}
