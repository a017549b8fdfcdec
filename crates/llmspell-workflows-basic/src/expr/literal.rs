//! Parses lists and objects, and folds literals into values.

use std::collections::HashSet;

use serde_json::{Map, Number, Value};

use super::error::ParseError;
use super::foreign;
use super::parse::Parser;
use super::token::Kind;
use super::tree::{Node, Span, Unary};
use crate::json::TooLarge;

impl Parser<'_> {
    /// Parses an object.
    pub(super) fn object(&mut self) -> Result<Node, ParseError> {
        let start = self.expect("{")?.start;
        let mut fields: Vec<(String, Node)> = Vec::new();
        let mut names = HashSet::new();
        while self.take("}").is_none() {
            let span = self.peek().span.clone();
            let name = match self.peek().kind.clone() {
                Kind::Name => self.word().to_owned(),
                Kind::Text(text) => text,
                Kind::Sign("{") => return Err(foreign::braces(start..span.end)),
                Kind::Sign("[") => {
                    return Err(ParseError::new("computed field names are not supported", span).help("write the name"));
                }
                _ => return Err(self.unexpected("a field name")),
            };
            self.next();
            if matches!(self.peek().kind, Kind::Sign("," | "}")) {
                let message = format!("the field `{name}` has no value");
                return Err(ParseError::new(message, span).help(format!("write {name}: {name}")));
            }
            self.expect(":")?;
            if !names.insert(name.clone()) {
                return Err(ParseError::new(format!("duplicate field `{name}`"), span));
            }
            fields.push((name, self.expression()?));
            if self.take(",").is_none() {
                self.expect("}")?;
                break;
            }
        }
        Ok(object(fields, start..self.end()))
    }
}

/// Builds a list; a list of literals is folded into a value, so that it is created only once.
pub(super) fn array(items: Vec<Node>, span: Span) -> Node {
    let literal: Option<Vec<_>> = items.iter().map(|item| item.literal().cloned()).collect();
    match literal {
        Some(values) => Node::Literal(Value::Array(values)),
        None => Node::Array(items, span),
    }
}

/// Builds an object; an object of literals is folded into a value, so that it is created only once.
fn object(fields: Vec<(String, Node)>, span: Span) -> Node {
    let literal: Option<Map<_, _>> =
        fields.iter().map(|(name, field)| Some((name.clone(), field.literal()?.clone()))).collect();
    match literal {
        Some(values) => Node::Literal(Value::Object(values)),
        None => Node::Object(fields, span),
    }
}

impl Node {
    /// Builds a unary operation; a negative number becomes a literal.
    pub(super) fn unary(operator: Unary, operand: Node, span: Span) -> Result<Self, ParseError> {
        if let (Unary::Minus, Self::Literal(Value::Number(number))) = (operator, &operand) {
            if let Some(negative) = number.as_i64().and_then(i64::checked_neg) {
                return Ok(Self::Literal(Value::Number(Number::from(negative))));
            }
            if number.as_u64().is_some_and(|number| number > i64::MIN.unsigned_abs()) {
                return Err(TooLarge.at(&format!("-{number}"), span));
            }
        }
        Ok(Self::Unary { operator, operand: Box::new(operand), span })
    }
}
