//! Addresses of steps: [`StepId`] and [`StepPath`].

use std::{borrow::Borrow, fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

/// The name of a step among its siblings: `[A-Za-z_][A-Za-z0-9_-]*`.
///
/// Ids that start with `$` are reserved for the engine (`$on_error`, `$finally`, `$undo`); definitions cannot use them.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StepId(Arc<str>);

impl StepId {
    /// Creates an id.
    ///
    /// # Errors
    /// Returns [`PathError::Id`] if `text` is not a valid id.
    pub fn new(text: impl AsRef<str>) -> Result<Self, PathError> {
        let text = text.as_ref();
        if is_id(text) { Ok(Self(text.into())) } else { Err(PathError::Id(text.to_owned())) }
    }

    /// Creates an id reserved for the engine.
    pub(crate) fn system(text: &'static str) -> Self {
        Self(text.into())
    }

    /// Returns the id as a string.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Converts a name to an id, replacing invalid characters with `_`.
    ///
    /// Used for a step that has only a name, such as `Fetch the page`.
    #[must_use]
    pub fn from_name(text: &str) -> Self {
        let mut id: String =
            text.trim().chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).collect();
        if !id.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
            id.insert(0, '_');
        }
        Self(id.into())
    }
}

fn is_id(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
}

impl fmt::Display for StepId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for StepId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl Borrow<str> for StepId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl FromStr for StepId {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Self, PathError> {
        Self::new(text)
    }
}

impl Serialize for StepId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for StepId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::new(&text).map_err(serde::de::Error::custom)
    }
}

/// One segment of a step path.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Segment {
    /// The step's id.
    pub id: StepId,
    /// The iteration, counted from 0, if the step is a loop and the path continues inside it.
    pub iteration: Option<u64>,
    /// The generation, counted from 1.
    pub generation: u32,
}

impl fmt::Display for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.id)?;
        if let Some(iteration) = self.iteration {
            write!(f, "[{iteration}]")?;
        }
        if self.generation > 1 {
            write!(f, "~{}", self.generation)?;
        }
        Ok(())
    }
}

/// The address of a step in a run, for example `/main/review[3]~2/security/scan`.
///
/// A segment is an id, followed by `[n]` for iteration n of a loop (counted from 0), and by `~g` for the step's
/// generation g unless it is the first. The displayed form parses to an equal path.
///
/// ```
/// use llmspell_workflows_basic::StepPath;
///
/// let path: StepPath = "/main/review[3]~2/security/scan".parse()?;
/// assert_eq!(path.segments()[1].iteration, Some(3));
/// assert_eq!(path.segments()[1].generation, 2);
/// assert_eq!(path.to_string(), "/main/review[3]~2/security/scan");
/// # Ok::<(), llmspell_workflows_basic::PathError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StepPath(Vec<Segment>);

impl StepPath {
    /// Creates a path from its segments.
    #[must_use]
    pub fn new(segments: Vec<Segment>) -> Self {
        Self(segments)
    }

    /// Returns the segments, outermost first.
    #[must_use]
    pub fn segments(&self) -> &[Segment] {
        &self.0
    }

    /// Returns the id of the step; `None` for the empty path.
    #[must_use]
    pub fn id(&self) -> Option<&StepId> {
        self.0.last().map(|segment| &segment.id)
    }

    /// Returns the path of the same step in the given generation.
    #[must_use]
    pub fn with_generation(&self, generation: u32) -> Self {
        let mut path = self.clone();
        if let Some(last) = path.0.last_mut() {
            last.generation = generation;
        }
        path
    }

    /// Returns the path with every step in its first generation.
    #[must_use]
    pub fn without_generations(&self) -> Self {
        let mut path = self.clone();
        path.0.iter_mut().for_each(|segment| segment.generation = 1);
        path
    }

    /// Returns the path of the step in its definition, without iteration and generation numbers.
    #[must_use]
    pub fn in_definition(&self) -> String {
        self.0.iter().map(|segment| format!("/{}", segment.id)).collect()
    }

    /// Returns whether `other` is this step or a step inside it.
    #[must_use]
    pub fn contains(&self, other: &StepPath) -> bool {
        other.0.starts_with(&self.0)
    }
}

impl fmt::Display for StepPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("/");
        }
        self.0.iter().try_for_each(|segment| write!(f, "/{segment}"))
    }
}

impl fmt::Debug for StepPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl FromStr for StepPath {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Self, PathError> {
        let error = || PathError::Path(text.to_owned());
        let rest = text.strip_prefix('/').ok_or_else(error)?;
        if rest.is_empty() {
            return Ok(Self(Vec::new()));
        }
        rest.split('/').map(|part| segment(part).ok_or_else(error)).collect::<Result<_, _>>().map(Self)
    }
}

fn segment(text: &str) -> Option<Segment> {
    let (text, generation) = match text.split_once('~') {
        Some((rest, number)) => (rest, number.parse().ok().filter(|n| *n > 1)?),
        None => (text, 1),
    };
    let (text, iteration) = match text.strip_suffix(']') {
        Some(rest) => {
            let (id, number) = rest.split_once('[')?;
            (id, Some(number.parse().ok()?))
        }
        None => (text, None),
    };
    let id = match text.strip_prefix('$') {
        Some(rest) if is_id(rest) => StepId(text.into()),
        _ => StepId::new(text).ok()?,
    };
    Some(Segment { id, iteration, generation })
}

