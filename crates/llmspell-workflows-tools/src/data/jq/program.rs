use jaq_core::compile::Compiler;
use jaq_core::load::parse::Def;
use jaq_core::load::{Arena, Error as LoadError, File, Loader, parse};
use jaq_core::{Ctx, Filter, Lut, Vars, unwrap_valr};
use serde_json::{Value, json};

use super::guard;
use super::meter::{Meter, Metered};
use super::value::{from_json, to_json};
use crate::ToolError;
use crate::data::support::invalid;

/// The name under which the query itself is defined; no query can contain it.
const MAIN: &str = "spellflow::main";

/// A compiled query.
pub(super) struct Program {
    filter: Filter<Metered>,
}

impl Program {
    /// Parses and compiles; errors name the place and what is unknown.
    pub(super) fn compile(query: &str) -> Result<Self, ToolError> {
        let arena = Arena::default();
        let file = File { code: query, path: () };
        // The loader gives the errors, the parser the tree that can be guarded.
        Loader::new(std::iter::empty::<Def<&str>>())
            .load(&arena, file)
            .map_err(|errors| load_error(query, &errors[0].1))?;
        let term = parse(query, |parser| parser.term()).ok_or_else(|| {
            invalid("invalid_query", "the query is no single jq filter; modules are not available")
        })?;
        let main = Def { name: MAIN, args: Vec::new(), body: term };
        let definitions = guard::definitions()
            .chain(std::iter::once(main))
            .map(guard::definition);
        let call = File { code: ".", path: () };
        todo!()
    }
}
