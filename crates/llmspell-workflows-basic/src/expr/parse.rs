//! Parses operators, from the lowest to the highest precedence.

use super::Reference;
use super::error::ParseError;
use super::foreign;
use super::limits::{NESTING_MAX, SOURCE_BYTES_MAX};
use super::token::{Kind, Token, tokens};
use super::tree::{Arithmetic, Comparison, Logical, Node, Span, Unary};

/// Parses a source into a tree and its references, in source order.
pub(super) fn parse(source: &str) -> Result<(Node, Vec<Reference>), ParseError> {
    if source.len() > SOURCE_BYTES_MAX {
        let message = format!("the expression is longer than {SOURCE_BYTES_MAX} bytes");
        return Err(ParseError::new(message, 0..0));
    }
    let mut parser = Parser { source, tokens: tokens(source)?, at: 0, depth: 0, references: Vec::new() };
    if parser.peek().kind == Kind::End {
        return Err(ParseError::new("the expression is empty", 0..source.len()));
    }
    let root = parser.piped()?;
    if parser.peek().kind != Kind::End {
        return Err(parser.unexpected("the end of the expression"));
    }
    Ok((root, parser.references))
}

pub(super) struct Parser<'a> {
    pub(super) source: &'a str,
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
    pub(super) references: Vec<Reference>,
}

/// The precedence of a binary operator, from the highest to the lowest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Product,
    Sum,
    Relation,
    Equality,
    Conjunction,
    Alternative,
}

