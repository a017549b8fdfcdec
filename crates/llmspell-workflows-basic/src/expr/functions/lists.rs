//! List functions; some treat strings as lists of characters.

use std::cmp::Ordering;
use std::collections::HashSet;

use serde_json::Value;

use super::write::{Form, json, plain_text};
use super::{Arguments, Function, FunctionKind};
use crate::expr::error::Fault;
use crate::expr::limits::Budget;
use crate::expr::number::Num;
use crate::expr::operate::{compare, contains, equal};
use crate::expr::scope::Segment;
use crate::expr::tree::Arithmetic;
use crate::expr::value::{ExprValue, position};

pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        names: &["includes", "contains"],
        parameters: &["whole", "part"],
        returns: "whether a list contains the element, a string contains the part, or an object has the field",
        example: ("['a', 'b'].includes('b')", "true"),
        kind: FunctionKind::Call(includes),
    },
    Function {
        names: &["indexOf"],
        parameters: &["whole", "part"],
        returns: "the index of the first occurrence, from 0; -1 if there is none",
        example: ("'abc'.indexOf('c')", "2"),
        kind: FunctionKind::Call(index_of),
    },
    Function {
        names: &["at"],
        parameters: &["whole", "index"],
        returns: "the element or character at the index; a negative index counts from the end; null if out of range",
        example: ("[1, 2, 3].at(-1)", "3"),
        kind: FunctionKind::Call(at),
    },
    Function {
        names: &["first"],
        parameters: &["whole"],
        returns: "the first element or character; null if there is none",
        example: ("[1, 2] | first", "1"),
        kind: FunctionKind::Call(first),
    },
    Function {
        names: &["last"],
        parameters: &["whole"],
        returns: "the last element or character; null if there is none",
        example: ("[1, 2] | last", "2"),
        kind: FunctionKind::Call(last),
    },
    Function {
        names: &["slice"],
        parameters: &["whole", "from", "to?"],
        returns: "the part between two indices; negative indices count from the end",
        example: ("'abcdef'.slice(1, -1)", r#""bcde""#),
        kind: FunctionKind::Call(slice),
    },
    Function {
        names: &["concat"],
        parameters: &["list", "lists..."],
        returns: "a list with the elements of all lists; other values are added as elements",
        example: ("[1].concat([2, 3], 4)", "[1,2,3,4]"),
        kind: FunctionKind::Call(concat),
    },
    Function {
        names: &["join"],
        parameters: &["list", "separator?"],
        returns: "a string of all elements, separated by commas by default",
        example: ("['a', 1] | join('-')", r#""a-1""#),
        kind: FunctionKind::Call(join),
    },
    Function {
        names: &["reverse"],
        parameters: &["list"],
        returns: "the elements in reverse order",
        example: ("[1, 2].reverse()", "[2,1]"),
        kind: FunctionKind::Call(reverse),
    },
    Function {
        names: &["sort"],
        parameters: &["list"],
        returns: "the sorted list of numbers or of strings; strings are sorted by code point",
        example: ("[10, 9] | sort", "[9,10]"),
        kind: FunctionKind::Call(sort),
    },
    Function {
        names: &["unique"],
        parameters: &["list"],
        returns: "the elements without duplicates",
        example: ("[1, 2, 1.0] | unique", "[1,2]"),
        kind: FunctionKind::Call(unique),
    },
    Function {
        names: &["range"],
        parameters: &["count"],
        returns: "the integers from 0 to `count - 1`",
        example: ("range(3)", "[0,1,2]"),
        kind: FunctionKind::Call(range),
    },
    Function {
        names: &["sum"],
        parameters: &["list"],
        returns: "the sum of the numbers",
        example: ("sum([1, 2.5])", "3.5"),
        kind: FunctionKind::Call(sum),
    },
];

fn includes<'e, 's>(a: &mut Arguments<'e, 's>, budget: &mut Budget) -> Result<ExprValue<'e, 's>, Fault> {
    if matches!(a.value(0), Value::Null | Value::Bool(_) | Value::Number(_)) {
        return Err(a.wrong(0, "a list, a string or an object"));
    }
    contains(a.value(0), a.value(1), budget).map(ExprValue::from)
}

fn index_of<'e, 's>(a: &mut Arguments<'e, 's>, budget: &mut Budget) -> Result<ExprValue<'e, 's>, Fault> {
    let found = match a.value(0) {
        Value::String(text) => {
            budget.text(text.len())?;
            let found = text.find(a.text(1)?);
            found.map(|bytes| text[..bytes].chars().count())
        }
        Value::Array(items) => {
            let mut found = None;
            for (at, item) in items.iter().enumerate() {
                budget.items(1)?;
                if equal(item, a.value(1), budget)? {
                    found = Some(at);
                    break;
                }
            }
            found
        }
        _ => return Err(a.wrong(0, "a list or a string")),
    };
    let index = found.and_then(|at| i64::try_from(at).ok());
    Ok(index.unwrap_or(-1).into())
}

fn at<'e, 's>(a: &mut Arguments<'e, 's>, budget: &mut Budget) -> Result<ExprValue<'e, 's>, Fault> {
    let index = a.integer_or(1, 0)?;
    element(a, index, budget)
}

fn first<'e, 's>(a: &mut Arguments<'e, 's>, budget: &mut Budget) -> Result<ExprValue<'e, 's>, Fault> {
    element(a, 0, budget)
}

fn last<'e, 's>(a: &mut Arguments<'e, 's>, budget: &mut Budget) -> Result<ExprValue<'e, 's>, Fault> {
    element(a, -1, budget)
}

fn element<'e, 's>(a: &mut Arguments<'e, 's>, index: i64, budget: &mut Budget) -> Result<ExprValue<'e, 's>, Fault> {
    match a.value(0) {
        Value::String(text) => budget.text(text.len())?,
        Value::Array(_) => {}
        _ => return Err(a.wrong(0, "a list or a string")),
    }
    let found = a.take(0).member(&Segment::Index(index));
    Ok(found.unwrap_or(ExprValue::NULL))
}

fn slice<'e, 's>(a: &mut Arguments<'e, 's>, budget: &mut Budget) -> Result<ExprValue<'e, 's>, Fault> {
    let (from, to) = (a.integer_or(1, 0)?, a.integer_or(2, i64::MAX)?);
    match a.value(0) {
        Value::String(text) => {
            budget.text(text.len())?;
            let (from, to) = bounds(from, to, text.chars().count());
            let part: String = text.chars().skip(from).take(to - from).collect();
            budget.produce(part.len())?;
            Ok(part.into())
        }
        Value::Array(items) => {
            let (from, to) = bounds(from, to, items.len());
            budget.produce_items(to - from)?;
            let part = &items[from..to];
            part.iter().try_for_each(|item| budget.copy(item))?;
            Ok(part.to_vec().into())
        }
        _ => Err(a.wrong(0, "a list or a string")),
    }
}

/// Clamps two indices to ordered positions within a length.
fn bounds(from: i64, to: i64, length: usize) -> (usize, usize) {
    let clamp = |index| position(index, length).unwrap_or(0).min(length);
    let (from, to) = (clamp(from), clamp(to));
    (from, to.max(from))
}

fn concat<'e, 's>(a: &mut Arguments<'e, 's>, budget: &mut Budget) -> Result<ExprValue<'e, 's>, Fault> {
    a.list(0)?;
    append_all(a, budget).map(ExprValue::from)
}

/// Returns all arguments in order, with each list replaced by its items.
pub(in crate::expr) fn append_all(a: &mut Arguments<'_, '_>, budget: &mut Budget) -> Result<Vec<Value>, Fault> {
    let mut all = Vec::new();
    for value in a.iter() {
        let items = match value {
            Value::Array(items) => items.as_slice(),
            other => std::slice::from_ref(other),
        };
        budget.produce_items(items.len())?;
        items.iter().try_for_each(|item| budget.copy(item))?;
        all.extend_from_slice(items);
    }
    Ok(all)
}

fn join<'e, 's>(a: &mut Arguments<'e, 's>, budget: &mut Budget) -> Result<ExprValue<'e, 's>, Fault> {
    let separator = match a.get(1) {
        Some(_) => a.text(1)?,
        None => ",",
    };
    let mut joined = String::new();
    for (at, item) in a.list(0)?.iter().enumerate() {
        budget.items(1)?;
        let text = plain_text(item, budget)?;
        budget.produce(text.len() + separator.len())?;
        if at > 0 {
            joined.push_str(separator);
        }
        joined.push_str(&text);
    }
    Ok(joined.into())
}

/// Returns an owned copy of the list.
fn copied(a: &mut Arguments<'_, '_>, budget: &mut Budget) -> Result<Vec<Value>, Fault> {
    let items = a.list(0)?;
    budget.produce_items(items.len())?;
    items.iter().try_for_each(|item| budget.copy(item))?;
    match a.take(0).into_value() {
        Value::Array(items) => Ok(items),
        _ => unreachable!("the argument was checked above"),
    }
}

fn reverse<'e, 's>(a: &mut Arguments<'e, 's>, budget: &mut Budget) -> Result<ExprValue<'e, 's>, Fault> {
    let mut items = copied(a, budget)?;
    items.reverse();
    Ok(items.into())
}

fn sort<'e, 's>(a: &mut Arguments<'e, 's>, budget: &mut Budget) -> Result<ExprValue<'e, 's>, Fault> {
    let items = a.list(0)?;
    budget.items(items.len())?;
    let is_uniform = items.iter().all(Value::is_number) || items.iter().all(Value::is_string);
    if !is_uniform {
        return Err(Fault::Type("`sort` expects only numbers or only strings".to_owned()));
    }
    // Sorting visits each element about log2(n) times.
    let rounds = items.len().max(1).ilog2() as usize;
    budget.items(items.len().saturating_mul(rounds))?;
    let bytes: usize = items.iter().filter_map(Value::as_str).map(str::len).sum();
    budget.text(bytes.saturating_mul(rounds))?;
    let mut items = copied(a, budget)?;
    items.sort_by(|left, right| compare(left, right).unwrap_or(Ordering::Equal));
    Ok(items.into())
}

fn unique<'e, 's>(a: &mut Arguments<'e, 's>, budget: &mut Budget) -> Result<ExprValue<'e, 's>, Fault> {
    let mut seen = HashSet::new();
    let mut items = Vec::new();
    for item in a.list(0)? {
        budget.produce_items(1)?;
        if seen.insert(json(item, Form::Canonical, budget)?) {
            budget.copy(item)?;
            items.push(item.clone());
        }
    }
    Ok(items.into())
}

fn range<'e, 's>(a: &mut Arguments<'e, 's>, budget: &mut Budget) -> Result<ExprValue<'e, 's>, Fault> {
    let count = a.integer_or(0, 0)?;
    let Ok(length) = usize::try_from(count) else {
        return Err(Fault::Type(format!("`range` expects at least 0, got {count}")));
    };
    budget.produce_items(length)?;
    Ok((0..count).map(Value::from).collect::<Vec<_>>().into())
}

fn sum<'e, 's>(a: &mut Arguments<'e, 's>, budget: &mut Budget) -> Result<ExprValue<'e, 's>, Fault> {
    let mut sum = Num::Integer(0);
    for item in a.list(0)? {
        budget.items(1)?;
        let Some(number) = Num::of(item) else {
            return Err(Fault::Type("`sum` expects only numbers".to_owned()));
        };
        sum = Num::calculate(Arithmetic::Add, sum, number)?;
    }
    sum.into_value().map(ExprValue::Owned)
}
