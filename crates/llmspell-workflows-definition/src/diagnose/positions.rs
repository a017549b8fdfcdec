use std::{
    borrow::Cow,
    collections::{HashMap, HashSet, hash_map},
    ops::Range,
};

use llmspell_workflows_basic::ProblemLocation;

use super::{Inside, Source};
use crate::tree::Span;

/// The source positions of all steps and fields of a definition, stored outside the model.
#[derive(Debug, Clone)]
pub(crate) struct Positions {
    steps: Vec<Entry>,
    by_path: HashMap<String, At>,
    /// The paths shared by several steps.
    repeated: HashSet<String>,
}

/// The index of a step in [`Positions`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct At(usize);

impl At {
    /// The definition itself.
    pub(crate) const ROOT: Self = Self(0);
}

#[derive(Debug, Clone, Default)]
struct Entry {
    path: String,
    fields: Vec<(Cow<'static, str>, Mark)>,
}

/// The span of a field, and how its text maps to the source.
#[derive(Debug, Clone)]
pub(crate) struct Mark {
    pub(crate) span: Span,
    pub(crate) inside: Inside,
}

impl Positions {
    pub(crate) fn new() -> Self {
        Self {
            steps: vec![Entry::default()],
            by_path: HashMap::from([(String::new(), At::ROOT)]),
            repeated: HashSet::new(),
        }
    }

    /// Adds the step at `path`, whose name is at `span`.
    pub(crate) fn enter(&mut self, path: String, span: Span) -> At {
        let at = At(self.steps.len());
        let fields = vec![(Cow::Borrowed(""), Mark { span, inside: Inside::Unknown })];
        self.steps.push(Entry { path: path.clone(), fields });
        match self.by_path.entry(path) {
            // The first step keeps the path, so later steps with the path are compared with it.
            hash_map::Entry::Occupied(entry) => drop(self.repeated.insert(entry.key().clone())),
            hash_map::Entry::Vacant(entry) => drop(entry.insert(at)),
        }
        at
    }

    /// Returns the span of the step name at `path`, unless an enclosing step's path is not unique.
    pub(crate) fn first_of(&self, path: &str) -> Option<Span> {
        let first = self.head(*self.by_path.get(path)?)?;
        let is_repeated = path.match_indices('/').any(|(end, _)| self.repeated.contains(&path[..end]));
        (!is_repeated).then_some(first)
    }

    /// Returns the step at `path`, or its nearest known ancestor.
    pub(crate) fn known(&self, path: &str) -> At {
        let mut path = path;
        loop {
            match (self.by_path.get(path), path.rsplit_once('/')) {
                (Some(at), _) => return *at,
                (None, Some((around, _))) => path = around,
                (None, None) => return At::ROOT,
            }
        }
    }

    pub(crate) fn path(&self, at: At) -> &str {
        &self.steps[at.0].path
    }

    pub(crate) fn mark(&mut self, at: At, field: impl Into<Cow<'static, str>>, mark: Mark) {
        self.steps[at.0].fields.push((field.into(), mark));
    }

    /// Returns the span of the step's name.
    pub(crate) fn head(&self, at: At) -> Option<Span> {
        self.steps[at.0].get("").map(|mark| mark.span)
    }

    /// Returns the spans of the field at `place` and of the fields that contain it; empty if the field is unknown.
    pub(crate) fn enclosing_spans(&self, place: &ProblemLocation) -> std::vec::IntoIter<Span> {
        let field = place.field.as_str();
        let entry = self.by_path.get(place.path.as_str()).map(|at| &self.steps[at.0]);
        let Some(entry) = entry.filter(|entry| !field.is_empty() && entry.get(field).is_some()) else {
            return Vec::new().into_iter();
        };
        let ends = field.match_indices('/').map(|(end, _)| end).chain([field.len()]);
        let spans: Vec<Span> = ends.filter_map(|end| entry.get(&field[..end])).map(|mark| mark.span).collect();
        spans.into_iter()
    }

    /// Returns the span of `place`, or of its nearest known ancestor.
    pub(crate) fn find(&self, place: &ProblemLocation, source: &Source) -> Span {
        let mut path = place.path.as_str();
        if let Some(at) = self.by_path.get(path)
            && let Some(span) = self.steps[at.0].find(&place.field, place.span.as_ref(), source)
        {
            return span;
        }
        while let Some((around, _)) = path.rsplit_once('/') {
            path = around;
            if let Some(mark) = self.by_path.get(path).and_then(|at| self.steps[at.0].get("")) {
                return mark.span;
            }
        }
        self.steps[0].get("").map(|mark| mark.span).unwrap_or_default()
    }
}

impl Entry {
    fn get(&self, field: &str) -> Option<&Mark> {
        self.fields.iter().rev().find(|(name, _)| name == field).map(|(_, mark)| mark)
    }

    fn find(&self, field: &str, within: Option<&Range<usize>>, source: &Source) -> Option<Span> {
        if let Some(mark) = self.get(field) {
            return Some(match within {
                Some(within) => mark.inside.narrow(mark.span, within, source.text()),
                None => mark.span,
            });
        }
        let mut rest = field;
        while !rest.is_empty() {
            rest = rest.rsplit_once('/').map_or("", |(around, _)| around);
            if let Some(mark) = self.get(rest) {
                return Some(mark.span);
            }
        }
        None
    }
}
