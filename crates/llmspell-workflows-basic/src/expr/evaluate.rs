//! Evaluates a syntax tree on borrowed JSON.

use std::borrow::Cow;
use std::ops::Range;

use serde_json::{Map, Value};

use super::Parsed;
use super::error::{EvalError, Fault};
use super::functions::{Arguments, FunctionKind, append_all};
use super::limits::Budget;
use super::number::Num;
use super::scope::{Scope, Segment};
use super::tree::{Access, Arithmetic, Call, KeyNode, Keys, Logical, Lookup, Node, StepKind, Unary};
use super::unresolved;
use super::value::{ExprValue, is_true, to_key};

/// An evaluation error. It is boxed because every node of a tree returns a result and failures are
/// rare.
pub(super) type Failure = Box<EvalError>;

/// Evaluates a parsed expression. If `strict` is true, a missing reference is an error instead of
/// null.
pub(super) fn evaluate<'e, 's>(
    parsed: &'e Parsed,
    scope: &'s dyn Scope,
    strict: bool,
) -> Result<ExprValue<'e, 's>, Failure> {
    let mut evaluation = Evaluation { parsed, scope, strict, budget: Budget::for_evaluation() };
    evaluation.value(&parsed.root)
}

/// Evaluates the arguments of a `concat` call, and returns the items that it adds to a list.
pub(super) fn evaluate_items(parsed: &Parsed, call: &Call, scope: &dyn Scope) -> Result<Vec<Value>, Failure> {
    let mut evaluation = Evaluation { parsed, scope, strict: true, budget: Budget::for_evaluation() };
    let mut values = Vec::with_capacity(call.arguments.len());
    for argument in &call.arguments {
        values.push(evaluation.value(argument)?);
    }
    let mut arguments = Arguments::new(call.function, values);
    let added = append_all(&mut arguments, &mut evaluation.budget);
    added.map_err(|fault| evaluation.failure(fault, &call.span))
}

pub(super) struct Evaluation<'e, 's> {
    pub(super) parsed: &'e Parsed,
    pub(super) scope: &'s dyn Scope,
    strict: bool,
    budget: Budget,
}

impl<'e, 's> Evaluation<'e, 's> {
    fn value(&mut self, node: &'e Node) -> Result<ExprValue<'e, 's>, Failure> {
        self.budget.operation().map_err(|fault| self.failure(fault, &(0..self.parsed.source.len())))?;
        match node {
            Node::Literal(value) => Ok(ExprValue::Tree(value)),
            Node::Lookup(lookup) => {
                let found = self.lookup(lookup, self.strict && !lookup.optional)?;
                Ok(found.unwrap_or(ExprValue::NULL))
            }
            Node::Exists(lookup) => Ok(self.lookup(lookup, false)?.is_some().into()),
            Node::Access(access) => self.access(access),
            Node::Array(items, span) => self.array(items, span),
            Node::Object(fields, span) => self.object(fields, span),
            Node::Call(call) => self.call(None, call),
            Node::Unary { operator, operand, span } => {
                let operand = self.value(operand)?;
                signed(*operator, &operand).map_err(|fault| self.failure(fault, span))
            }
            Node::Compare { operator, sides, span } => {
                let left = self.value(&sides.0)?;
                let right = self.value(&sides.1)?;
                operator
                    .apply(&left, &right, &mut self.budget)
                    .map(ExprValue::from)
                    .map_err(|fault| self.failure(fault, span))
            }
            Node::Arithmetic { first, rest } => self.arithmetic(first, rest),
            Node::Logical { operator, operands } => self.logical(*operator, operands),
            Node::Conditional(parts) => {
                let [condition, then, otherwise] = &**parts;
                let chosen = is_true(&*self.value(condition)?);
                self.value(if chosen { then } else { otherwise })
            }
        }
    }

    pub(super) fn failure(&self, fault: Fault, span: &Range<usize>) -> Failure {
        Box::new(EvalError::new(fault, &self.parsed.source, span.clone()))
    }

