//! Determines, before a JSON Schema is compiled or applied, how much work it can cause.

mod build;
mod size;

use std::collections::HashMap;

use serde_json::Value;

use self::build::Builder;
use self::size::check_size;
use super::support::{invalid, too_large};
use crate::ToolError;

/// The maximum number of subschemas in a schema after each reference is replaced by its target.
const SCHEMA_EXPANDED_MAX: u64 = 100_000;

/// The maximum length of a chain of subschemas, each of which leads to the next.
const SCHEMA_CHAIN_MAX: usize = 150;

/// The maximum number of nested subschemas that a recursive schema may apply to a value and its
/// parts.
const SCHEMA_CALLS_MAX: usize = 600;

/// The maximum number of times the subschemas of a recursive schema are applied to a value and its
/// parts.
const SCHEMA_WORK_MAX: u64 = 2_000_000;

/// A schema's subschemas, and the parts of a value to which each subschema applies.
#[derive(Debug)]
pub(super) struct SchemaGraph {
    nodes: Vec<Node>,
    /// For each subschema, all subschemas that it applies to the same value, with their counts.
    closures: Vec<Closure>,
    is_recursive: bool,
}

/// A subschema and all subschemas that it applies to the same value.
#[derive(Debug, Clone, Default)]
struct Closure {
    /// The number of times that each subschema is applied.
    applied: HashMap<usize, u64>,
    /// The length of the longest chain of these subschemas.
    chain: usize,
}

/// A subschema.
#[derive(Debug, Default)]
struct Node {
    /// Subschemas for the same value.
    same: Vec<usize>,
    /// Subschemas for each part of the value.
    any: Vec<usize>,
    /// Subschemas for the field with this name.
    fields: HashMap<String, Vec<usize>>,
    /// Subschemas for the item at this position.
    items: HashMap<usize, Vec<usize>>,
}

impl SchemaGraph {
    /// Examines `schema`; fails if it is too large, refers to itself endlessly, or refers to
    /// another document.
    pub(super) fn new(schema: &Value) -> Result<Self, ToolError> {
        check_size(schema)?;
        let nodes = Builder::nodes(schema)?;
        let mut walk = Walk::new(&nodes);
        let expanded = walk.expanded(0, 1);
        if walk.is_too_long {
            return Err(too_complex(format!(
                "the subschemas of `schema` form a chain of more than {SCHEMA_CHAIN_MAX}, the limit `SCHEMA_CHAIN_MAX`"
            )));
        }
        if expanded > SCHEMA_EXPANDED_MAX {
            return Err(too_complex(format!(
                "with its references expanded, `schema` has more than {SCHEMA_EXPANDED_MAX} subschemas, the limit `SCHEMA_EXPANDED_MAX`"
            )));
        }
        let is_recursive = walk.is_recursive;
        let closures = if is_recursive { closures(&nodes)? } else { Vec::new() };
        Ok(Self { nodes, closures, is_recursive })
    }

    /// Fails if the schema is recursive and applying it to `value` would take too much work.
    pub(super) fn check_work(&self, value: &Value) -> Result<(), ToolError> {
        if !self.is_recursive {
            return Ok(());
        }
        let mut work = 0;
        match self.add_work(value, &HashMap::from([(0, 1)]), 0, &mut work) {
            Ok(()) => Ok(()),
            Err(Exceeded::Work) => Err(too_complex(format!(
                "checking the value would apply subschemas more than {SCHEMA_WORK_MAX} times, the limit `SCHEMA_WORK_MAX`"
            ))),
            Err(Exceeded::Calls) => Err(too_complex(format!(
                "checking the value would apply more than {SCHEMA_CALLS_MAX} nested subschemas, the limit `SCHEMA_CALLS_MAX`"
            ))),
        }
    }

