use std::{collections::HashMap, sync::Arc};

use serde_json::Value;

use super::Masker;
use crate::state::{List, Parts, SharedValue};

/// Masks values that share parts: each part is searched and masked once, and parts
/// without secrets remain shared.
///
/// All values must live as long as this object, because parts are identified by their addresses.
pub(crate) struct SharedMasking<'m> {
    masker: &'m Masker,
    /// The masked parts, by the addresses of the parts.
    masked: HashMap<usize, SharedValue>,
}

impl<'m> SharedMasking<'m> {
    pub(crate) fn new(masker: &'m Masker) -> Self {
        Self { masker, masked: HashMap::new() }
    }

    /// Returns the masker of the secrets.
    pub(crate) fn masker(&self) -> &'m Masker {
        self.masker
    }

    /// Returns `value` with all secrets masked.
    pub(crate) fn mask(&mut self, value: &SharedValue) -> SharedValue {
        if self.masker.is_empty() {
            return value.clone();
        }
        if let Some(known) = self.masked.get(&value.address()) {
            return known.clone();
        }
        let masked = match value.parts() {
            Some(Parts::List(list)) => return self.list(list),
            Some(Parts::Object(fields)) if fields.iter().all(|(name, _)| self.masker.find_in_name(name).is_none()) => {
                let parts: Vec<_> = fields.iter().map(|(name, part)| (name.clone(), self.mask(part))).collect();
                let is_same = fields.iter().zip(&parts).all(|((_, one), (_, other))| is_same(one, other));
                if is_same { value.clone() } else { SharedValue::object(parts) }
            }
            Some(Parts::Array(items)) => {
                let parts: Vec<_> = items.iter().map(|part| self.mask(part)).collect();
                let is_same = items.iter().zip(&parts).all(|(one, other)| is_same(one, other));
                if is_same { value.clone() } else { SharedValue::array(parts) }
            }
            Some(Parts::Object(_)) | None => self.whole(value),
        };
        self.masked.insert(value.address(), masked.clone());
        masked
    }

    fn whole(&self, value: &SharedValue) -> SharedValue {
        if self.masker.find_in(&value.read()).is_none() {
            return value.clone();
        }
        let mut masked = Arc::unwrap_or_clone(value.to_arc());
        self.masker.mask(&mut masked);
        Arc::new(masked).into()
    }

    /// Masks a list after the shorter lists that it extends. Uses a loop instead of recursion,
    /// because there can be very many of these lists.
    fn list(&mut self, list: &List) -> SharedValue {
        let mut longer = Vec::new();
        let mut next = SharedValue::from(list.clone());
        let mut masked = loop {
            if let Some(known) = self.masked.get(&next.address()) {
                break known.clone();
            }
            let Some(list) = next.list().cloned() else { break self.mask(&next) };
            next = list.before();
            longer.push(list);
        };
        for list in longer.into_iter().rev() {
            let (before, original) = (list.before(), SharedValue::from(list.clone()));
            let added = self.added(&list);
            masked = match added {
                None if is_same(&before, &masked) => original.clone(),
                added => {
                    let added = added.unwrap_or_else(|| list.added().clone());
                    List::after(&masked, added).map_or_else(|| self.whole(&original), SharedValue::from)
                }
            };
            self.masked.insert(original.address(), masked.clone());
        }
        masked
    }

    /// Returns the items that a list adds, if they contain secrets.
    fn added(&self, list: &List) -> Option<Arc<[Value]>> {
        list.added().iter().find_map(|item| self.masker.find_in(item))?;
        let mut items = list.added().to_vec();
        items.iter_mut().for_each(|item| self.masker.mask(item));
        Some(items.into())
    }
}

fn is_same(one: &SharedValue, other: &SharedValue) -> bool {
    one.address() == other.address()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn parts_are_masked_once_and_stay_shared() {
        let masker = Masker::new([("TOKEN", "sesame-open")]);
        let mut lists = vec![SharedValue::from(json!([0]))];
        for number in 1..200 {
            let item = if number % 50 == 0 { json!({"n": "sesame-open"}) } else { json!(number) };
            let longer = List::after(lists.last().expect("there is one"), Arc::from([item]));
            lists.push(longer.expect("it extends a list").into());
        }
        let all = SharedValue::array(
            lists.iter().map(|list| SharedValue::object(vec![("list".to_owned(), list.clone())])).collect(),
        );
        let mut masking = SharedMasking::new(&masker);
        let masked = masking.mask(&all);
        let mut expected = all.clone().into_value();
        masker.mask(&mut expected);
        assert_eq!(masked.clone().into_value(), expected);
        assert!(is_same(&masking.mask(&lists[49]), &lists[49]), "no secret is in the first lists");
        let Some(Parts::Array(items)) = masked.parts() else { panic!("{masked}") };
        let last = items[199].parts().and_then(|parts| match parts {
            Parts::Object(fields) => fields[0].1.list().cloned(),
            _ => None,
        });
        assert_eq!(last.map(|list| list.added().len()), Some(1), "a masked list still shares the shorter ones");
    }

    #[test]
    fn field_names_are_also_masked() {
        let masker = Masker::new([("TOKEN", "sesame-open")]);
        let value = SharedValue::object(vec![("sesame-open".to_owned(), json!(1).into())]);
        let mut expected = value.clone().into_value();
        masker.mask(&mut expected);
        assert_eq!(SharedMasking::new(&masker).mask(&value).into_value(), expected);
        assert!(!expected.to_string().contains("sesame"));
    }
}
