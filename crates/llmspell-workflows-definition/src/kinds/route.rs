use llmspell_workflows_basic::model::{Route, StepKind};

use super::{Kind, STEPS};
use crate::{
    dialect::{COUNT_MAX, Shape, field},
    print::{Fields as Printed, Yaml, step},
    reader::{Fields, Reader, RouteSettings, Scope},
};

pub(super) const ROUTE: Kind = Kind::new("route", "Goes from step to step by their next_step, backward too.", read, &[
        STEPS,
        field("start_step", Shape::Text, "The first step; the first of the list where it is not given.").or(&["start", "initial_step"]),
        field("max_transitions", Shape::Count(1, COUNT_MAX), "How often it may go from one step to another.").or(&["transitions_max"]),
    ])
    .told_by(&["start_step", "initial_step"]);

fn read(
    reader: &mut Reader<'_>,
    _: &'static Kind,
    fields: &Fields<'_, '_>,
    _: &mut Scope<'_, '_>,
    _: &str,
) -> Option<StepKind> {
    let start = reader.text(fields, "start_step");
    reader.mark_as(fields, "start_step", "start");
    let transitions_max = reader.count(fields, "max_transitions", 1);
    reader.mark_as(fields, "max_transitions", "transitions_max");
    reader.block_body(fields, RouteSettings { start, transitions_max, is_route: true })
}

pub(super) fn print(route: &Route, out: &mut Printed) {
    out.put("start_step", &route.start);
    out.put_some("max_transitions", route.transitions_max.map(|count| Yaml::Value(count.into())));
    out.put("steps", step::route_list(&route.steps));
}
