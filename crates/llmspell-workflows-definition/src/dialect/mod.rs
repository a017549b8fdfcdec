//! The fields of the dialect: one table per mapping, which the reader and the schema share.

mod parts;
mod root;
mod step;

pub(crate) use parts::{
    CASE, CUSTOM_NAME, INPUT, MIGRATION, RANGE, RETRY, STEPS, TIMEOUTS, TRANSITION, TRIGGER, VALIDATOR,
};
pub(crate) use root::{COMMANDS, ROOT};
pub(crate) use step::{BODY, COMMON, DEFAULTS, MEMBER};

/// A field of a mapping.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Field {
    /// The canonical name.
    pub(crate) name: &'static str,
    /// Alternative names; a mapping may use only one of a field's names.
    pub(crate) aliases: &'static [&'static str],
    /// Other programs' names for this field; using one is an error that suggests the canonical
    /// name.
    pub(crate) foreign: &'static [&'static str],
    /// The allowed values.
    pub(crate) shape: Shape,
    /// The description in the schema and in editors, or the alternative to an unsupported field.
    pub(crate) doc: &'static str,
    pub(crate) required: bool,
}

/// The allowed values of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// A field of the specification that this version does not support.
    Missing,
    /// A string.
    Text,
    /// A string, or a number that is kept as written.
    Version,
    /// A string or a list of strings.
    Texts,
    /// An expression: a string or a boolean.
    Expression,
    /// An expression or a list of expressions.
    Expressions,
    /// A number of seconds, a string such as `30s`, or an expression. The field also has the names `NAME_ms` and
    /// `NAME_seconds`.
    Delay,
    /// Like a delay, but must not be an expression.
    Duration,
    /// An integer between these bounds, inclusive.
    Count(u64, u64),
    /// A non-negative number.
    Number,
    Bool,
    /// Any value.
    Any,
    /// Any value except null.
    NonNull,
    /// Any mapping.
    Object,
    /// A list, or a string that refers to a list.
    Items,
    /// A number, or a string that refers to a number.
    NumberOrText,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A list of steps.
    Steps,
    /// A list of steps, or a mapping of ids to steps.
    StepsById,
    /// A list of inline steps and ids of steps in the enclosing list, or a single id.
    Block,
    /// Concurrent steps: a list, or a mapping of names to branches.
    Members,
    /// A mapping of names to branches.
    Branches,
    /// A step without an id.
    Body,
    /// A step whose id is optional.
    Undo,
    /// A mapping of names to definitions.
    Workflows,
    /// A mapping of versions to migrations.
    Migrations,
    /// A mapping of names to names.
    Names,
    Retry,
    Jitter,
    StatusCodes,
    ExitCodes,
    OnError,
    LoopOnError,
    RootOnError,
    Next,
    Cases,
    Range,
    /// The id of a step, or null for the end of the route.
    Target,
    Aggregation,
    OnConflict,
    Validator,
    Inputs,
    /// A mapping of environments to variables and their values.
    Environments,
    /// A mapping of names to expressions.
    Conditions,
    /// A mapping of names to positive integers.
    Counts,
    Trigger,
    Timeouts,
    Defaults,
    Personas,
    /// Names of environment variables to read, or a mapping of names to values to set for processes.
    RootEnv,
    /// A mapping of names to strings, numbers or booleans.
    Env,
}

/// The maximum value of most integer fields.
pub(crate) const COUNT_MAX: u64 = u32::MAX as u64;

pub(crate) const fn field(name: &'static str, shape: Shape, doc: &'static str) -> Field {
    Field { name, aliases: &[], foreign: &[], shape, doc, required: false }
}

/// Declares a field of the specification that this version does not support, with `advice` on what to do instead.
pub(crate) const fn missing(name: &'static str, advice: &'static str) -> Field {
    field(name, Shape::Missing, advice)
}

impl Field {
    pub(crate) const fn or(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }

    pub(crate) const fn elsewhere(mut self, foreign: &'static [&'static str]) -> Self {
        self.foreign = foreign;
        self
    }

    pub(crate) const fn required(mut self) -> Self {
        self.required = true;
        self
    }

    /// Returns all names of the field, including those with a unit suffix.
    pub(crate) fn names(&self) -> impl Iterator<Item = std::borrow::Cow<'static, str>> {
        let plain = std::iter::once(self.name).chain(self.aliases.iter().copied());
        let is_time = matches!(self.shape, Shape::Delay | Shape::Duration);
        plain.flat_map(move |name| {
            let suffixes: &[&str] = if is_time { &["_ms", "_seconds"] } else { &[] };
            std::iter::once(name.into()).chain(suffixes.iter().map(move |suffix| format!("{name}{suffix}").into()))
        })
    }

    /// Returns whether `written` is one of the field's names.
    pub(crate) fn is_named(&self, written: &str) -> bool {
        let plain = match self.shape {
            Shape::Delay | Shape::Duration => {
                written.strip_suffix("_ms").or_else(|| written.strip_suffix("_seconds")).unwrap_or(written)
            }
            _ => written,
        };
        self.name == plain || self.aliases.contains(&plain)
    }
}
