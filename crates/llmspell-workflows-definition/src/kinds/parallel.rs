use std::sync::Arc;

use llmspell_workflows_basic::model::{
    Aggregation, Branch, ErrorMode, OnConflict, Parallel, ParallelOutput, Step, StepKind,
};

use super::Kind;
use crate::{
    diagnose::At,
    dialect::{COUNT_MAX, CUSTOM_NAME, Field, MEMBER, Shape, field},
    print::{Yaml, YamlMap, step},
    reader::{Fields, ParsedStep, Reader, RouteSettings, Siblings, StepNode},
    tree::{Data, Entry, Node, Span},
};

pub(super) const PARALLEL: Kind = Kind::new("parallel", "Runs branches concurrently and joins them.", read, &[
        field("steps", Shape::Members, "The branches, each a step.").or(&["branches", "parallel_steps"]).required(),
        field("wait_for", Shape::Word(&["all", "any"]), "Whether to wait for all branches, or only for the first and cancel the rest."),
        MAX_PARALLELISM,
        ERROR_MODE,
        field("aggregation", Shape::Aggregation, "How many branches must succeed, and what the output contains: all, first, partial:N, majority, or the name of a function."),
        ON_CONFLICT,
        field("output", Shape::Word(&["values", "by_branch"]), "Whether the output is a list, or an object keyed by branch name."),
        field("branch_timeout", Shape::Delay, "The timeout for each branch."),
    ])
    .inferred_from(&["parallel_steps"]);

pub(super) const FORK_JOIN: Kind = Kind::new(
    "fork-join",
    "Runs named branches of several steps concurrently; the output is an object keyed by branch name.",
    read_fork_join,
    &[
        field("branches", Shape::Branches, "The branches by name, each {steps, timeout}.").required(),
        field("join_policy", Shape::Word(&["all", "any", "majority", "n_of_m"]), "How many branches must succeed."),
        field("n_required", Shape::Count(1, COUNT_MAX), "The number of branches that must succeed, for n_of_m."),
        MAX_PARALLELISM,
        ERROR_MODE,
        ON_CONFLICT,
        field("branch_timeout", Shape::Delay, "The timeout for each branch."),
    ],
)
.or(&["fork_join"])
.inferred_from(&["join_policy"]);

pub(super) const MAX_PARALLELISM: Field = field(
    "max_parallelism",
    Shape::Count(1, COUNT_MAX),
    "The maximum number of branches or iterations that run at once.",
)
.or(&["max_concurrency"]);
const ERROR_MODE: Field = field(
    "error_mode",
    Shape::Word(&["fail_slow", "fail_fast", "best_effort"]),
    "What happens to the other branches if one fails.",
);
pub(super) const ON_CONFLICT: Field = field(
    "on_conflict",
    Shape::OnConflict,
    "How to resolve a conflict between the state changes of two branches or iterations: error, first, last, merge, append, sum, or the name of a function.",
);

const ERROR_MODES: &[(&str, ErrorMode)] =
    &[("fail_slow", ErrorMode::FailSlow), ("fail_fast", ErrorMode::FailFast), ("best_effort", ErrorMode::BestEffort)];

fn read(
    reader: &mut Reader<'_>,
    _: &'static Kind,
    fields: &Fields<'_, '_>,
    _: &mut Siblings<'_, '_>,
    _: &str,
) -> Option<StepKind> {
    let entry = fields.get("steps")?;
    reader.mark(fields.at, "branches", entry.value.span);
    let branches = match &entry.value.data {
        Data::List(nodes) => reader.members(nodes, fields.at),
        Data::Map(entries) => reader.branches(entries, fields.at),
        _ => {
            reader.wrong_type(
                fields.at,
                &entry.key,
                &entry.value,
                "a list of steps, or a mapping of names to branches",
            );
            return None;
        }
    };
    let outputs = [("values", ParallelOutput::Values), ("by_branch", ParallelOutput::ByBranch)];
    let output = reader.word(fields, "output", &outputs).unwrap_or_default();
    let aggregation = reader.parallel_aggregation(fields);
    Some(reader.parallel(fields, branches, aggregation, output))
}

fn read_fork_join(
    reader: &mut Reader<'_>,
    _: &'static Kind,
    fields: &Fields<'_, '_>,
    _: &mut Siblings<'_, '_>,
    _: &str,
) -> Option<StepKind> {
    let entry = fields.get("branches")?;
    reader.mark(fields.at, "branches", entry.value.span);
    let Data::Map(entries) = &entry.value.data else {
        reader.wrong_type(fields.at, &entry.key, &entry.value, "a mapping of names to branches");
        return None;
    };
    let branches = reader.branches(entries, fields.at);
    let aggregation = reader.join_policy(fields);
    Some(reader.parallel(fields, branches, aggregation, ParallelOutput::ByBranch))
}

