//! The syntax tree of an expression.
//!
//! Chains (`a + b + c`, `a || b || c`, `a.b.c`) are flat, so the parser's nesting limit
//! also limits the depth of a tree, and of the recursion that evaluates or drops it.

use std::ops::Range;

use serde_json::Value;

use super::functions::Function;
use super::scope::Segment;
use super::{Key, Reference};

pub(super) type Span = Range<usize>;

#[derive(Debug)]
pub(super) enum Node {
    Literal(Value),
    Lookup(Box<Lookup>),
    /// Whether a reference exists: `a.b.has('c')`.
    Exists(Box<Lookup>),
    Access(Box<Access>),
    Array(Vec<Node>, Span),
    Object(Vec<(String, Node)>, Span),
    Call(Box<Call>),
    Unary {
        operator: Unary,
        operand: Box<Node>,
        span: Span,
    },
    Compare {
        operator: Comparison,
        sides: Box<(Node, Node)>,
        span: Span,
    },
    Arithmetic {
        first: Box<Node>,
        rest: Vec<(Arithmetic, Node, Span)>,
    },
    Logical {
        operator: Logical,
        operands: Vec<Node>,
    },
    Conditional(Box<[Node; 3]>),
}

/// A name and the keys after it.
#[derive(Debug)]
pub(super) struct Lookup {
    pub(super) name: Box<str>,
    pub(super) keys: Keys,
    pub(super) span: Span,
    /// Whether a missing value is null, even in strict evaluation.
    pub(super) optional: bool,
    /// The index of this reference in the expression's references.
    pub(super) reference: usize,
}

/// The keys of a lookup; literal keys are ready to be passed to the scope.
#[derive(Debug)]
pub(super) enum Keys {
    Static(Vec<Segment<'static>>),
    Computed(Vec<KeyNode>),
}

#[derive(Debug)]
pub(super) enum KeyNode {
    Static(Segment<'static>),
    Computed(Node, Span),
}

/// Keys, calls and defaults applied to a value other than a plain reference.
#[derive(Debug)]
pub(super) struct Access {
    pub(super) base: Node,
    pub(super) steps: Vec<AccessStep>,
}

#[derive(Debug)]
pub(super) struct AccessStep {
    pub(super) kind: StepKind,
    /// Whether accessing null or a missing value gives null, even in strict evaluation.
    pub(super) optional: bool,
}

#[derive(Debug)]
pub(super) enum StepKind {
    Key(KeyNode, Span),
    /// A method or a filter, whose first argument is the preceding value.
    Call(Call),
    /// Default values: if the preceding value is null, the first default that is not null.
    Default(Vec<Node>),
}

#[derive(Debug)]
pub(super) struct Call {
    pub(super) function: &'static Function,
    pub(super) arguments: Vec<Node>,
    pub(super) span: Span,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unary {
    Not,
    Minus,
    Plus,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    In,
    NotIn,
    Contains,
    NotContains,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Logical {
    Or,
    And,
    Coalesce,
}

impl Node {
    /// Makes the references that lead to this value optional, so that a missing reference is null.
    pub(super) fn make_optional(&mut self, references: &mut [Reference]) {
        match self {
            Self::Lookup(lookup) | Self::Exists(lookup) => lookup.make_optional(references),
            Self::Access(access) => {
                for step in &mut access.steps {
                    step.optional = true;
                }
                access.base.make_optional(references);
            }
            Self::Logical { operands, .. } => {
                operands.iter_mut().for_each(|operand| operand.make_optional(references));
            }
            Self::Conditional(parts) => {
                let [_, then, otherwise] = &mut **parts;
                then.make_optional(references);
                otherwise.make_optional(references);
            }
            Self::Literal(_)
            | Self::Array(..)
            | Self::Object(..)
            | Self::Call(_)
            | Self::Unary { .. }
            | Self::Compare { .. }
            | Self::Arithmetic { .. } => {}
        }
    }

    /// Returns the value of a literal.
    pub(super) fn literal(&self) -> Option<&Value> {
        match self {
            Self::Literal(value) => Some(value),
            _ => None,
        }
    }
}

impl Lookup {
    pub(super) fn make_optional(&mut self, references: &mut [Reference]) {
        self.optional = true;
        references[self.reference].optional = true;
    }

    /// Appends a key.
    pub(super) fn push(&mut self, key: KeyNode, end: usize, references: &mut [Reference]) {
        self.span.end = end;
        let reference = &mut references[self.reference];
        reference.span.end = end;
        match (&mut self.keys, key) {
            (Keys::Static(keys), KeyNode::Static(key)) => {
                reference.keys.push(Key::from(&key));
                keys.push(key);
            }
            (Keys::Computed(keys), key) => keys.push(key),
            (Keys::Static(keys), key) => {
                let mut all: Vec<_> = keys.drain(..).map(KeyNode::Static).collect();
                all.push(key);
                reference.has_computed_key = true;
                self.keys = Keys::Computed(all);
            }
        }
    }
}
