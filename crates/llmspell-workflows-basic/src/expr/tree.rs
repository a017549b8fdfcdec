//! A parsed expression.
//!
//! Chains (`a + b + c`, `a || b || c`, `a.b.c`) are flat, so that a tree is only as deep as the
//! nesting that the parser admits: evaluating and dropping it recurse no further.

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
    /// Whether a lookup finds something: `a.b.has('c')`.
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
    /// Whether null is fine where nothing is found, even in strict evaluation.
    pub(super) optional: bool,
    /// Its place among the expression's references.
    pub(super) reference: usize,
}

/// Keys that are all written out are ready to be handed to the scope.
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

/// Keys, calls and defaults on a value that is not, or no longer, a plain reference.
#[derive(Debug)]
pub(super) struct Access {
    pub(super) base: Node,
    pub(super) steps: Vec<AccessStep>,
}

#[derive(Debug)]
pub(super) struct AccessStep {
    pub(super) kind: StepKind,
    /// Whether it gives null on null, and null where nothing is found, even in strict evaluation.
    pub(super) optional: bool,
}

#[derive(Debug)]
pub(super) enum StepKind {
    Key(KeyNode, Span),
    /// A method or a filter: the value so far is the first argument.
    Call(Call),
    /// The first of these that is not null, if the value so far is.
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
    /// Says that null is fine where a reference on the way to this value finds nothing.
    pub(super) fn tolerate(&mut self, references: &mut [Reference]) {
        match self {
            Self::Lookup(lookup) | Self::Exists(lookup) => lookup.tolerate(references),
            Self::Access(access) => {
                for step in &mut access.steps {
                    step.optional = true;
                }
                access.base.tolerate(references);
            }
            Self::Logical { operands, .. } => {
                operands.iter_mut().for_each(|operand| operand.tolerate(references));
            }
            Self::Conditional(parts) => {
                let [_, then, otherwise] = &mut **parts;
                then.tolerate(references);
                otherwise.tolerate(references);
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

    /// The value, if it is written out.
    pub(super) fn literal(&self) -> Option<&Value> {
        match self {
            Self::Literal(value) => Some(value),
            _ => None,
        }
    }
}

impl Lookup {
    pub(super) fn tolerate(&mut self, references: &mut [Reference]) {
        self.optional = true;
        references[self.reference].optional = true;
    }

    /// Adds a key at the end.
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
                self.keys = Keys::Computed(all);
            }
        }
    }
}
