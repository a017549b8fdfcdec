//! Steps that run branches at the same time.

use std::sync::Arc;

use llmspell_workflows_basic::model::{
    Aggregation, Branch, ErrorMode, OnConflict, Parallel, ParallelOutput, Step, StepKind,
};

use super::{
    Fields, Reader,
    lists::{Item, RouteSettings, Scope},
    steps::Read,
};
use crate::{
    diagnose::At,
    dialect::{CUSTOM_NAME, MEMBER},
    tree::{Data, Entry, Node, Span},
};

const ERROR_MODES: &[(&str, ErrorMode)] =
    &[("fail_slow", ErrorMode::FailSlow), ("fail_fast", ErrorMode::FailFast), ("best_effort", ErrorMode::BestEffort)];

impl Reader<'_> {
    pub(super) fn parallel(&mut self, fields: &Fields<'_, '_>) -> Option<StepKind> {
        let entry = fields.get("steps")?;
        self.mark(fields.at, "branches", entry.value.span);
        let branches = match &entry.value.data {
            Data::List(nodes) => self.members(nodes, fields.at),
            Data::Map(entries) => self.branches(entries, fields.at),
            _ => {
                self.wrong_type(
                    fields.at,
                    &entry.key,
                    &entry.value,
                    "a list of steps, or a mapping of names to branches",
                );
                return None;
            }
        };
        let outputs = [("values", ParallelOutput::Values), ("by_branch", ParallelOutput::ByBranch)];
        let output = self.word(fields, "output", &outputs).unwrap_or_default();
        let aggregation = self.parallel_aggregation(fields);
        Some(self.joined(fields, branches, aggregation, output))
    }

    pub(super) fn fork_join(&mut self, fields: &Fields<'_, '_>) -> Option<StepKind> {
        let entry = fields.get("branches")?;
        self.mark(fields.at, "branches", entry.value.span);
        let Data::Map(entries) = &entry.value.data else {
            self.wrong_type(fields.at, &entry.key, &entry.value, "a mapping of names to branches");
            return None;
        };
        let branches = self.branches(entries, fields.at);
        let aggregation = self.join_policy(fields);
        Some(self.joined(fields, branches, aggregation, ParallelOutput::ByBranch))
    }

    fn joined(
        &mut self,
        fields: &Fields<'_, '_>,
        branches: Vec<Branch>,
        aggregation: Aggregation,
        output: ParallelOutput,
    ) -> StepKind {
        StepKind::Parallel(Parallel {
            branches,
            max_parallelism: self.count(fields, "max_parallelism", 1),
            error_mode: self.word(fields, "error_mode", ERROR_MODES).unwrap_or_default(),
            aggregation,
            output,
            on_conflict: self.on_conflict(fields),
            branch_timeout: self.delay(fields, "branch_timeout"),
        })
    }

    /// Branches that are steps.
    fn members(&mut self, nodes: &[Node<'_>], at: At) -> Vec<Branch> {
        let parent = self.positions.path(at).to_owned();
        let items: Vec<_> = nodes.iter().map(|node| Item { key: None, node }).collect();
        let mut scope = Scope::new(items.clone());
        let mut branches = Vec::with_capacity(items.len());
        for item in items {
            let Some(read) = self.step(item, &parent, at, MEMBER, &mut scope) else { continue };
            branches.push(self.branch(read, item.node.span));
        }
        branches
    }

    fn branch(&mut self, read: Read, span: Span) -> Branch {
        if read.names_next {
            let message = "a branch does not go on to another step; all of them run at the same time";
            self.error("conflicting_fields", read.at, span, message).help("leave `next_step` out");
        }
        Branch { step: Arc::new(read.step), required: read.required }
    }

    /// Branches by name, each `{steps, timeout}`, a list of steps, or one step.
    fn branches(&mut self, entries: &[Entry<'_>], at: At) -> Vec<Branch> {
        let parent = self.positions.path(at).to_owned();
        let mut branches = Vec::with_capacity(entries.len());
        for entry in entries {
            if let Data::List(_) = entry.value.data {
                let id = self.checked_id(&entry.key, at, entry.key_span);
                let branch_at = self.positions.enter(format!("{parent}/{id}"), entry.key_span);
                self.mark(branch_at, "id", entry.key_span);
                let body = self.body(&entry.value, branch_at, RouteSettings::default());
                branches.push(Branch { step: Arc::new(Step::new(id, body)), required: false });
                continue;
            }
            let item = Item { key: Some((&entry.key, entry.key_span)), node: &entry.value };
            let read = self.step(item, &parent, at, MEMBER, &mut Scope::new(Vec::new()));
            branches.extend(read.map(|read| self.branch(read, entry.key_span)));
        }
        branches
    }

    fn parallel_aggregation(&mut self, fields: &Fields<'_, '_>) -> Aggregation {
        let aggregation = fields.get("aggregation").map(|entry| {
            self.mark(fields.at, "aggregation", entry.value.span);
            self.aggregation(entry, fields.at).unwrap_or_default()
        });
        let waits_for_any = self.word(fields, "wait_for", &[("all", false), ("any", true)]);
        let Some(waits_for_any) = waits_for_any else { return aggregation.unwrap_or_default() };
        let is_first = aggregation == Some(Aggregation::First);
        if aggregation.is_some() && waits_for_any != is_first {
            let span = fields.get("wait_for").map_or(fields.head, |entry| entry.value.span);
            self.error("conflicting_fields", fields.at, span, "`wait_for` and `aggregation` contradict each other")
                .help("`wait_for: any` is `aggregation: first`; keep one of the two");
        }
        aggregation.unwrap_or(if waits_for_any { Aggregation::First } else { Aggregation::All })
    }

    fn aggregation(&mut self, entry: &Entry<'_>, at: At) -> Option<Aggregation> {
        if let Data::Map(_) = entry.value.data {
            return self.custom_name(entry, at).map(Aggregation::Custom);
        }
        let text = self.text_of(at, &entry.key, &entry.value)?;
        Some(match text.as_str() {
            "all" => Aggregation::All,
            "first" => Aggregation::First,
            "majority" => Aggregation::Majority,
            "weighted" => {
                self.unsupported(at, entry.value.span, "weighted", "weighted aggregation");
                return None;
            }
            "partial" => {
                self.error("bad_value", at, entry.value.span, "`partial` lacks how many must succeed")
                    .help("write `partial:2`");
                return None;
            }
            _ => match text.strip_prefix("partial:") {
                None => Aggregation::Custom(text),
                Some(count) => match count.trim().parse() {
                    Ok(count) if count > 0 => Aggregation::AtLeast(count),
                    _ => {
                        let message = format!("`{count}` is not a number of branches");
                        self.error("bad_value", at, entry.value.span, message).help("write `partial:2`");
                        return None;
                    }
                },
            },
        })
    }

    fn custom_name(&mut self, entry: &Entry<'_>, at: At) -> Option<String> {
        let fields = self.fields(&entry.value, &[CUSTOM_NAME], &[], format!("`{}`", entry.key), at)?;
        self.text_of(at, "custom", &fields.get("custom")?.value)
    }

    fn join_policy(&mut self, fields: &Fields<'_, '_>) -> Aggregation {
        let n: Option<u32> = self.count(fields, "n_required", 1);
        let policies = [("all", "all"), ("any", "any"), ("majority", "majority"), ("n_of_m", "n_of_m")];
        let policy = self.word(fields, "join_policy", &policies).unwrap_or("all");
        self.mark_as(fields, "join_policy", "aggregation");
        match (policy, fields.get("n_required")) {
            ("n_of_m", None) => {
                self.error("missing_field", fields.at, fields.head, "`join_policy: n_of_m` lacks `n_required`")
                    .help("add `n_required`, how many branches must succeed");
            }
            ("n_of_m", Some(_)) => {}
            (_, Some(entry)) => {
                self.error(
                    "conflicting_fields",
                    fields.at,
                    entry.key_span,
                    "`n_required` belongs to `join_policy: n_of_m`",
                );
            }
            _ => {}
        }
        match policy {
            "any" => Aggregation::First,
            "majority" => Aggregation::Majority,
            "n_of_m" => Aggregation::AtLeast(n.unwrap_or(1)),
            _ => Aggregation::All,
        }
    }

    fn on_conflict(&mut self, fields: &Fields<'_, '_>) -> OnConflict {
        let Some(entry) = fields.get("on_conflict") else { return OnConflict::default() };
        self.mark(fields.at, "on_conflict", entry.value.span);
        if let Data::Map(_) = entry.value.data {
            return self.custom_name(entry, fields.at).map(OnConflict::Custom).unwrap_or_default();
        }
        match self.text_of(fields.at, &entry.key, &entry.value).as_deref() {
            None | Some("error") => OnConflict::Error,
            Some("first") => OnConflict::First,
            Some("last") => OnConflict::Last,
            Some("merge") => OnConflict::Merge,
            Some(name) => OnConflict::Custom(name.to_owned()),
        }
    }
}
