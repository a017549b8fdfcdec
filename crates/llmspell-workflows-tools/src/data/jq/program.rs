use jaq_core::load::parse::Def;
use jaq_core::load::{Arena, Error as LoadError, File, Loader, parse, span};
use jaq_core::{Compiler, Ctx, Filter, Lut, Vars, compile, unwrap_valr};
use serde_json::{Value, json};

use super::meter::{Meter, MeteredData};
use super::value::{from_json, to_json};
use super::{guard, library};
use crate::ToolError;
use crate::data::support::invalid;

/// The name under which the guarded query is defined.
const MAIN: &str = "__query";

/// A compiled query.
pub(super) struct Program {
    filter: Filter<MeteredData>,
}

impl Program {
    /// Parses and compiles a query; errors name the position and the unknown filter or variable.
    pub(super) fn compile(query: &str) -> Result<Self, ToolError> {
        let arena = Arena::default();
        // The loader is called only because its errors are better; the parser's tree can be
        // guarded.
        Loader::new(std::iter::empty::<Def<&str>>())
            .load(&arena, File { code: query, path: () })
            .map_err(|errors| load_error(query, &errors[0].1))?;
        let body = parse(query, |parser| parser.term()).ok_or_else(|| {
            invalid("invalid_query", "expected a single jq filter; modules are not supported in a query")
        })?;
        let main = Def { name: MAIN, args: Vec::new(), body };
        let mut definitions = vec![main];
        // The definitions are added one by one because their lifetime is longer than the query's.
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

    /// Returns the table of terms, for the meter.
    pub(super) fn lut(&self) -> &Lut<MeteredData> {
        &self.filter.lut
    }

    /// Passes all outputs for one input to `emit`, until `emit` fails.
    pub(super) fn run<'a>(
        &'a self,
        meter: &'a Meter<'a>,
        input: Value,
        mut emit: impl FnMut(Value) -> Result<(), ToolError>,
    ) -> Result<(), ToolError> {
        let context = Ctx::<MeteredData>::new(meter, Vars::new([]));
        for output in self.filter.id.run((context, from_json(input))).map(unwrap_valr) {
            meter.output();
            match output {
                Ok(value) => emit(to_json(&value, meter)?)?,
                Err(error) => return Err(invalid("query_error", format!("the query failed: {error}"))),
            }
        }
        Ok(())
    }
}

fn load_error(query: &str, error: &LoadError<&str>) -> ToolError {
    let (message, found) = match error {
        LoadError::Io(_) => ("modules are not supported in a query".to_owned(), None),
        LoadError::Lex(errors) => match errors.first() {
            Some((expected, found)) => (format!("expected {}", expected.as_str()), Some(*found)),
            None => ("the query cannot be tokenized".to_owned(), None),
        },
        LoadError::Parse(errors) => match errors.first() {
            Some((expected, found)) => (format!("expected {}", expected.as_str()), Some(*found)),
            None => ("the query cannot be parsed".to_owned(), None),
        },
    };
    query_error(query, &message, found)
}

fn compile_error(query: &str, errors: &compile::Errors<&str, ()>) -> ToolError {
    let unknown = errors.iter().flat_map(|(_, errors)| errors).next();
    match unknown {
        Some((name, compile::Undefined::Filter(arity))) => {
            query_error(query, &format!("unknown filter `{name}/{arity}`"), Some(name))
        }
        Some((name, kind)) => query_error(query, &format!("unknown {} `{name}`", kind.as_str()), Some(name)),
        None => query_error(query, "the query cannot be compiled", None),
    }
}

/// Creates an error, with the position of `found` if `found` is a part of `query`.
fn query_error(query: &str, message: &str, found: Option<&str>) -> ToolError {
    let position = found.and_then(|found| position_of(query, found));
    let at = match (position, found) {
        (Some((line, column)), Some(found)) if !found.is_empty() => {
            let start = match found.char_indices().nth(20) {
                Some((end, _)) => format!("{}…", &found[..end]),
                None => found.to_owned(),
            };
            format!(" at line {line}, column {column}, near `{start}`")
        }
        (_, Some("")) => " at its end".to_owned(),
        _ => String::new(),
    };
    let error = invalid("invalid_query", format!("invalid query{at}: {message}"));
    match position {
        Some((line, column)) => error.with_details(json!({ "line": line, "column": column })),
        None => error,
    }
}

/// Returns the line and column of `part`, if `part` is a slice of `query`.
fn position_of(query: &str, part: &str) -> Option<(usize, usize)> {
    let (start, end) = (query.as_ptr().addr(), query.as_ptr().addr() + query.len());
    if !(start..=end).contains(&part.as_ptr().addr()) {
        return None;
    }
    let before = &query[..span(query, part).start];
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    Some((before.matches('\n').count() + 1, before[line_start..].chars().count() + 1))
}
