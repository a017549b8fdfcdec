//! The arguments of a call, and the errors for arguments of the wrong type.

use serde_json::{Map, Value};

use super::Function;
use crate::expr::error::Fault;
use crate::expr::number::Num;
use crate::expr::value::{ExprValue, to_key, type_with_article};

#[derive(Debug)]
pub(in crate::expr) struct Arguments<'e, 's> {
    function: &'static Function,
    values: Vec<ExprValue<'e, 's>>,
}

impl<'e, 's> Arguments<'e, 's> {
    pub(in crate::expr) fn new(function: &'static Function, values: Vec<ExprValue<'e, 's>>) -> Self {
        Self { function, values }
    }

    /// Returns whether the first argument has the second argument as a key.
    pub(in crate::expr) fn has(&mut self) -> bool {
        let key = self.take(1);
        match to_key(&key) {
            Ok(Some(key)) => self.take(0).member(&key).is_ok(),
            Ok(None) | Err(_) => false,
        }
    }

    pub(super) fn get(&self, at: usize) -> Option<&Value> {
        self.values.get(at).map(|value| &**value)
    }

    pub(super) fn value(&self, at: usize) -> &Value {
        self.get(at).unwrap_or(&Value::Null)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Value> {
        self.values.iter().map(|value| &**value)
    }

    /// Takes an argument, leaving null in its place.
    pub(super) fn take(&mut self, at: usize) -> ExprValue<'e, 's> {
        match self.values.get_mut(at) {
            Some(value) => std::mem::replace(value, ExprValue::NULL),
            None => ExprValue::NULL,
        }
    }

    pub(super) fn text(&self, at: usize) -> Result<&str, Fault> {
        let value = self.value(at);
        value.as_str().ok_or_else(|| self.wrong(at, "a string"))
    }

    pub(super) fn list(&self, at: usize) -> Result<&[Value], Fault> {
        match self.value(at) {
            Value::Array(items) => Ok(items),
            _ => Err(self.wrong(at, "a list")),
        }
    }

    pub(super) fn object(&self, at: usize) -> Result<&Map<String, Value>, Fault> {
        match self.value(at) {
            Value::Object(fields) => Ok(fields),
            _ => Err(self.wrong(at, "an object")),
        }
    }

    pub(super) fn number(&self, at: usize) -> Result<Num, Fault> {
        Num::of(self.value(at)).ok_or_else(|| self.wrong(at, "a number"))
    }

    /// Returns an integer argument, or the default if it is omitted.
    pub(super) fn integer_or(&self, at: usize, default: i64) -> Result<i64, Fault> {
        match self.get(at) {
            None => Ok(default),
            Some(value) => Num::of(value).and_then(Num::as_i64).ok_or_else(|| self.wrong(at, "an integer")),
        }
    }

    /// Returns the error for an argument of the wrong type.
    pub(super) fn wrong(&self, at: usize, expected: &str) -> Fault {
        let name = self.function.name();
        let found = type_with_article(self.value(at));
        if at == 0 {
            let help = match self.value(0) {
                Value::Null => "; use `?.` to return null instead",
                _ => "",
            };
            return Fault::Type(format!("`{name}` expects {expected}, got {found}{help}"));
        }
        let parameters = self.function.parameters;
        let parameter = parameters[at.min(parameters.len() - 1)].trim_end_matches(['?', '.']);
        Fault::Type(format!("`{name}` expects {expected} as `{parameter}`, got {found}"))
    }
}