    fn arithmetic(
        &mut self,
        first: &'e Node,
        rest: &'e [(Arithmetic, Node, Range<usize>)],
    ) -> Result<ExprValue<'e, 's>, Failure> {
        let mut result = self.value(first)?;
        for (operator, operand, span) in rest {
            let operand = self.value(operand)?;
            result = operator.apply(result, &operand, &mut self.budget).map_err(|fault| self.failure(fault, span))?;
        }
        Ok(result)
    }

    fn logical(&mut self, operator: Logical, operands: &'e [Node]) -> Result<ExprValue<'e, 's>, Failure> {
        let mut result = ExprValue::NULL;
        for operand in operands {
            result = self.value(operand)?;
            let decided = match operator {
                Logical::Or => is_true(&result),
                Logical::And => !is_true(&result),
                Logical::Coalesce => !result.is_null(),
            };
            if decided {
                break;
            }
        }
        Ok(result)
    }

    fn array(&mut self, items: &'e [Node], span: &Range<usize>) -> Result<ExprValue<'e, 's>, Failure> {
        self.budget.produce_items(items.len()).map_err(|fault| self.failure(fault, span))?;
        let mut values = Vec::with_capacity(items.len());
        for item in items {
            values.push(self.owned(item, span)?);
        }
        Ok(Value::Array(values).into())
    }

    fn object(&mut self, fields: &'e [(String, Node)], span: &Range<usize>) -> Result<ExprValue<'e, 's>, Failure> {
        self.budget.produce_items(2 * fields.len()).map_err(|fault| self.failure(fault, span))?;
        let mut values = Map::new();
        for (name, field) in fields {
            values.insert(name.clone(), self.owned(field, span)?);
        }
        Ok(Value::Object(values).into())
    }

    /// Evaluates a node to an owned value that becomes part of another value.
    fn owned(&mut self, node: &'e Node, span: &Range<usize>) -> Result<Value, Failure> {
        let value = self.value(node)?;
        if !matches!(value, ExprValue::Owned(_)) {
            self.budget.copy(&value).map_err(|fault| self.failure(fault, span))?;
        }
        Ok(value.into_value())
    }

    fn call(&mut self, receiver: Option<ExprValue<'e, 's>>, call: &'e Call) -> Result<ExprValue<'e, 's>, Failure> {
        let mut values = Vec::with_capacity(call.arguments.len() + 1);
        values.extend(receiver);
        for argument in &call.arguments {
            values.push(self.value(argument)?);
        }
        let mut arguments = Arguments::new(call.function, values);
        let result = match call.function.kind {
            FunctionKind::Call(body) => body(&mut arguments, &mut self.budget),
            FunctionKind::Has => Ok(arguments.has().into()),
            FunctionKind::Coalesce | FunctionKind::Get => unreachable!("the parser turns these into keys and defaults"),
        };
        result.map_err(|fault| self.failure(fault, &call.span))
    }

    /// Resolves a reference; returns `None` if it is missing and not `required`.
    fn lookup(&mut self, lookup: &'e Lookup, required: bool) -> Result<Option<ExprValue<'e, 's>>, Failure> {
        match &lookup.keys {
            Keys::Static(keys) => self.find(lookup, keys, required),
            Keys::Computed(keys) => {
                let mut values = Vec::with_capacity(keys.len());
                for key in keys {
                    values.push(match key {
                        KeyNode::Static(_) => None,
                        KeyNode::Computed(node, span) => Some((self.value(node)?, span)),
                    });
                }
                let mut segments = Vec::with_capacity(keys.len());
                for (key, value) in keys.iter().zip(&values) {
                    let segment = match (key, value) {
                        (KeyNode::Static(segment), _) => Some(segment.clone()),
                        (KeyNode::Computed(..), Some((value, span))) => {
                            to_key(value).map_err(|fault| self.failure(fault, span))?
                        }
                        (KeyNode::Computed(..), None) => None,
                    };
                    match segment {
                        Some(segment) => segments.push(segment),
                        None if required => return Err(self.null_key(lookup)),
                        None => return Ok(None),
                    }
                }
                self.find(lookup, &segments, required)
            }
        }
    }