impl Reader<'_> {
    fn parallel(
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

    /// Reads branches from a list of steps.
    fn members(&mut self, nodes: &[Node<'_>], at: At) -> Vec<Branch> {
        let parent = self.positions.path(at).to_owned();
        let items: Vec<_> = nodes.iter().map(|node| StepNode { key: None, node }).collect();
        let mut siblings = Siblings::new(items.clone());
        let mut branches = Vec::with_capacity(items.len());
        for item in items {
            let Some(read) = self.step(item, &parent, at, MEMBER, &mut siblings) else { continue };
            branches.push(self.branch(read, item.node.span));
        }
        branches
    }

    fn branch(&mut self, read: ParsedStep, span: Span) -> Branch {
        if read.has_next {
            let message = "a branch cannot have `next_step`, because branches run concurrently";
            self.error("conflicting_fields", read.at, span, message).help("remove `next_step`");
        }
        Branch { step: Arc::new(read.step), required: read.required }
    }

    /// Reads named branches, each of which is `{steps, timeout}`, a list of steps, or a step.
    fn branches(&mut self, entries: &[Entry<'_>], at: At) -> Vec<Branch> {
        let parent = self.positions.path(at).to_owned();
        let mut branches = Vec::with_capacity(entries.len());
        for entry in entries {
            if let Data::List(_) = entry.value.data {
                let id = self.checked_id(&entry.key, at, entry.key_span);
                let branch_at = self.positions.enter(format!("{parent}/{id}"), entry.key_span);
                self.mark(branch_at, "id", entry.key_span);
                let body = self.body(&entry.key, &entry.value, branch_at, RouteSettings::default());
                branches.push(Branch { step: Arc::new(Step::new(id, body)), required: false });
                continue;
            }
            let item = StepNode { key: Some((&entry.key, entry.key_span)), node: &entry.value };
            let read = self.step(item, &parent, at, MEMBER, &mut Siblings::new(Vec::new()));
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
                .help("`wait_for: any` means `aggregation: first`; keep one of the two");
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
                let advice = "use `all`, `first`, `majority` or `partial:N`";
                self.unsupported(at, entry.value.span, "weighted", advice);
                return None;
            }
            "partial" => {
                self.error("bad_value", at, entry.value.span, "`partial` requires a number of branches")
                    .help("use `partial:N`, such as `partial:2`");
                return None;
            }
            _ => match text.strip_prefix("partial:") {
                None => Aggregation::Custom(text),
                Some(count) => match count.trim().parse() {
                    Ok(count) if count > 0 => Aggregation::AtLeast(count),
                    _ => {
                        let message = format!("expected a number of branches after `partial:`, got `{count}`");
                        self.error("bad_value", at, entry.value.span, message)
                            .help("use `partial:N`, such as `partial:2`");
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
                self.error("missing_field", fields.at, fields.head, "`join_policy: n_of_m` requires `n_required`")
                    .help("add `n_required`, the number of branches that must succeed");
            }
            ("n_of_m", Some(_)) => {}
            (_, Some(entry)) => {
                self.error(
                    "conflicting_fields",
                    fields.at,
                    entry.key_span,
                    "`n_required` requires `join_policy: n_of_m`",
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

    pub(super) fn on_conflict(&mut self, fields: &Fields<'_, '_>) -> OnConflict {
        let Some(entry) = fields.get("on_conflict") else { return OnConflict::default() };
        self.mark(fields.at, "on_conflict", entry.value.span);
        if let Data::Map(_) = entry.value.data {
            return self.custom_name(entry, fields.at).map(OnConflict::Custom).unwrap_or_default();
        }
        match self.text_of(fields.at, &entry.key, &entry.value).as_deref() {
            None => OnConflict::default(),
            Some(name) => match OnConflict::WORDS.into_iter().find(|(word, _)| *word == name) {
                Some((_, policy)) => policy,
                None => OnConflict::Custom(name.to_owned()),
            },
        }
    }
}

pub(super) fn print(block: &Parallel, out: &mut YamlMap) {
    out.put_some("max_parallelism", block.max_parallelism.map(|count| Yaml::Value(count.into())));
    match block.error_mode {
        ErrorMode::FailSlow => {}
        ErrorMode::FailFast => out.put("error_mode", "fail_fast"),
        ErrorMode::BestEffort => out.put("error_mode", "best_effort"),
    }
    match &block.aggregation {
        Aggregation::All => {}
        Aggregation::Custom(name) => out.put("aggregation", custom(name, AGGREGATIONS)),
        other => out.put("aggregation", other.to_string()),
    }
    if block.output == ParallelOutput::ByBranch {
        out.put("output", "by_branch");
    }
    print_on_conflict(&block.on_conflict, out);
    out.put_some("branch_timeout", block.branch_timeout.as_ref().map(ToString::to_string));
    let branch = |branch: &Branch| {
        let mut out = step::step(&branch.step, None);
        if branch.required {
            out.put("required", Yaml::Value(true.into()));
        }
        out.into()
    };
    out.put("steps", Yaml::List(block.branches.iter().map(branch).collect()));
}

const AGGREGATIONS: &[&str] = &["all", "first", "majority", "weighted", "partial"];

/// Prints a function's name, or `{custom: name}` if the name could be mistaken for one of
/// `words`.
fn custom(name: &str, words: &[&str]) -> Yaml {
    if !words.contains(&name) && !name.starts_with("partial:") {
        return name.into();
    }
    let mut out = YamlMap::default();
    out.put("custom", name);
    out.into()
}

pub(super) fn print_on_conflict(on_conflict: &OnConflict, out: &mut YamlMap) {
    let words = OnConflict::WORDS;
    match on_conflict {
        OnConflict::Error => {}
        OnConflict::Custom(name) => out.put("on_conflict", custom(name, &words.map(|(word, _)| word))),
        policy => {
            let word = words.iter().find(|(_, other)| other == policy).map(|(word, _)| Yaml::from(*word));
            out.put_some("on_conflict", word);
        }
    }
}
