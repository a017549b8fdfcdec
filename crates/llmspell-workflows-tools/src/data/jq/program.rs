use jaq_core::load::parse::Def;
use jaq_core::load::{Arena, Error as LoadError, File, Loader, parse, span};
use jaq_core::{Compiler, Ctx, Filter, Lut, Vars, compile, unwrap_valr};
use serde_json::{Value, json};

use super::meter::{Meter, Metered};
use super::value::{from_json, to_json};
use super::{guard, library};
use crate::ToolError;
use crate::data::support::invalid;

/// The name under which the guarded query is defined.
const MAIN: &str = "__query";

/// A compiled query.
pub(super) struct Program {
    filter: Filter<Metered>,
}

impl Program {
    /// Parses and compiles; errors name the place and what is unknown.
    pub(super) fn compile(query: &str) -> Result<Self, ToolError> {
        let arena = Arena::default();
        // The loader gives the errors, the parser the tree that can be guarded.
        Loader::new(std::iter::empty::<Def<&str>>())
            .load(&arena, File { code: query, path: () })
            .map_err(|errors| load_error(query, &errors[0].1))?;
        let body = parse(query, |parser| parser.term())
            .ok_or_else(|| invalid("invalid_query", "the query is no single jq filter; it can have no modules"))?;
        let main = Def { name: MAIN, args: Vec::new(), body };
        let mut definitions = vec![main];
        // One by one, since the library lives longer than the query.
        for definition in library::definitions() {
            definitions.push(definition);
        }
        definitions.rotate_left(1);
        let definitions = definitions.into_iter().map(guard::definition);
        let modules = Loader::new(definitions)
            .load(&arena, File { code: MAIN, path: () })
            .map_err(|errors| load_error(query, &errors[0].1))?;
        let filter = Compiler::default()
            .with_funs(library::functions())
            .compile(modules)
            .map_err(|errors| compile_error(query, &errors))?;
        Ok(Self { filter })
    }

    /// The table of terms, for the meter.
    pub(super) fn lut(&self) -> &Lut<Metered> {
        &self.filter.lut
    }

    /// All outputs for one input.
    pub(super) fn run<'a>(&'a self, meter: &'a Meter<'a>, input: Value) -> Result<Vec<Value>, ToolError> {
        let context = Ctx::<Metered>::new(meter, Vars::new([]));
        let outputs = self.filter.id.run((context, from_json(input))).map(unwrap_valr);
        outputs
            .map(|output| {
                meter.output();
                match output {
                    Ok(value) => to_json(&value, meter),
                    Err(error) => Err(invalid("query_error", format!("the query failed: {error}"))),
                }
            })
            .collect()
    }
}

fn load_error(query: &str, error: &LoadError<&str>) -> ToolError {
    let (message, found) = match error {
        LoadError::Io(_) => ("it imports a module; a query can have none".to_owned(), None),
        LoadError::Lex(errors) => match errors.first() {
            Some((expected, found)) => (format!("expected {}", expected.as_str()), Some(*found)),
            None => ("it cannot be read".to_owned(), None),
        },
        LoadError::Parse(errors) => match errors.first() {
            Some((expected, found)) => (format!("expected {}", expected.as_str()), Some(*found)),
            None => ("it cannot be parsed".to_owned(), None),
        },
    };
    query_error(query, &message, found)
}

fn compile_error(query: &str, errors: &compile::Errors<&str, ()>) -> ToolError {
    let unknown = errors.iter().flat_map(|(_, errors)| errors).next();
    match unknown {
        Some((name, compile::Undefined::Filter(arity))) => {
            query_error(query, &format!("there is no filter `{name}/{arity}`"), Some(name))
        }
        Some((name, kind)) => query_error(query, &format!("there is no {} `{name}`", kind.as_str()), Some(name)),
        None => query_error(query, "it cannot be compiled", None),
    }
}

/// An error at `found`, a part of `query` or not.
fn query_error(query: &str, message: &str, found: Option<&str>) -> ToolError {
    let place = found.and_then(|found| place_of(query, found));
    let at = match (place, found) {
        (Some((line, column)), Some(found)) if !found.is_empty() => {
            let start: String = found.chars().take(20).collect();
            format!(" at line {line}, column {column}, near `{start}`")
        }
        (_, Some("")) => " at its end".to_owned(),
        _ => String::new(),
    };
    let error = invalid("invalid_query", format!("the query is not valid{at}: {message}"));
    match place {
        Some((line, column)) => error.with_details(json!({ "line": line, "column": column })),
        None => error,
    }
}

/// Line and column of `part`, which may not lie in `query`.
fn place_of(query: &str, part: &str) -> Option<(usize, usize)> {
    let (start, end) = (query.as_ptr().addr(), query.as_ptr().addr() + query.len());
    if !(start..=end).contains(&part.as_ptr().addr()) {
        return None;
    }
    let before = &query[..span(query, part).start];
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    Some((before.matches('\n').count() + 1, before[line_start..].chars().count() + 1))
}
