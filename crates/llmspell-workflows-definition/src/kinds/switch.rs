use llmspell_workflows_basic::model::{Case, StepKind, Steps, Switch};

use super::Kind;
use crate::{
    diagnose::At,
    dialect::{CASE, Shape, field},
    print::{Yaml, YamlMap, step},
    reader::{Fields, Reader, Siblings},
    tree::{Data, Node},
};

pub(super) const SWITCH: Kind = Kind::new(
    "switch",
    "Runs the steps of the first case that matches.",
    read,
    &[
        field("cases", Shape::Cases, "The cases, each {when, steps}; the first that matches runs.").required(),
        field("default", Shape::Block, "Steps that run if no case matches, or ids of steps in the same list."),
    ],
)
.inferred_from(&["cases"]);

fn read<'n, 's>(
    reader: &mut Reader<'_>,
    _: &'static Kind,
    fields: &Fields<'n, 's>,
    siblings: &mut Siblings<'n, 's>,
    id: &str,
) -> Option<StepKind> {
    let entry = fields.get("cases")?;
    reader.mark(fields.at, "cases", entry.value.span);
    let Data::List(nodes) = &entry.value.data else {
        reader.wrong_type(fields.at, &entry.key, &entry.value, "a list of cases");
        return None;
    };
    let cases = nodes
        .iter()
        .enumerate()
        .filter_map(|(index, node)| reader.case(node, index, fields.at, siblings, id))
        .collect();
    let default = fields.get("default").map(|entry| {
        reader.mark(fields.at, "default", entry.value.span);
        reader.block(&entry.value, "default", fields.at, siblings, id)
    });
    Some(StepKind::Switch(Switch { cases, default: default.unwrap_or_default() }))
}

impl Reader<'_> {
    fn case<'n, 's>(
        &mut self,
        node: &'n Node<'s>,
        index: usize,
        at: At,
        siblings: &mut Siblings<'n, 's>,
        id: &str,
    ) -> Option<Case> {
        let fields = self.fields(node, &[CASE], &[], "a case", at)?;
        self.mark(at, format!("cases/{index}"), fields.head);
        let when = self.expression_as(&fields, "when", format!("cases/{index}/when"));
        let steps = match fields.get("steps") {
            Some(entry) => self.block(&entry.value, &format!("case[{index}]"), at, siblings, id),
            None => Steps::new(),
        };
        Some(Case { when: when?, steps })
    }
}

pub(super) fn print(block: &Switch, out: &mut YamlMap) {
    let case = |case: &Case| {
        let mut out = YamlMap::default();
        out.put("when", &case.when);
        out.put("steps", step::list(&case.steps));
        out.into()
    };
    out.put("cases", Yaml::List(block.cases.iter().map(case).collect()));
    if !block.default.is_empty() {
        out.put("default", step::list(&block.default));
    }
}
