use std::{fmt, mem, sync::Arc};

use serde_json::Value;

use super::SharedValue;

/// A list that extends and shares a shorter list.
///
/// A list that grows item by item takes linear space, no matter how many of its versions are in use at once.
#[derive(Clone)]
pub struct List(Arc<Node>);

struct Node {
    before: Before,
    /// The number of items before the added items.
    at: usize,
    added: Arc<[Value]>,
}

/// The shorter list.
enum Before {
    Whole(Arc<Value>),
    List(List),
}

impl List {
    /// Extends `before` with items; returns `None` if `before` is not a list.
    #[must_use]
    pub fn after(before: &SharedValue, added: Arc<[Value]>) -> Option<Self> {
        let (before, at) = match before.list() {
            Some(list) => (Before::List(list.clone()), list.len()),
            None => {
                let whole = before.to_arc();
                let at = whole.as_array()?.len();
                (Before::Whole(whole), at)
            }
        };
        Some(Self(Arc::new(Node { before, at, added })))
    }

    /// Returns the number of items.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.at + self.0.added.len()
    }

    /// Returns the number of items before the last addition.
    #[must_use]
    pub fn at(&self) -> usize {
        self.0.at
    }

    /// Returns whether the list is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the items added last.
    #[must_use]
    pub fn added(&self) -> &Arc<[Value]> {
        &self.0.added
    }

    /// Returns the list before the last addition.
    #[must_use]
    pub fn before(&self) -> SharedValue {
        match &self.0.before {
            Before::Whole(whole) => whole.clone().into(),
            Before::List(list) => list.clone().into(),
        }
    }

    /// Returns an address that identifies the list as long as it exists.
    pub(super) fn address(&self) -> usize {
        Arc::as_ptr(&self.0).addr()
    }

    /// Returns all items, in order.
    #[must_use]
    pub fn to_vec(&self) -> Vec<Value> {
        let mut parts = vec![self];
        let mut first: &[Value] = &[];
        while let Some(&list) = parts.last() {
            match &list.0.before {
                Before::List(before) => parts.push(before),
                Before::Whole(whole) => {
                    first = whole.as_array().map_or(&[], Vec::as_slice);
                    break;
                }
            }
        }
        let mut items = Vec::with_capacity(self.len());
        items.extend_from_slice(first);
        parts.iter().rev().for_each(|list| items.extend_from_slice(&list.0.added));
        items
    }
}

impl Drop for Node {
    /// Drops the chain in a loop, because recursion would overflow the stack for a long chain.
    fn drop(&mut self) {
        let nothing = || Before::Whole(Arc::default());
        let mut before = mem::replace(&mut self.before, nothing());
        while let Before::List(List(node)) = before {
            let Some(mut node) = Arc::into_inner(node) else { return };
            before = mem::replace(&mut node.before, nothing());
        }
    }
}

impl fmt::Debug for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.to_vec()).finish()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn one(value: Value) -> Arc<[Value]> {
        Arc::from([value])
    }

    #[test]
    fn extending_a_list_does_not_change_the_original() {
        let first = SharedValue::from(json!([1, 2]));
        let second = List::after(&first, one(json!(3))).unwrap();
        let third = List::after(&second.clone().into(), Arc::from([json!(4), json!(5)])).unwrap();
        assert_eq!(Value::Array(second.to_vec()), json!([1, 2, 3]));
        assert_eq!(Value::Array(third.to_vec()), json!([1, 2, 3, 4, 5]));
        assert_eq!((third.at(), third.len()), (3, 5));
        assert!(List::after(&json!({"not": "a list"}).into(), one(json!(1))).is_none());
    }

    #[test]
    fn dropping_a_long_chain_does_not_overflow_the_stack() {
        let mut list = SharedValue::from(json!([]));
        for number in 0..200_000 {
            list = List::after(&list, one(json!(number))).unwrap().into();
        }
        assert_eq!(list.list().unwrap().len(), 200_000);
        drop(list);
    }
}
