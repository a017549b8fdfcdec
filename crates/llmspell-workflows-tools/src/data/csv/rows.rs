use csv::StringRecord;
use llmspell_workflows_basic::nearest;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::cell;
use super::source::Rows;
use crate::ToolError;
use crate::data::condition::{Match, Operator, Test};
use crate::data::support::{TEXT_BYTES_MAX, invalid, some_value, too_large};

/// A condition on a column, as given in the parameters.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Condition {
    column: String,
    op: Operator,
    #[serde(default, deserialize_with = "some_value")]
    value: Option<Value>,
}

/// Returns the first `rows_max` matching rows, and counts all matching rows.
pub(super) fn filter(
    rows: &mut Rows<'_>,
    conditions: Vec<Condition>,
    matching: Match,
    rows_max: usize,
    infer: bool,
) -> Result<Value, ToolError> {
    let columns = rows.columns().to_vec();
    let tests = conditions.into_iter().map(|condition| test(&columns, condition)).collect::<Result<Vec<_>, _>>()?;
    let (mut items, mut matched) = (Vec::new(), 0);
    let mut budget = Budget::default();
    while let Some(row) = rows.next()? {
        let passes = |(at, op, test): &(usize, Operator, Test)| cell::passes(&row[*at], *op, test);
        if matching.combine(tests.iter().map(passes)) {
            matched += 1;
            if items.len() < rows_max {
                budget.spend(row.as_slice().len() + row.len())?;
                items.push(object(&columns, row, infer));
            }
        }
    }
    let truncated = items.len() < matched;
    Ok(json!({ "rows": rows.count(), "matched": matched, "items": items, "truncated": truncated }))
}

/// Returns `n` random rows in their original order. The same rows and seed yield the same sample.
///
/// This is reservoir sampling: a single pass in which every row is equally likely.
pub(super) fn sample(rows: &mut Rows<'_>, n: usize, seed: u64, infer: bool) -> Result<Value, ToolError> {
    let columns = rows.columns().to_vec();
    let mut random = Random(seed);
    let mut kept: Vec<(usize, StringRecord)> = Vec::new();
    let mut count = 0;
    while let Some(row) = rows.next()? {
        count += 1;
        if kept.len() < n {
            kept.push((count, row.clone()));
        } else {
            let slot = random.below(count);
            if slot < n {
                kept[slot] = (count, row.clone());
            }
        }
    }
    kept.sort_by_key(|(number, _)| *number);
    let items: Vec<Value> = kept.iter().map(|(_, row)| object(&columns, row, infer)).collect();
    Ok(json!({ "rows": count, "items": items, "seed": seed }))
}

fn test(columns: &[String], condition: Condition) -> Result<(usize, Operator, Test), ToolError> {
    let name = condition.column;
    let at = columns.iter().position(|column| *column == name).ok_or_else(|| {
        let error = invalid("unknown_column", format!("unknown column `{name}`"));
        match nearest(&name, columns.iter().map(String::as_str)) {
            Some(near) => error.with_help(format!("did you mean `{near}`?")),
            None => error.with_help(format!("the columns are `{}`", columns.join("`, `"))),
        }
    })?;
    let test = Test::new(condition.op, condition.value)
        .map_err(|why| invalid("invalid_condition", format!("invalid condition on `{name}`: {why}")))?;
    Ok((at, condition.op, test))
}

pub(super) fn object(columns: &[String], row: &StringRecord, infer: bool) -> Value {
    let cells = columns.iter().zip(row).map(|(column, cell)| (column.clone(), cell::to_value(cell, infer)));
    Value::Object(cells.collect::<Map<_, _>>())
}

/// Counts the bytes of a result against the size limit.
#[derive(Default)]
pub(super) struct Budget(usize);

impl Budget {
    /// Counts `bytes`; fails if the result becomes too large.
    pub(super) fn spend(&mut self, bytes: usize) -> Result<(), ToolError> {
        self.0 += bytes;
        if self.0 <= TEXT_BYTES_MAX {
            return Ok(());
        }
        Err(too_large("output_too_large", format!("the result is larger than {TEXT_BYTES_MAX} bytes"))
            .with_help("filter the rows first, or write them to `options.output_path`"))
    }
}

/// SplitMix64 (Steele, Lea and Flood 2014): small, fast and reproducible on every platform, which suffices for
/// sampling.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Returns a number below `bound`; the bias is below 2^-40 for every table that fits into memory.
    fn below(&mut self, bound: usize) -> usize {
        let wide = u128::from(self.next()) * bound as u128;
        usize::try_from(wide >> 64).expect("the result is below `bound`")
    }
}