impl Parser<'_> {
    /// Parses an expression inside another expression.
    pub(super) fn expression(&mut self) -> Result<Node, ParseError> {
        self.nested(Self::piped)
    }

    fn nested(&mut self, parse: impl FnOnce(&mut Self) -> Result<Node, ParseError>) -> Result<Node, ParseError> {
        if self.depth == NESTING_MAX {
            let message = format!("the expression is nested more than {NESTING_MAX} levels deep");
            return Err(ParseError::new(message, self.peek().span.clone()));
        }
        self.depth += 1;
        let node = parse(self)?;
        self.depth -= 1;
        Ok(node)
    }

    fn piped(&mut self) -> Result<Node, ParseError> {
        let mut node = self.conditional()?;
        while self.take("|").is_some() {
            node = self.filter(node)?;
        }
        Ok(node)
    }

    fn conditional(&mut self) -> Result<Node, ParseError> {
        let condition = self.binary(Level::Alternative)?;
        if self.take("?").is_none() {
            return Ok(condition);
        }
        let then = self.nested(Self::conditional)?;
        self.expect(":")?;
        let otherwise = self.nested(Self::conditional)?;
        Ok(Node::Conditional(Box::new([condition, then, otherwise])))
    }

    /// Parses operators whose precedence is at least `level`.
    ///
    /// The first operand is passed from level to level, instead of each level calling the next one, so
    /// that nested parentheses use little stack.
    fn binary(&mut self, level: Level) -> Result<Node, ParseError> {
        let is_signed = self.peek().kind == Kind::Sign("!");
        let mut node = match level {
            Level::Conjunction | Level::Alternative if self.is_word(&["not", "NOT"]) => self.negation()?,
            _ => self.unary()?,
        };
        if level >= Level::Product {
            node = self.arithmetic(node, Self::unary, Arithmetic::product)?;
        }
        if level >= Level::Sum {
            let operand = |parser: &mut Self| parser.binary(Level::Product);
            node = self.arithmetic(node, operand, Arithmetic::sum)?;
        }
        if level >= Level::Relation {
            node = self.comparison(node, is_signed, Level::Sum, Self::relation)?;
        }
        if level >= Level::Equality {
            node = self.comparison(node, is_signed, Level::Relation, Self::equality)?;
        }
        if level >= Level::Conjunction {
            node = self.conjunction(node)?;
        }
        if level >= Level::Alternative {
            node = self.alternatives(node)?;
        }
        Ok(node)
    }

    /// Parses `||` and `??`.
    fn alternatives(&mut self, first: Node) -> Result<Node, ParseError> {
        let Some(operator) = self.alternative() else {
            return Ok(first);
        };
        let mut operands = vec![first];
        while let Some(next) = self.alternative() {
            let span = self.next().span.clone();
            if next != operator {
                return Err(
                    ParseError::new("`??` and `||` cannot be mixed", span).help("put one of them in parentheses")
                );
            }
            operands.push(self.binary(Level::Conjunction)?);
        }
        let last = operands.len() - 1;
        for operand in &mut operands[..last] {
            operand.make_optional(&mut self.references);
        }
        Ok(Node::Logical { operator, operands })
    }

    fn alternative(&self) -> Option<Logical> {
        match &self.peek().kind {
            Kind::Sign("||") => Some(Logical::Or),
            Kind::Sign("??") => Some(Logical::Coalesce),
            Kind::Name if matches!(self.word(), "or" | "OR") => Some(Logical::Or),
            _ => None,
        }
    }

    fn conjunction(&mut self, first: Node) -> Result<Node, ParseError> {
        let mut operands = vec![first];
        while self.peek().kind == Kind::Sign("&&") || self.is_word(&["and", "AND"]) {
            self.next();
            operands.push(match self.is_word(&["not", "NOT"]) {
                true => self.negation()?,
                false => self.binary(Level::Equality)?,
            });
        }
        if operands.len() == 1 {
            return Ok(operands.remove(0));
        }
        let operator = Logical::And;
        Ok(Node::Logical { operator, operands })
    }

    /// Parses the word `not`, which, unlike `!`, negates a whole comparison.
    fn negation(&mut self) -> Result<Node, ParseError> {
        let start = self.next().span.start;
        let operand = self.nested(|parser| match parser.is_word(&["not", "NOT"]) {
            true => parser.negation(),
            false => parser.binary(Level::Equality),
        })?;
        Ok(Node::Unary { operator: Unary::Not, operand: Box::new(operand), span: start..self.end() })
    }

    fn comparison(
        &mut self,
        left: Node,
        is_signed: bool,
        operand: Level,
        operator: fn(&mut Self) -> Option<(Comparison, Span)>,
    ) -> Result<Node, ParseError> {
        let Some((comparison, span)) = operator(self) else {
            return Ok(left);
        };
        if is_signed && comparison.is_membership() && matches!(left, Node::Unary { .. }) {
            return Err(
                ParseError::new("`!` negates only the value after it", span).help("write !(a in b), or a not in b")
            );
        }
        let right = self.binary(operand)?;
        if let Some((_, span)) = operator(self) {
            return Err(ParseError::new("comparisons cannot be chained", span).help("write a < b && b < c"));
        }
        Ok(Node::Compare { operator: comparison, sides: Box::new((left, right)), span })
    }

    fn equality(&mut self) -> Option<(Comparison, Span)> {
        let comparison = match self.peek().kind {
            Kind::Sign("==" | "===") => Comparison::Equal,
            Kind::Sign("!=" | "!==") => Comparison::NotEqual,
            _ => return None,
        };
        Some((comparison, self.next().span.clone()))
    }

    fn relation(&mut self) -> Option<(Comparison, Span)> {
        let comparison = match self.peek().kind {
            Kind::Sign("<") => Comparison::Less,
            Kind::Sign("<=") => Comparison::LessOrEqual,
            Kind::Sign(">") => Comparison::Greater,
            Kind::Sign(">=") => Comparison::GreaterOrEqual,
            Kind::Name => match (self.word(), self.word_after()) {
                ("in", _) => Comparison::In,
                ("contains", _) => Comparison::Contains,
                ("not" | "NOT", Some("in")) => Comparison::NotIn,
                ("not" | "NOT", Some("contains")) => Comparison::NotContains,
                _ => return None,
            },
            _ => return None,
        };
        let mut span = self.next().span.clone();
        if matches!(comparison, Comparison::NotIn | Comparison::NotContains) {
            span.end = self.next().span.end;
        }
        Some((comparison, span))
    }

    fn arithmetic(
        &mut self,
        first: Node,
        operand: impl Fn(&mut Self) -> Result<Node, ParseError>,
        operator: fn(&str) -> Option<Arithmetic>,
    ) -> Result<Node, ParseError> {
        let mut rest = Vec::new();
        while let Kind::Sign(sign) = self.peek().kind
            && let Some(arithmetic) = operator(sign)
        {
            let span = self.next().span.clone();
            rest.push((arithmetic, operand(self)?, span));
        }
        if rest.is_empty() {
            return Ok(first);
        }
        let first = Box::new(first);
        Ok(Node::Arithmetic { first, rest })
    }

    fn unary(&mut self) -> Result<Node, ParseError> {
        let start = self.peek().span.start;
        let operator = match self.peek().kind {
            Kind::Sign("!") => Unary::Not,
            Kind::Sign("-") => Unary::Minus,
            Kind::Sign("+") => Unary::Plus,
            _ => return self.chain(),
        };
        self.next();
        let operand = self.nested(Self::unary)?;
        Node::unary(operator, operand, start..self.end())
    }
}

