//! Evaluates an expression whose values are partly unknown, to find its possible results and the
//! references it reads.
//!
//! Definitions are checked this way before a run. For example, if a step's output is assumed to be
//! absent, can a condition be true, and does a template read the output?

use std::collections::BTreeSet;

use serde_json::Value;

use super::expression::{Expr, Reference};
use super::functions::{Arguments, FunctionKind};
use super::limits::Budget;
use super::tree::{
    Access, AccessStep, Arithmetic, Call, Comparison, KeyNode, Keys, Logical, Lookup, Node, StepKind, Unary,
};
use super::value::{ExprValue, is_true, to_key};

/// The possible values of an expression.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Possible {
    /// The value, if only one is possible.
    value: Option<Value>,
    /// Whether the value can be true in a condition.
    pub(crate) can_be_true: bool,
    /// Whether the value can be false in a condition.
    pub(crate) can_be_false: bool,
}

impl Possible {
    /// Any value.
    pub(crate) const ANY: Self = Self { value: None, can_be_true: true, can_be_false: true };
    /// No value: the evaluation fails.
    const NONE: Self = Self { value: None, can_be_true: false, can_be_false: false };

    /// Replaces a failure with false, as a condition does.
    pub(crate) fn or_false(self) -> Self {
        if self.is_none() { Value::Bool(false).into() } else { self }
    }

    fn is_none(&self) -> bool {
        !self.can_be_true && !self.can_be_false
    }

    fn only_true(&self) -> Self {
        if self.can_be_false { Self { value: None, can_be_false: false, ..*self } } else { self.clone() }
    }

    fn only_false(&self) -> Self {
        if self.can_be_true { Self { value: None, can_be_true: false, ..*self } } else { self.clone() }
    }

    /// Combines the possibilities of two alternatives.
    fn or(self, other: Self) -> Self {
        if self.is_none() {
            return other;
        }
        if other.is_none() {
            return self;
        }
        Self {
            value: self.value.filter(|value| other.value.as_ref() == Some(value)),
            can_be_true: self.can_be_true || other.can_be_true,
            can_be_false: self.can_be_false || other.can_be_false,
        }
    }
}

impl From<Value> for Possible {
    fn from(value: Value) -> Self {
        let is_true = is_true(&value);
        Self { value: Some(value), can_be_true: is_true, can_be_false: !is_true }
    }
}

/// Returns the assumed possible values of a reference; `None` if nothing is known.
pub(crate) type Assume<'a> = &'a dyn Fn(&Reference) -> Option<Possible>;

impl Expr {
    /// Returns the possible values under the assumptions.
    pub(crate) fn possible(&self, assume: Assume<'_>) -> Possible {
        Assumed::new(self, assume).value(self.root())
    }

    /// Returns the numbers of the references that an evaluation under the assumptions may read.
    pub(crate) fn read_under(&self, assume: Assume<'_>) -> BTreeSet<usize> {
        let mut assumed = Assumed::new(self, assume);
        assumed.value(self.root());
        assumed.read
    }
}

struct Assumed<'a> {
    references: &'a [Reference],
    assume: Assume<'a>,
    read: BTreeSet<usize>,
    budget: Budget,
}

impl<'a> Assumed<'a> {
    fn new(expression: &'a Expr, assume: Assume<'a>) -> Self {
        let references = expression.references();
        Self { references, assume, read: BTreeSet::new(), budget: Budget::for_evaluation() }
    }

    fn value(&mut self, node: &Node) -> Possible {
        match node {
            Node::Literal(value) => value.clone().into(),
            Node::Lookup(lookup) => self.lookup(lookup),
            Node::Exists(lookup) => match self.lookup(lookup).value {
                Some(Value::Null) => Value::Bool(false).into(),
                _ => Possible::ANY,
            },
            Node::Access(access) => self.access(access),
            Node::Array(items, _) => {
                let items: Option<Vec<Value>> = self.all(items).into_iter().map(|item| item.value).collect();
                items.map_or(Possible { can_be_false: false, ..Possible::ANY }, |items| Value::Array(items).into())
            }
            Node::Object(fields, _) => {
                let fields: Vec<_> =
                    fields.iter().map(|(name, field)| (name.clone(), self.value(field).value)).collect();
                let fields: Option<_> = fields.into_iter().map(|(name, value)| Some((name, value?))).collect();
                fields.map_or(Possible { can_be_false: false, ..Possible::ANY }, |fields| Value::Object(fields).into())
            }
            Node::Call(call) => self.call(None, call),
            Node::Unary { operator: Unary::Not, operand, .. } => {
                let operand = self.value(operand);
                match (operand.can_be_true, operand.can_be_false) {
                    (true, false) => Value::Bool(false).into(),
                    (false, true) => Value::Bool(true).into(),
                    _ => Possible { value: None, ..operand },
                }
            }
            Node::Unary { operand, .. } => match self.value(operand).value {
                Some(value) if !value.is_number() => Possible::NONE,
                _ => Possible::ANY,
            },
            Node::Compare { operator, sides, .. } => {
                let (left, right) = (self.value(&sides.0), self.value(&sides.1));
                self.compare(*operator, left, right)
            }
            Node::Arithmetic { first, rest } => self.arithmetic(first, rest),
            Node::Logical { operator, operands } => self.logical(*operator, operands),
            Node::Conditional(parts) => {
                let [condition, then, otherwise] = &**parts;
                let condition = self.value(condition);
                let mut chosen = Possible::NONE;
                for (is_chosen, branch) in [(condition.can_be_true, then), (condition.can_be_false, otherwise)] {
                    if is_chosen {
                        chosen = chosen.or(self.value(branch));
                    }
                }
                chosen
            }
        }
    }

