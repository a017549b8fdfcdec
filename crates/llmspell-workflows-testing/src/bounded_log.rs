use std::collections::VecDeque;

/// A log that retains the most recent items and drops the oldest when it is full.
#[derive(Debug)]
pub(crate) struct BoundedLog<T> {
    items: VecDeque<T>,
    capacity: usize,
    lost: u64,
}

impl<T> BoundedLog<T> {
    /// Creates a log for `capacity` items, or for one item if `capacity` is 0.
    pub(crate) fn new(capacity: usize) -> Self {
        Self { items: VecDeque::new(), capacity: capacity.max(1), lost: 0 }
    }

    /// Adds `item` and returns its number, counted from 0.
    pub(crate) fn push(&mut self, item: T) -> u64 {
        if self.items.len() >= self.capacity {
            self.items.pop_front();
            self.lost += 1;
        }
        self.items.push_back(item);
        self.lost + self.items.len() as u64 - 1
    }

    /// Returns the item with this number if it has not been dropped.
    pub(crate) fn get_mut(&mut self, number: u64) -> Option<&mut T> {
        let index = number.checked_sub(self.lost)?;
        self.items.get_mut(usize::try_from(index).ok()?)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.items.iter()
    }

    pub(crate) fn lost(&self) -> u64 {
        self.lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_log_drops_the_oldest_item_without_renumbering() {
        let mut log = BoundedLog::new(2);
        assert_eq!(["a", "b", "c"].map(|item| log.push(item)), [0, 1, 2]);
        assert_eq!((log.iter().copied().collect::<Vec<_>>(), log.lost()), (vec!["b", "c"], 1));
        assert_eq!(log.get_mut(0), None);
        assert_eq!(log.get_mut(3), None);
        *log.get_mut(2).unwrap() = "z";
        assert_eq!(log.iter().copied().collect::<Vec<_>>(), ["b", "z"]);
    }
}
