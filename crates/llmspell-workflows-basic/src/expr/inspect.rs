//! Facts about an expression or a text that are known without evaluating it.
//!
//! Code that passes a text to an interpreter, such as a shell or a URL parser, must know which
//! parts of the text come from outside and whether these parts were escaped.

use serde_json::Value;

use super::expression::{Expr, Key, Reference};
use super::template::{Part, Template, TextPart};
use super::tree::{Keys, Node, StepKind};

/// A part of a text: plain text, or an expression that is replaced by its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TemplatePart<'a> {
    /// Text that remains unchanged; escaped braces are already resolved.
    Plain(&'a str),
    /// An expression.
    Expression {
        /// The expression.
        expression: &'a Expr,
        /// The byte offset of the expression in the text.
        offset: usize,
    },
}

/// Information about a value, derived from the form of its expression.
#[derive(Debug, PartialEq)]
pub(crate) enum ValueForm<'e> {
    /// The value of a reference without computed keys.
    Reference(&'e Reference),
    /// This value.
    Literal(&'e Value),
    /// A string, a number or a boolean.
    Scalar,
    List,
    Object,
    Unknown,
}

impl Template {
    /// Returns the parts of a text, in order; a value other than a string has none.
    ///
    /// ```
    /// use llmspell_workflows_basic::expr::{Template, TemplatePart};
    ///
    /// let template = Template::parse_text("for {{ name }}")?;
    /// let [TemplatePart::Plain("for "), TemplatePart::Expression { expression, offset: 7 }] = template.parts()[..] else {
    ///     panic!("two parts");
    /// };
    /// assert_eq!(expression.source(), "name");
    /// # Ok::<(), llmspell_workflows_basic::expr::TemplateErrors>(())
    /// ```
    pub fn parts(&self) -> Vec<TemplatePart<'_>> {
        match self.root() {
            Part::Static(value) => value.as_str().map(TemplatePart::Plain).into_iter().collect(),
            Part::Whole(hole) => vec![hole.part()],
            Part::Text(parts) => parts
                .iter()
                .map(|part| match part {
                    TextPart::Plain(text) => TemplatePart::Plain(text),
                    TextPart::Hole(hole) => hole.part(),
                })
                .collect(),
            Part::Array(_) | Part::Object(_) => Vec::new(),
        }
    }
}

impl Expr {
    /// Returns the value of an expression that reads no names; `None` for any other expression.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`evaluate`](Self::evaluate).
    pub fn constant(&self) -> Option<Result<Value, super::EvalError>> {
        let evaluated = || self.evaluate_strict(&Value::Null).map(std::borrow::Cow::into_owned);
        self.references().is_empty().then(evaluated)
    }

    /// Returns whether the value is a number or a boolean determined only by the enclosing loops,
    /// such as `loop.index + 1`.
    ///
    /// ```
    /// use llmspell_workflows_basic::expr::Expr;
    ///
    /// for (source, expected) in
    ///     [("loop.index", true), ("loop.parent.index + 1", true), ("loop.item", false), ("loop.index + id", false)]
    /// {
    ///     assert_eq!(Expr::parse(source)?.is_counter(), expected, "{source}");
    /// }
    /// # Ok::<(), llmspell_workflows_basic::expr::ParseError>(())
    /// ```
    pub fn is_counter(&self) -> bool {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "._ +-*%".contains(c);
        let is_counter = |reference: &Reference| {
            let (last, parents) = match reference.keys.split_last() {
                Some((Key::Name(last), parents)) if reference.name == "loop" => (last.as_str(), parents),
                _ => return false,
            };
            matches!(last, "index" | "is_first" | "is_last")
                && parents.iter().all(|key| matches!(key, Key::Name(name) if name == "parent"))
        };
        let references = self.references();
        !references.is_empty() && self.source().chars().all(is_plain) && references.iter().all(is_counter)
    }

    /// Returns the information about the value that the expression's form provides.
    pub(crate) fn form(&self) -> ValueForm<'_> {
        match self.root() {
            Node::Literal(value) => ValueForm::Literal(value),
            Node::Lookup(lookup) => match lookup.keys {
                Keys::Static(_) => ValueForm::Reference(&self.references()[lookup.reference]),
                Keys::Computed(_) => ValueForm::Unknown,
            },
            Node::Array(..) => ValueForm::List,
            Node::Object(..) => ValueForm::Object,
            Node::Exists(_) | Node::Unary { .. } | Node::Compare { .. } | Node::Arithmetic { .. } => ValueForm::Scalar,
            Node::Access(_) | Node::Call(_) | Node::Logical { .. } | Node::Conditional(_) => ValueForm::Unknown,
        }
    }

    /// Returns the names of the functions and filters that produce the value, the last one first.
    ///
    /// ```
    /// use llmspell_workflows_basic::expr::Expr;
    ///
    /// assert_eq!(Expr::parse("title | trim | shell_quote")?.last_calls(), ["shell_quote", "trim"]);
    /// assert_eq!(Expr::parse("shell_quote(trim(title))")?.last_calls(), ["shell_quote", "trim"]);
    /// assert!(Expr::parse("(title | shell_quote) + other")?.last_calls().is_empty());
    /// # Ok::<(), llmspell_workflows_basic::expr::ParseError>(())
    /// ```
    pub fn last_calls(&self) -> Vec<&'static str> {
        let mut calls = Vec::new();
        let mut node = self.root();
        loop {
            match node {
                Node::Call(call) => {
                    calls.push(call.function.name());
                    let Some(first) = call.arguments.first() else { return calls };
                    node = first;
                }
                Node::Access(access) => {
                    for step in access.steps.iter().rev() {
                        let StepKind::Call(call) = &step.kind else { return calls };
                        calls.push(call.function.name());
                    }
                    node = &access.base;
                }
                _ => return calls,
            }
        }
    }

    /// Returns whether the expression selects an existing value, instead of
    /// constructing or converting one.
    ///
    /// ```
    /// use llmspell_workflows_basic::expr::Expr;
    ///
    /// assert!(Expr::parse("local ? 'http://localhost' : page.links[0] ?? home")?.selects_value());
    /// assert!(!Expr::parse("home + '?q=' + word")?.selects_value());
    /// # Ok::<(), llmspell_workflows_basic::expr::ParseError>(())
    /// ```
    pub fn selects_value(&self) -> bool {
        selects_value(self.root())
    }
}

fn selects_value(node: &Node) -> bool {
    match node {
        Node::Literal(_) | Node::Lookup(_) => true,
        Node::Access(access) => {
            selects_value(&access.base)
                && access.steps.iter().all(|step| match &step.kind {
                    StepKind::Key(..) => true,
                    StepKind::Call(_) => false,
                    StepKind::Default(others) => others.iter().all(selects_value),
                })
        }
        Node::Logical { operands, .. } => operands.iter().all(selects_value),
        Node::Conditional(parts) => parts[1..].iter().all(selects_value),
        _ => false,
    }
}
