use llmspell_workflows_basic::model::{Route, StepKind};

use super::{Kind, STEPS};
use crate::{
    dialect::{COUNT_MAX, Shape, field},
    print::{Yaml, YamlMap, step},
    reader::{Fields, Reader, RouteSettings, Siblings},
};

pub(super) const ROUTE: Kind = Kind::new(
    "route",
    "Runs steps in the order given by their `next_step`, which may go backward.",
    read,
    &[
        STEPS,
        field("start_step", Shape::Text, "The first step; by default the first step in the list.")
            .or(&["start", "initial_step"]),
        field("max_transitions", Shape::Count(1, COUNT_MAX), "The maximum number of transitions between steps.")
            .or(&["transitions_max"]),
    ],
)
.inferred_from(&["start_step", "initial_step"]);

fn read(
    reader: &mut Reader<'_>,
    _: &'static Kind,
    fields: &Fields<'_, '_>,
    _: &mut Siblings<'_, '_>,
    _: &str,
) -> Option<StepKind> {
    let start = reader.text(fields, "start_step");
    reader.mark_as(fields, "start_step", "start");
    let transitions_max = reader.count(fields, "max_transitions", 1);
    reader.mark_as(fields, "max_transitions", "transitions_max");
    reader.block_body(fields, RouteSettings { start, transitions_max, is_route: true })
}

pub(super) fn print(route: &Route, out: &mut YamlMap) {
    out.put("start_step", &route.start);
    out.put_some("max_transitions", route.transitions_max.map(|count| Yaml::Value(count.into())));
    out.put("steps", step::route_list(&route.steps));
}