    /// Adds the work of applying the subschemas in `applied` to `value` and its parts.
    ///
    /// `applied` says how often each subschema is applied. `calls` is the number of subschemas
    /// being applied to the values that contain `value`.
    fn add_work(
        &self,
        value: &Value,
        applied: &HashMap<usize, u64>,
        calls: usize,
        work: &mut u64,
    ) -> Result<(), Exceeded> {
        let mut here: HashMap<usize, u64> = HashMap::new();
        let calls = calls + applied.keys().map(|node| self.closures[*node].chain).max().unwrap_or(0);
        if calls > SCHEMA_CALLS_MAX {
            return Err(Exceeded::Calls);
        }
        for (node, times) in applied {
            for (inner, count) in &self.closures[*node].applied {
                // Following an entry is work too, even if many entries lead to the same subschema.
                *work = work.saturating_add(times.saturating_mul(*count)).saturating_add(1);
                let entry = here.entry(*inner).or_default();
                *entry = entry.saturating_add(times.saturating_mul(*count));
            }
        }
        if *work > SCHEMA_WORK_MAX {
            return Err(Exceeded::Work);
        }
        let mut part = |value: &Value, field: Option<&str>, position: usize| {
            let mut next: HashMap<usize, u64> = HashMap::new();
            for (node, times) in &here {
                let node = &self.nodes[*node];
                let named = field.map_or_else(|| node.items.get(&position), |name| node.fields.get(name));
                for inner in node.any.iter().chain(named.into_iter().flatten()) {
                    let entry = next.entry(*inner).or_default();
                    *entry = entry.saturating_add(*times);
                }
            }
            if next.is_empty() { Ok(()) } else { self.add_work(value, &next, calls, work) }
        };
        match value {
            Value::Array(items) => items.iter().enumerate().try_for_each(|(position, item)| part(item, None, position)),
            Value::Object(fields) => fields.iter().try_for_each(|(name, field)| part(field, Some(name), 0)),
            _ => Ok(()),
        }
    }
}

/// The limit exceeded by applying a schema.
enum Exceeded {
    Work,
    Calls,
}

struct Walk<'n> {
    nodes: &'n [Node],
    expanded: Vec<Option<u64>>,
    is_open: Vec<bool>,
    is_recursive: bool,
    is_too_long: bool,
}

impl<'n> Walk<'n> {
    fn new(nodes: &'n [Node]) -> Self {
        let count = nodes.len();
        Self {
            nodes,
            expanded: vec![None; count],
            is_open: vec![false; count],
            is_recursive: false,
            is_too_long: false,
        }
    }

    /// Returns the number of subschemas in a node after each reference is replaced by its target; a
    /// recursive reference is replaced once.
    ///
    /// `chain` is the number of subschemas that lead to this one, including this one.
    fn expanded(&mut self, number: usize, chain: usize) -> u64 {
        self.is_too_long |= chain > SCHEMA_CHAIN_MAX;
        if self.is_too_long {
            return 1;
        }
        if self.is_open[number] {
            self.is_recursive = true;
            return 1;
        }
        if let Some(known) = self.expanded[number] {
            return known;
        }
        self.is_open[number] = true;
        let nodes = self.nodes;
        let node = &nodes[number];
        let below = node
            .same
            .iter()
            .chain(&node.any)
            .chain(node.fields.values().flatten())
            .chain(node.items.values().flatten());
        let total = below.fold(1_u64, |total, inner| total.saturating_add(self.expanded(*inner, chain + 1)));
        self.is_open[number] = false;
        self.expanded[number] = Some(total);
        total
    }
}

/// Returns each node's closure; fails if a node applies itself to the same value.
fn closures(nodes: &[Node]) -> Result<Vec<Closure>, ToolError> {
    let mut closing =
        Closing { nodes, closures: vec![None; nodes.len()], is_open: vec![false; nodes.len()], entries: 0 };
    (0..nodes.len()).try_for_each(|number| closing.close(number))?;
    Ok(closing.closures.into_iter().map(Option::unwrap_or_default).collect())
}

struct Closing<'n> {
    nodes: &'n [Node],
    closures: Vec<Option<Closure>>,
    is_open: Vec<bool>,
    /// The total number of entries in all closures.
    entries: u64,
}

impl Closing<'_> {
    fn close(&mut self, number: usize) -> Result<(), ToolError> {
        if self.closures[number].is_some() {
            return Ok(());
        }
        if self.is_open[number] {
            return Err(invalid(
                "invalid_schema",
                "`schema` refers to itself for the same value, so checking it never ends",
            ));
        }
        self.is_open[number] = true;
        let mut own = Closure { applied: HashMap::from([(number, 1)]), chain: 1 };
        let nodes = self.nodes;
        for inner in &nodes[number].same {
            self.close(*inner)?;
            let Some(closure) = &self.closures[*inner] else { continue };
            own.chain = own.chain.max(closure.chain + 1);
            for (node, count) in &closure.applied {
                let entry = own.applied.entry(*node).or_default();
                *entry = entry.saturating_add(*count);
            }
        }
        self.entries += own.applied.len() as u64;
        if self.entries > SCHEMA_WORK_MAX {
            return Err(too_complex(format!(
                "too many subschemas of `schema` apply to the same value: the limit `SCHEMA_WORK_MAX` is {SCHEMA_WORK_MAX}"
            )));
        }
        self.is_open[number] = false;
        self.closures[number] = Some(own);
        Ok(())
    }
}

fn too_complex(message: String) -> ToolError {
    too_large("schema_too_complex", message).with_help("split the schema, or check parts of the value separately")
}