    fn null_key(&self, lookup: &Lookup) -> Failure {
        let fault = Fault::Type("a key is null".to_owned());
        self.failure(fault, &lookup.span)
    }

    fn find(
        &mut self,
        lookup: &'e Lookup,
        keys: &[Segment<'_>],
        required: bool,
    ) -> Result<Option<ExprValue<'e, 's>>, Failure> {
        self.budget.items(keys.len()).map_err(|fault| self.failure(fault, &lookup.span))?;
        let Some((value, used)) = self.scope.find(&lookup.name, keys) else {
            return match required {
                true => Err(unresolved::name(self, lookup, keys)),
                false => Ok(None),
            };
        };
        let rest = keys.get(used..).unwrap_or_default();
        let mut value = ExprValue::from_scope(value);
        for (at, key) in rest.iter().enumerate() {
            self.charge_key(&value, &lookup.span)?;
            value = match value.member(key) {
                Ok(member) => member,
                Err(parent) if required => {
                    let known = used + at;
                    return Err(unresolved::key(self, lookup, keys, known, &parent));
                }
                Err(_) => return Ok(None),
            };
        }
        Ok(Some(value))
    }

    /// Charges for a key lookup. Indexing a string counts its characters from the start.
    fn charge_key(&mut self, value: &Value, span: &Range<usize>) -> Result<(), Failure> {
        match value {
            Value::String(text) => self.budget.text(text.len()).map_err(|fault| self.failure(fault, span)),
            _ => Ok(()),
        }
    }

    fn access(&mut self, access: &'e Access) -> Result<ExprValue<'e, 's>, Failure> {
        let mut value = self.value(&access.base)?;
        for step in &access.steps {
            value = match &step.kind {
                StepKind::Default(defaults) if value.is_null() => self.logical(Logical::Coalesce, defaults)?,
                StepKind::Default(_) => value,
                StepKind::Call(_) if step.optional && value.is_null() => ExprValue::NULL,
                StepKind::Call(call) => {
                    self.budget.operation().map_err(|fault| self.failure(fault, &call.span))?;
                    self.call(Some(value), call)?
                }
                StepKind::Key(key, span) => {
                    let required = self.strict && !step.optional;
                    self.member(value, key, span, required)?
                }
            };
        }
        Ok(value)
    }

    fn member(
        &mut self,
        value: ExprValue<'e, 's>,
        key: &'e KeyNode,
        span: &Range<usize>,
        required: bool,
    ) -> Result<ExprValue<'e, 's>, Failure> {
        self.budget.operation().map_err(|fault| self.failure(fault, span))?;
        self.charge_key(&value, span)?;
        let computed;
        let segment = match key {
            KeyNode::Static(segment) => Some(Cow::Borrowed(segment)),
            KeyNode::Computed(node, span) => {
                computed = self.value(node)?;
                to_key(&computed).map_err(|fault| self.failure(fault, span))?.map(Cow::Owned)
            }
        };
        let parent = match segment {
            Some(segment) => match value.member(&segment) {
                Ok(member) => return Ok(member),
                Err(parent) => parent,
            },
            None => value,
        };
        match required {
            true => Err(unresolved::member(self, span, &parent)),
            false => Ok(ExprValue::NULL),
        }
    }
}

fn signed<'e, 's>(operator: Unary, operand: &Value) -> Result<ExprValue<'e, 's>, Fault> {
    let (sign, negative) = match operator {
        Unary::Not => return Ok((!is_true(operand)).into()),
        Unary::Minus => ("-", true),
        Unary::Plus => ("+", false),
    };
    let Some(number) = Num::of(operand) else {
        return Err(Fault::Type(format!(
            "`{sign}` expects a number, got {}; write number(x) to convert a string",
            super::value::type_with_article(operand)
        )));
    };
    let number = match negative {
        true => Num::calculate(Arithmetic::Subtract, Num::Integer(0), number)?,
        false => number,
    };
    Ok(ExprValue::Owned(number.into_value()?))
}
