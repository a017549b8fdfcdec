use llmspell_workflows_basic::model::{BestOf, StepKind};

use super::Kind;
use crate::{
    dialect::{Shape, field},
    print::{Fields as Printed, Yaml, step},
    reader::{Fields, Reader, Scope},
};

pub(super) const BEST_OF: Kind = Kind::new("best_of", "Runs branches at the same time and keeps the best.", read, &[
    field("branches", Shape::Steps, "The branches, each a step.").required(),
    field("score", Shape::Expression, "Gives each `output` a number; the highest wins.").required(),
    super::parallel::MAX_PARALLELISM,
])
.told_by(&["score"]);

fn read(
    reader: &mut Reader<'_>,
    _: &'static Kind,
    fields: &Fields<'_, '_>,
    _: &mut Scope<'_, '_>,
    _: &str,
) -> Option<StepKind> {
    let entry = fields.get("branches")?;
    reader.mark(fields.at, "branches", entry.value.span);
    let parent = reader.positions.path(fields.at).to_owned();
    let steps = reader.steps(&entry.value, &parent, fields.at);
    let max_parallelism = reader.count(fields, "max_parallelism", 1);
    let score = reader.expression(fields, "score")?;
    Some(StepKind::BestOf(BestOf { steps, score, max_parallelism }))
}

pub(super) fn print(block: &BestOf, out: &mut Printed) {
    out.put("score", &block.score);
    out.put_some("max_parallelism", block.max_parallelism.map(|count| Yaml::Value(count.into())));
    out.put("branches", step::list(&block.steps));
}