    fn all(&mut self, nodes: &[Node]) -> Vec<Possible> {
        nodes.iter().map(|node| self.value(node)).collect()
    }

    fn lookup(&mut self, lookup: &Lookup) -> Possible {
        if let Keys::Computed(keys) = &lookup.keys {
            for key in keys {
                if let KeyNode::Computed(node, _) = key {
                    self.value(node);
                }
            }
        }
        self.read.insert(lookup.reference);
        let known = (self.assume)(&self.references[lookup.reference]);
        match (known, &lookup.keys) {
            (Some(known), Keys::Static(_)) => known,
            // Only the value selected by the literal keys is known; a computed key
            // applied to null selects null.
            (Some(Possible { value: Some(Value::Null), .. }), Keys::Computed(_)) => Value::Null.into(),
            _ => Possible::ANY,
        }
    }

    fn access(&mut self, access: &Access) -> Possible {
        let mut value = self.value(&access.base);
        for AccessStep { kind, optional } in &access.steps {
            value = match kind {
                StepKind::Key(key, _) => self.member(value, key),
                StepKind::Default(others) => {
                    let otherwise = |assumed: &mut Self| assumed.logical(Logical::Coalesce, others);
                    match &value.value {
                        Some(Value::Null) => otherwise(self),
                        Some(_) => value,
                        None => value.or(otherwise(self)),
                    }
                }
                StepKind::Call(_) if *optional && value.value == Some(Value::Null) => value,
                StepKind::Call(call) => self.call(Some(value), call),
            };
        }
        value
    }

    fn member(&mut self, value: Possible, key: &KeyNode) -> Possible {
        let computed = match key {
            KeyNode::Static(_) => None,
            KeyNode::Computed(node, _) => Some(self.value(node).value),
        };
        let Some(value) = value.value else { return Possible::ANY };
        let segment = match (key, &computed) {
            (KeyNode::Static(segment), _) => Some(segment.clone()),
            (KeyNode::Computed(..), Some(Some(key))) => to_key(key).ok().flatten(),
            (KeyNode::Computed(..), _) if value.is_null() => None,
            (KeyNode::Computed(..), _) => return Possible::ANY,
        };
        let member = segment.and_then(|segment| ExprValue::Owned(value).member(&segment).ok());
        member.map_or(Value::Null, ExprValue::into_value).into()
    }

    fn call(&mut self, receiver: Option<Possible>, call: &Call) -> Possible {
        let arguments = receiver.into_iter().chain(self.all(&call.arguments));
        let values: Option<Vec<ExprValue<'_, '_>>> =
            arguments.map(|argument| argument.value.map(ExprValue::Owned)).collect();
        let (Some(values), FunctionKind::Call(body)) = (values, call.function.kind) else { return Possible::ANY };
        match body(&mut Arguments::new(call.function, values), &mut self.budget) {
            Ok(value) => value.into_value().into(),
            Err(_) => Possible::NONE,
        }
    }

    fn compare(&mut self, operator: Comparison, left: Possible, right: Possible) -> Possible {
        if left.is_none() || right.is_none() {
            return Possible::NONE;
        }
        let is_order = matches!(
            operator,
            Comparison::Less | Comparison::LessOrEqual | Comparison::Greater | Comparison::GreaterOrEqual
        );
        let is_null = |side: &Possible| side.value == Some(Value::Null);
        if is_order && (is_null(&left) || is_null(&right)) {
            return Possible::NONE;
        }
        // Null contains nothing, regardless of the value searched for.
        let whole = match operator {
            Comparison::Contains | Comparison::NotContains => Some(&left),
            Comparison::In | Comparison::NotIn => Some(&right),
            _ => None,
        };
        let searches_null = whole.is_some_and(is_null);
        let sides = match (left.value, right.value) {
            (Some(left), Some(right)) => (left, right),
            _ if searches_null => (Value::Null, Value::Null),
            _ => return Possible::ANY,
        };
        operator.apply(&sides.0, &sides.1, &mut self.budget).map_or(Possible::NONE, |is| Value::Bool(is).into())
    }

    fn arithmetic(&mut self, first: &Node, rest: &[(Arithmetic, Node, std::ops::Range<usize>)]) -> Possible {
        let mut result = self.value(first);
        for (operator, operand, _) in rest {
            let operand = self.value(operand);
            if result.is_none() || operand.is_none() {
                result = Possible::NONE;
                continue;
            }
            let (Some(left), Some(right)) = (result.value, operand.value) else {
                result = Possible::ANY;
                continue;
            };
            let calculated = operator.apply(ExprValue::Owned(left), &right, &mut self.budget);
            result = calculated.map_or(Possible::NONE, |value| value.into_value().into());
        }
        result
    }

    fn logical(&mut self, operator: Logical, operands: &[Node]) -> Possible {
        let mut ends = Possible::NONE;
        let mut last = Value::Null.into();
        for operand in operands {
            let value = self.value(operand);
            let (decides, continues) = match operator {
                Logical::Or => {
                    (value.can_be_true.then(|| value.only_true()), value.can_be_false.then(|| value.only_false()))
                }
                Logical::And => {
                    (value.can_be_false.then(|| value.only_false()), value.can_be_true.then(|| value.only_true()))
                }
                Logical::Coalesce => match &value.value {
                    Some(Value::Null) => (None, Some(value)),
                    Some(_) => (Some(value), None),
                    None if value.can_be_false => (Some(value.clone()), Some(value)),
                    None => ((!value.is_none()).then_some(value), None),
                },
            };
            ends = decides.map_or(ends.clone(), |value| ends.or(value));
            match continues {
                Some(value) => last = value,
                None => return ends,
            }
        }
        ends.or(last)
    }
}
