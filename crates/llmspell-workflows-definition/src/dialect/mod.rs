//! The words of the dialect: one table per mapping, read by the reader, by the schema and by the printer's tests.

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
    /// Other names for the same thing; at most one of them all may stand in one mapping.
    pub(crate) aliases: &'static [&'static str],
    /// What its value may be.
    pub(crate) shape: Shape,
    /// What it is for, as the schema and editors show it.
    pub(crate) doc: &'static str,
    pub(crate) required: bool,
}

/// What a value may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Known to the specification, and not a part of this version.
    Missing,
    /// A text.
    Text,
    /// A text, or a number that is taken as it is written.
    Version,
    /// A list of texts, or one.
    Texts,
    /// An expression: a text, or `true` or `false`.
    Expression,
    /// A list of expressions, or one.
    Expressions,
    /// A length of time: seconds, a text such as `30s`, or one expression. Also under `NAME_ms` and `NAME_seconds`.
    Delay,
    /// A length of time without expressions.
    Duration,
    /// A whole number between these.
    Count(u64, u64),
    /// A number, at least 0.
    Number,
    Bool,
    /// Anything.
    Any,
    /// Anything but nothing.
    Given,
    /// A mapping of anything.
    Object,
    /// A list or a text with a reference to one.
    Items,
    /// A number or a text with a reference to one.
    NumberOrText,
    /// One of these words.
    Word(&'static [&'static str]),
    /// A list of steps.
    Steps,
    /// A list of steps, or a mapping of ids to steps.
    StepsById,
    /// A list of steps and of ids of steps of the same list, or one id.
    Block,
    /// Steps that run at the same time: a list, or a mapping of names to branches.
    Members,
    /// A mapping of names to branches.
    Branches,
    /// A step without an id.
    Body,
    /// A step whose id may be left out.
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
    OnError,
    LoopOnError,
    RootOnError,
    Next,
    Cases,
    Range,
    /// The id of a step, or nothing for the end.
    Target,
    Aggregation,
    OnConflict,
    Validator,
    Inputs,
    /// A mapping of names to mappings of names to values.
    Environments,
    /// A mapping of names to expressions.
    Conditions,
    /// A mapping of names to whole numbers, at least 1.
    Counts,
    Trigger,
    Timeouts,
    Defaults,
    Personas,
    /// Names of environment variables, or a mapping of names to values for processes.
    RootEnv,
    /// A mapping of names to texts.
    Env,
}

/// What most numbers may be at most.
pub(crate) const COUNT_MAX: u64 = u32::MAX as u64;

pub(crate) const fn field(name: &'static str, shape: Shape, doc: &'static str) -> Field {
    Field { name, aliases: &[], shape, doc, required: false }
}

/// A field that the specification has and this version has not.
pub(crate) const fn missing(name: &'static str, doc: &'static str) -> Field {
    field(name, Shape::Missing, doc)
}

impl Field {
    pub(crate) const fn or(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }

    pub(crate) const fn required(mut self) -> Self {
        self.required = true;
        self
    }

    /// All names under which it may stand.
    pub(crate) fn names(&self) -> impl Iterator<Item = std::borrow::Cow<'static, str>> {
        let plain = std::iter::once(self.name).chain(self.aliases.iter().copied());
        let is_time = matches!(self.shape, Shape::Delay | Shape::Duration);
        plain.flat_map(move |name| {
            let suffixes: &[&str] = if is_time { &["_ms", "_seconds"] } else { &[] };
            std::iter::once(name.into()).chain(suffixes.iter().map(move |suffix| format!("{name}{suffix}").into()))
        })
    }

    /// Whether `written` is one of its names.
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
