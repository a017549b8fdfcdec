//! Parses operands: literals, names, and the keys, calls and filters applied to them.

use std::borrow::Cow;

use serde_json::Value;

use super::error::ParseError;
use super::foreign;
use super::functions::{self, Function, FunctionKind};
use super::literal::array;
use super::parse::Parser;
use super::scope::Segment;
use super::token::Kind;
use super::tree::{Access, AccessStep, Call, KeyNode, Keys, Lookup, Node, Span, StepKind};
use super::{Key, Reference};

impl Parser<'_> {
    /// Parses a value and the keys and methods after it.
    pub(super) fn chain(&mut self) -> Result<Node, ParseError> {
        let global = self.word().to_owned();
        let mut node = self.primary()?;
        let mut optional = false;
        loop {
            if self.take("?.").is_some() {
                optional = true;
                node = match self.peek().kind {
                    Kind::Sign("[") => self.index(node)?,
                    _ => self.member(node, &global)?,
                };
            } else if self.take(".").is_some() {
                node = self.member(node, &global)?;
            } else if self.peek().kind == Kind::Sign("[") {
                node = self.index(node)?;
            } else {
                break;
            }
        }
        if optional {
            node.make_optional(&mut self.references);
        }
        Ok(node)
    }

    /// Parses a name after a dot: a key or a method.
    fn member(&mut self, node: Node, global: &str) -> Result<Node, ParseError> {
        if let Kind::Number(_) = self.peek().kind {
            let span = self.peek().span.clone();
            let help = format!("write [{}]", self.word());
            return Err(ParseError::new("expected a name, got a number", span).help(help));
        }
        if self.peek().kind != Kind::Name {
            return Err(self.unexpected("a name"));
        }
        let name = self.word().to_owned();
        let span = self.next().span.clone();
        if self.peek().kind != Kind::Sign("(") {
            let key = KeyNode::Static(Segment::Name(Cow::Owned(name)));
            return Ok(self.with_key(node, key, span));
        }
        if matches!(&node, Node::Lookup(lookup) if *lookup.name == *global)
            && let Some(error) = foreign::global(global, &name, span.clone())
        {
            return Err(error);
        }
        self.call_on(node, &name, span)
    }

    fn index(&mut self, node: Node) -> Result<Node, ParseError> {
        let start = self.expect("[")?.start;
        let key = self.expression()?;
        let span = start..self.expect("]")?.end;
        Ok(self.with_key(node, KeyNode::of(key, &span), span))
    }

    /// Parses a filter after `|`.
    pub(super) fn filter(&mut self, node: Node) -> Result<Node, ParseError> {
        if self.peek().kind != Kind::Name {
            return Err(self.unexpected("a filter name"));
        }
        let name = self.word().to_owned();
        let span = self.next().span.clone();
        self.call_on(node, &name, span)
    }

    /// Parses a call whose first argument is the preceding value.
    fn call_on(&mut self, node: Node, name: &str, span: Span) -> Result<Node, ParseError> {
        let function = functions::named(name, &span)?;
        let arguments = if self.peek().kind == Kind::Sign("(") { self.arguments()? } else { Vec::new() };
        let span = span.start..self.end();
        function.check_count(arguments.len() + 1, &span)?;
        Ok(self.apply(function, node, arguments, span))
    }

    fn call(&mut self, name: &str, span: Span) -> Result<Node, ParseError> {
        let function = functions::named(name, &span)?;
        let mut arguments = self.arguments()?;
        let span = span.start..self.end();
        function.check_count(arguments.len(), &span)?;
        if arguments.is_empty() || matches!(function.kind, FunctionKind::Call(_)) {
            return Ok(Node::Call(Box::new(Call { function, arguments, span })));
        }
        let first = arguments.remove(0);
        Ok(self.apply(function, first, arguments, span))
    }

    fn apply(&mut self, function: &'static Function, mut node: Node, mut arguments: Vec<Node>, span: Span) -> Node {
        match function.kind {
            FunctionKind::Coalesce => self.coalesce(node, arguments),
            FunctionKind::Get => {
                let default = arguments.split_off(1);
                let key = KeyNode::of(arguments.remove(0), &span);
                node = self.with_key(node, key, span);
                if default.is_empty() {
                    return node;
                }
                self.coalesce(node, default)
            }
            FunctionKind::Has if matches!(node, Node::Lookup(_)) => {
                let key = KeyNode::of(arguments.remove(0), &span);
                node = self.with_key(node, key, span);
                node.make_optional(&mut self.references);
                match node {
                    Node::Lookup(lookup) => Node::Exists(lookup),
                    other => other,
                }
            }
            FunctionKind::Has | FunctionKind::Call(_) => {
                let call = Call { function, arguments, span };
                with_step(node, StepKind::Call(call))
            }
        }
    }

    /// Builds a node for the value or, if it is null, the first default that is not null.
    fn coalesce(&mut self, mut node: Node, mut defaults: Vec<Node>) -> Node {
        node.make_optional(&mut self.references);
        let last = defaults.len().saturating_sub(1);
        for default in &mut defaults[..last] {
            default.make_optional(&mut self.references);
        }
        with_step(node, StepKind::Default(defaults))
    }

    fn with_key(&mut self, node: Node, key: KeyNode, span: Span) -> Node {
        match node {
            Node::Lookup(mut lookup) => {
                lookup.push(key, span.end, &mut self.references);
                Node::Lookup(lookup)
            }
            other => with_step(other, StepKind::Key(key, span)),
        }
    }

    fn arguments(&mut self) -> Result<Vec<Node>, ParseError> {
        self.expect("(")?;
        self.list(")")
    }

    /// Parses comma-separated expressions up to `end`.
    fn list(&mut self, end: &str) -> Result<Vec<Node>, ParseError> {
        let mut nodes = Vec::new();
        while self.take(end).is_none() {
            nodes.push(self.expression()?);
            if self.take(",").is_none() {
                self.expect(end)?;
                break;
            }
        }
        Ok(nodes)
    }

    fn primary(&mut self) -> Result<Node, ParseError> {
        let span = self.peek().span.clone();
        match self.peek().kind.clone() {
            Kind::Number(number) => {
                self.next();
                Ok(Node::Literal(Value::Number(number)))
            }
            Kind::Text(text) => {
                self.next();
                Ok(Node::Literal(Value::String(text)))
            }
            Kind::Name => self.name(span),
            Kind::Sign("(") => {
                self.next();
                let node = self.expression()?;
                self.expect(")")?;
                Ok(node)
            }
            Kind::Sign("[") => {
                self.next();
                let items = self.list("]")?;
                Ok(array(items, span.start..self.end()))
            }
            Kind::Sign("{") => self.object(),
            Kind::Sign("/") => Err(ParseError::new("regular expressions are not supported", span)
                .help("use includes, startsWith or endsWith")),
            Kind::Sign(".") => {
                Err(ParseError::new("a name or a number cannot start with a dot", span).help("write 0.5 for a number"))
            }
            Kind::Sign(_) | Kind::End => Err(self.unexpected("a value")),
        }
    }

    fn name(&mut self, span: Span) -> Result<Node, ParseError> {
        let name = self.word().to_owned();
        let is_call = self.word_after() == Some("(");
        let literal = match name.as_str() {
            "true" => Some(Value::Bool(true)),
            "false" => Some(Value::Bool(false)),
            "null" | "undefined" => Some(Value::Null),
            _ => None,
        };
        if let Some(value) = literal {
            self.next();
            return Ok(Node::Literal(value));
        }
        if let Some(error) = reserved(&name, is_call, &span) {
            return Err(error);
        }
        self.next();
        if is_call {
            return self.call(&name, span);
        }
        let reference = self.references.len();
        self.references.push(Reference {
            name: name.clone(),
            keys: Vec::new(),
            has_computed_key: false,
            span: span.clone(),
            optional: false,
        });
        Ok(Node::Lookup(Box::new(Lookup {
            name: name.into(),
            keys: Keys::Static(Vec::new()),
            span,
            optional: false,
            reference,
        })))
    }
}