impl Serialize for StepPath {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for StepPath {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// An invalid step id or path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PathError {
    /// The id is invalid.
    #[error("invalid step id `{0}`: start with a letter or `_`, then use letters, digits, `_` and `-`")]
    Id(String),
    /// The path is invalid.
    #[error("invalid step path `{0}`: expected a path such as `/main/review[3]~2/scan`")]
    Path(String),
}

impl PathError {
    /// Returns the stable code, documented under `docs/errors`.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Id(_) => "invalid_id",
            Self::Path(_) => "invalid_step_path",
        }
    }
}

/// A step path during a run. It is a linked list with one allocation per step, and is rendered as
/// text only on demand.
#[derive(Debug, Clone)]
pub struct PathLink(Arc<Link>);

#[derive(Debug)]
struct Link {
    parent: Option<PathLink>,
    id: StepId,
    iteration: Option<u64>,
    generation: u32,
}

impl PathLink {
    pub(crate) fn new(parent: Option<PathLink>, id: StepId, iteration: Option<u32>, generation: u32) -> Self {
        Self(Arc::new(Link { parent, id, iteration: iteration.map(u64::from), generation }))
    }

    /// Converts a path; returns `None` for the empty path.
    pub fn of(path: &StepPath) -> Option<Self> {
        path.segments().iter().fold(None, |parent, segment| {
            let iteration = segment.iteration.and_then(|iteration| u32::try_from(iteration).ok());
            Some(Self::new(parent, segment.id.clone(), iteration, segment.generation))
        })
    }

    /// Returns whether the two paths are the same link in memory.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Returns the path of the parent step; `None` at the root.
    #[must_use]
    pub fn parent(&self) -> Option<&Self> {
        self.0.parent.as_ref()
    }

    /// Returns whether the two paths identify the same step, possibly in different generations.
    pub(crate) fn enters_as(&self, other: &Self) -> bool {
        let is_same = self.0.id == other.0.id && self.0.iteration == other.0.iteration;
        is_same
            && match (self.parent(), other.parent()) {
                (Some(one), Some(two)) => one.is_same_place(two),
                (one, two) => one.is_none() && two.is_none(),
            }
    }

    /// Returns whether the two paths are equal.
    pub(crate) fn is_same_place(&self, other: &Self) -> bool {
        let (mut one, mut two) = (Some(self), Some(other));
        while let (Some(a), Some(b)) = (one, two) {
            if a.is(b) {
                return true;
            }
            let is_same = a.0.id == b.0.id && a.0.iteration == b.0.iteration && a.0.generation == b.0.generation;
            if !is_same {
                return false;
            }
            (one, two) = (a.parent(), b.parent());
        }
        one.is_none() && two.is_none()
    }

    /// Returns the path of the child `id`, for messages.
    pub(crate) fn child_text(&self, id: &str) -> String {
        format!("{self}/{id}")
    }

    /// Returns the path of the step's first generation, which identifies the step across generations.
    pub(crate) fn first_entry(&self) -> String {
        self.to_path().with_generation(1).to_string()
    }

    /// Returns the id of the step.
    #[must_use]
    pub fn id(&self) -> &StepId {
        &self.0.id
    }

    /// Returns the generation, counted from 1.
    #[must_use]
    pub fn generation(&self) -> u32 {
        self.0.generation
    }

    /// Converts to a [`StepPath`].
    #[must_use]
    pub fn to_path(&self) -> StepPath {
        let mut segments = Vec::new();
        let mut link = Some(self);
        while let Some(PathLink(inner)) = link {
            segments.push(Segment { id: inner.id.clone(), iteration: inner.iteration, generation: inner.generation });
            link = inner.parent.as_ref();
        }
        segments.reverse();
        StepPath(segments)
    }
}

impl fmt::Display for PathLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.to_path())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn displayed_paths_parse_to_the_same_path() {
        for text in ["/", "/main", "/main/a-b_c", "/main/review[3]~2/security/scan", "/main/x~12/$undo", "/a[0]"] {
            assert_eq!(text.parse::<StepPath>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn errors_quote_the_invalid_path() {
        for text in ["", "main", "/main//x", "/1a", "/a[x]", "/a~1", "/a~0", "/a[1", "/$", "/a b"] {
            let error = text.parse::<StepPath>().unwrap_err();
            assert!(error.to_string().contains(&format!("`{text}`")), "{error}");
        }
    }

    #[test]
    fn names_convert_to_valid_ids() {
        for (name, id) in [("Fetch the page", "Fetch_the_page"), ("3 ways", "_3_ways"), ("ok-id", "ok-id"), ("", "_")] {
            assert_eq!(StepId::from_name(name).as_str(), id);
            assert!(StepId::new(StepId::from_name(name).as_str()).is_ok());
        }
    }
}
