use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;

use super::group::Grouping;
use super::mapping::Mapping;
use super::reshape::{self, ITEMS_MAX, Join, Sort, SortedRow, Unique};
use super::{Condition, Item, Operation, Parameters};
use crate::ToolError;
use crate::data::condition::{Match, Test};
use crate::data::path::FieldPath;
use crate::data::row_files::{Files, Held, RowOutput, RowWriter};
use crate::data::support::{invalid, objects, require, too_large};

/// An operation that processes one item at a time.
pub(super) enum Stage {
    Map(Mapping),
    Filter { tests: Vec<(FieldPath, Test)>, matching: Match },
    Select(Vec<FieldPath>),
    Rename(Map<String, Value>),
    Flatten(String),
    Unique(Unique),
    Join(Join),
    Sort(Sort),
    Group(Grouping),
}

impl Stage {
    /// Creates the operation, and checks its parameters.
    pub(super) fn new(parameters: Parameters, files: &Files<'_>, token: &CancellationToken) -> Result<Self, ToolError> {
        let fields = |operation: &str| paths(require(parameters.fields.as_deref(), "fields", operation)?);
        let held = |operation| Held::new(operation, files.policy());
        Ok(match parameters.operation {
            Operation::Map => {
                let mapping = require(parameters.mapping, "mapping", "map")?;
                Self::Map(Mapping::new(mapping, parameters.constants.unwrap_or_default())?)
            }
            Operation::Filter => {
                let conditions = require(parameters.conditions, "conditions", "filter")?;
                let test = |condition: Condition| Ok((reshape::path(&condition.field)?, test(condition)?));
                let tests = conditions.into_iter().map(test).collect::<Result<_, ToolError>>()?;
                Self::Filter { tests, matching: parameters.r#match }
            }
            Operation::Select => Self::Select(fields("select")?),
            Operation::Rename => Self::Rename(require(parameters.mapping, "mapping", "rename")?),
            Operation::Flatten => Self::Flatten(parameters.separator.unwrap_or_else(|| ".".to_owned())),
            Operation::Sort => Self::Sort(Sort::new(require(parameters.by, "by", "sort")?, held("sort"))?),
            Operation::GroupBy => {
                let aggregates = parameters.aggregates.unwrap_or_default();
                Self::Group(Grouping::new(fields("group_by")?, aggregates, held("group_by"))?)
            }
            Operation::Unique => {
                let fields = paths(parameters.fields.as_deref().unwrap_or_default())?;
                Self::Unique(Unique::new(fields, held("unique")))
            }
            Operation::Join => {
                let on = require(parameters.on, "on", "join")?;
                let mut join = Join::new(on, parameters.kind, parameters.prefix.unwrap_or_default())?;
                add_right_side(&mut join, parameters.with, files, token)?;
                Self::Join(join)
            }
        })
    }

    /// Processes an item; `text` is its JSON text if the item comes from a file.
    pub(super) fn take(
        &mut self,
        item: Item,
        index: usize,
        text: Option<&[u8]>,
        output: &mut Output,
    ) -> Result<(), ToolError> {
        match self {
            Self::Map(mapping) => output.keep(mapping.apply(&item, index)?),
            Self::Select(fields) => output.keep(reshape::select(&item, fields)?),
            Self::Rename(names) => output.keep(reshape::rename(item, index, names)?),
            Self::Flatten(separator) => output.keep(reshape::flatten(item, index, separator)?),
            Self::Filter { tests, matching } => {
                let passes = matching.combine(tests.iter().map(|(path, test)| test.passes(path.get_in(&item))));
                output.keep_if(passes, item, text)
            }
            Self::Unique(unique) => {
                let is_new = unique.is_new(&item)?;
                output.keep_if(is_new, item, text)
            }
            Self::Join(join) => join.take(item, |joined| {
                output.keep(joined)?;
                if output.kept <= ITEMS_MAX || output.rows.is_file() {
                    return Ok(());
                }
                let message = format!("the join produces more than {ITEMS_MAX} items");
                Err(too_large("too_many_items", message).with_help("write them to `output_path`"))
            }),
            Self::Sort(sort) => sort.add(item, text),
            Self::Group(grouping) => grouping.add(&item),
        }
    }

    /// Passes the items that the operation still holds to `output`.
    pub(super) fn finish(self, output: &mut Output) -> Result<(), ToolError> {
        match self {
            Self::Sort(sort) => sort.into_sorted().into_iter().try_for_each(|row| match row {
                SortedRow::Item(item) => output.keep(item),
                SortedRow::Text { text, .. } => output.keep_text(&text),
            }),
            Self::Group(grouping) => grouping.finish(|group| output.keep(group)),
            _ => Ok(()),
        }
    }
}

/// The items kept by an operation, and the items dropped by it.
pub(super) struct Output {
    rows: RowOutput,
    kept: usize,
    dropped: Option<RowWriter>,
}

impl Output {
    /// Starts the files named by the call.
    pub(super) fn create(files: &Files<'_>) -> Result<Self, ToolError> {
        Ok(Self { rows: RowOutput::create(files)?, kept: 0, dropped: RowWriter::create(files, "dropped_path")? })
    }

    fn keep(&mut self, item: Item) -> Result<(), ToolError> {
        self.kept += 1;
        self.rows.add(Value::Object(item))
    }

    fn keep_text(&mut self, text: &[u8]) -> Result<(), ToolError> {
        self.kept += 1;
        self.rows.add_text(text)
    }

    /// Keeps or drops an unchanged item; `text` is its JSON text if the item comes from a file.
    fn keep_if(&mut self, is_kept: bool, item: Item, text: Option<&[u8]>) -> Result<(), ToolError> {
        match (is_kept, text, &mut self.dropped) {
            (true, Some(text), _) if self.rows.is_file() => self.keep_text(text),
            (true, ..) => self.keep(item),
            (false, Some(text), Some(dropped)) => dropped.write_text(text),
            (false, None, Some(dropped)) => dropped.write(&item),
            (false, _, None) => Ok(()),
        }
    }

    /// Completes the files, and returns the result of the call without `items_in`.
    pub(super) fn finish(self, token: &CancellationToken) -> Result<Value, ToolError> {
        let mut result = self.rows.finish("result", token)?;
        result["items_out"] = json!(self.kept);
        if let Some(dropped) = self.dropped {
            dropped.finish(token)?.add_to(&mut result, "dropped_path", Some("dropped"));
        }
        Ok(result)
    }
}

fn add_right_side(
    join: &mut Join,
    with: Option<Value>,
    files: &Files<'_>,
    token: &CancellationToken,
) -> Result<(), ToolError> {
    match (with, files.rows("with_path", token)?) {
        (Some(with), None) => objects(with, "with")?.0.into_iter().for_each(|item| join.add_right(item)),
        (None, Some(mut source)) => {
            let mut held = Held::new("join", files.policy());
            while let Some(item) = source.next_object()? {
                held.add(source.text().len())?;
                join.add_right(item);
            }
        }
        _ => return Err(invalid("missing_parameter", "`join` requires the parameter `with` or `with_path`")),
    }
    Ok(())
}

fn test(condition: Condition) -> Result<Test, ToolError> {
    Test::new(condition.op, condition.value)
        .map_err(|why| invalid("invalid_condition", format!("invalid condition on `{}`: {why}", condition.field)))
}

fn paths(fields: &[String]) -> Result<Vec<FieldPath>, ToolError> {
    fields.iter().map(|field| reshape::path(field)).collect()
}