/// Access to the tokens.
impl Parser<'_> {
    pub(super) fn peek(&self) -> &Token {
        &self.tokens[self.at]
    }

    /// Takes the next token; does not advance past the end.
    pub(super) fn next(&mut self) -> &Token {
        let token = &self.tokens[self.at];
        if token.kind != Kind::End {
            self.at += 1;
        }
        token
    }

    pub(super) fn take(&mut self, sign: &str) -> Option<Span> {
        match &self.peek().kind {
            Kind::Sign(found) if *found == sign => Some(self.next().span.clone()),
            _ => None,
        }
    }

    fn is_word(&self, words: &[&str]) -> bool {
        self.peek().kind == Kind::Name && words.contains(&self.word())
    }

    pub(super) fn expect(&mut self, sign: &str) -> Result<Span, ParseError> {
        self.take(sign).ok_or_else(|| self.unexpected(&format!("`{sign}`")))
    }

    /// Returns the source of the next token.
    pub(super) fn word(&self) -> &str {
        &self.source[self.peek().span.clone()]
    }

    /// Returns the source of the token after the next one.
    pub(super) fn word_after(&self) -> Option<&str> {
        let token = self.tokens.get(self.at + 1)?;
        Some(&self.source[token.span.clone()])
    }

    /// Returns the end of the last token.
    pub(super) fn end(&self) -> usize {
        let last = self.at.checked_sub(1).and_then(|at| self.tokens.get(at));
        last.map_or(0, |token| token.span.end)
    }

    fn follows_dollar(&self) -> bool {
        self.source[..self.peek().span.start].ends_with('$')
    }

    /// Returns the error for a token other than `wanted`.
    pub(super) fn unexpected(&self, wanted: &str) -> ParseError {
        let token = self.peek();
        let span = token.span.clone();
        let before = self.at.checked_sub(1).map(|at| &self.tokens[at]);
        match token.kind {
            Kind::End => {
                return ParseError::new(format!("the expression ends before {wanted}"), span);
            }
            Kind::Name | Kind::Text(_) | Kind::Number(_) => {
                let before = before
                    .filter(|token| token.kind == Kind::Name)
                    .map(|token| (&self.source[token.span.clone()], token.span.clone()));
                if let Some(error) = foreign::word(before, self.word(), span.clone()) {
                    return error;
                }
            }
            Kind::Sign("{") if self.follows_dollar() => return foreign::braces(span),
            Kind::Sign(_) => {}
        }
        let error = ParseError::new(format!("expected {wanted}, got `{}`", self.word()), span);
        match token.kind {
            Kind::Sign("." | "[" | "?.") => error.help("write (x | filter).name"),
            Kind::Sign("," | "{" | "}" | "(" | ")" | "]" | ":") => error.help("check the brackets"),
            Kind::Name | Kind::Text(_) | Kind::Number(_) => error.help("is an operator missing?"),
            _ => error,
        }
    }
}

impl Comparison {
    fn is_membership(self) -> bool {
        use Comparison::{Contains, In, NotContains, NotIn};
        matches!(self, In | NotIn | Contains | NotContains)
    }
}

impl Arithmetic {
    fn sum(sign: &str) -> Option<Self> {
        match sign {
            "+" => Some(Self::Add),
            "-" => Some(Self::Subtract),
            _ => None,
        }
    }

    fn product(sign: &str) -> Option<Self> {
        match sign {
            "*" => Some(Self::Multiply),
            "/" => Some(Self::Divide),
            "%" => Some(Self::Remainder),
            _ => None,
        }
    }
}