/// Returns the error for a word that cannot be a name.
fn reserved(name: &str, is_call: bool, span: &Span) -> Option<ParseError> {
    let help = match name {
        "contains" if is_call => return None,
        "and" | "or" | "in" | "AND" | "OR" | "contains" => {
            let message = format!("expected a value, got `{name}`");
            return Some(ParseError::new(message, span.clone()).help(format!("write a {name} b")));
        }
        "not" | "NOT" => "put it in parentheses: a == (not b)",
        "True" | "TRUE" => "write true",
        "False" | "FALSE" => "write false",
        "None" | "NULL" | "nil" => "write null",
        "NaN" | "Infinity" => "numbers are always finite",
        _ => return None,
    };
    Some(ParseError::new(format!("`{name}` is not a value"), span.clone()).help(help))
}

fn with_step(node: Node, kind: StepKind) -> Node {
    let step = AccessStep { kind, optional: false };
    match node {
        Node::Access(mut access) => {
            access.steps.push(step);
            Node::Access(access)
        }
        other => Node::Access(Box::new(Access { base: other, steps: vec![step] })),
    }
}

impl KeyNode {
    fn of(key: Node, span: &Span) -> Self {
        match key {
            Node::Literal(Value::String(name)) => Self::Static(Segment::Name(Cow::Owned(name))),
            Node::Literal(Value::Number(number)) if number.is_i64() => {
                let index = number.as_i64().expect("checked by the guard");
                Self::Static(Segment::Index(index))
            }
            other => Self::Computed(other, span.clone()),
        }
    }
}

impl From<&Segment<'_>> for Key {
    fn from(segment: &Segment<'_>) -> Self {
        match segment {
            Segment::Name(name) => Self::Name(name.clone().into_owned()),
            Segment::Index(index) => Self::Index(*index),
        }
    }
}
