//! Expressions and templates.
//!
//! Conditions control the flow of a run, and templates fill the inputs of its steps. Both use one
//! small language: JavaScript's operators and truthiness on JSON values, where `==` means `===` and
//! compares deeply by value without conversions. It is pure (no clock, no randomness, no effects),
//! total (every input gives a value or an error, never a panic) and bounded ([`limits`]), so an
//! untrusted definition can be evaluated safely and repeatedly.
//!
//! - An [`Expr`] is parsed once and evaluated directly on the JSON of a [`Scope`], without copying it.
//!   Its [`Reference`]s are known before a run, for validation and for ordering steps.
//! - A [`Template`] is a JSON value whose strings may contain `{{ expression }}` or `${ expression }`.
//!
//! `docs/expressions.md` is the language reference.
//!
//! ```
//! use llmspell_workflows_basic::expr::{Expr, Template};
//! use serde_json::json;
//!
//! let scope = json!({"task": {"type": "feature", "name": "login"}, "tries": 2});
//!
//! let condition = Expr::parse("task.type !== 'hotfix' && tries < 3")?;
//! assert!(condition.test(&scope)?);
//!
//! let template = Template::parse(&json!({"branch": "feature/{{ task.name }}", "tries": "${tries + 1}"}))?;
//! assert_eq!(*template.render(&scope)?, json!({"branch": "feature/login", "tries": 3}));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod assume;
mod error;
mod evaluate;
mod expression;
mod foreign;
mod functions;
mod inspect;
pub mod limits;
mod literal;
mod number;
mod operand;
mod operate;
mod parse;
mod scope;
mod template;
mod template_text;
mod token;
mod tree;
mod unresolved;
mod value;

pub(crate) use assume::Possible;
pub use error::{ErrorLocation, EvalError, ParseError};
use expression::Parsed;
pub use expression::{Expr, Key, Reference};
pub use foreign::is_shell_name;
pub use functions::{FunctionDoc, function_docs, url_encoded};
pub use inspect::TemplatePart;
pub(crate) use inspect::ValueForm;
pub use scope::{Scope, Segment};
pub use template::{Template, TemplateReference};
pub use template_text::{TemplateError, TemplateErrors};
