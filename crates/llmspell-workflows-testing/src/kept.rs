use std::collections::VecDeque;

/// The last things of many; the oldest makes room.
#[derive(Debug)]
pub(crate) struct Kept<T> {
    items: VecDeque<T>,
    room: usize,
    lost: u64,
}

impl<T> Kept<T> {
    /// Room for so many, at least one.
    pub(crate) fn new(room: usize) -> Self {
        Self { items: VecDeque::new(), room: room.max(1), lost: 0 }
    }

    /// Keeps `item`, and says which of all it is, counted from 0.
    pub(crate) fn push(&mut self, item: T) -> u64 {
        if self.items.len() >= self.room {
            self.items.pop_front();
            self.lost += 1;
        }
        self.items.push_back(item);
        self.lost + self.items.len() as u64 - 1
    }

    /// Number `number` of all, if it is still there.
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
    fn the_oldest_makes_room_and_numbers_stay() {
        let mut kept = Kept::new(2);
        assert_eq!(["a", "b", "c"].map(|item| kept.push(item)), [0, 1, 2]);
        assert_eq!((kept.iter().copied().collect::<Vec<_>>(), kept.lost()), (vec!["b", "c"], 1));
        assert_eq!(kept.get_mut(0), None);
        assert_eq!(kept.get_mut(3), None);
        *kept.get_mut(2).unwrap() = "z";
        assert_eq!(kept.iter().copied().collect::<Vec<_>>(), ["b", "z"]);
    }
}
