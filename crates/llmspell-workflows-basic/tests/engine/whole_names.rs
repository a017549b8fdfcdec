//! References without a value and loops over non-list values are reported before a run starts.

use llmspell_workflows_basic::{
    Engine, Problem, Severity, StepError,
    activity::{Activities, Activity, ActivityContext, ActivityOutput, Shape},
    model::{Definition, InputSpec, InputType, Loop, LoopSource, Step},
};
use serde_json::{Map, json};

fn set(id: &str, value: &str) -> Step {
    Step::set(id, Map::from_iter([("f".to_owned(), json!(value))]))
}

/// Returns the errors of `definition`.
fn errors(engine: &Engine, definition: Definition) -> Vec<Problem> {
    let problems = engine.validate(definition);
    problems.into_iter().filter(|problem| problem.severity == Severity::Error).collect()
}

fn named(steps: impl IntoIterator<Item = Step>) -> Definition {
    Definition {
        env: vec!["HOME".to_owned()],
        secrets: vec!["KEY".to_owned()],
        conditions: [("is_big".to_owned(), "n > 3".to_owned())].into_iter().collect(),
        variables: [("count".to_owned(), json!(3)), ("files".to_owned(), json!(["a"]))].into_iter().collect(),
        ..Definition::sequence("w", steps)
    }
}

/// Names such as `steps` and `run` have no value without a key.
#[test]
fn names_without_a_value_need_a_key() {
    let engine = Engine::builder().build();
    for (text, help) in [
        ("{{ steps }}", Some("steps.first.output")),
        ("{{ json(steps) }}", Some("steps.first.output")),
        ("{{ steps[0] }}", Some("steps.first.output")),
        ("{{ step }}", Some("step.started_at")),
        ("{{ context }}", Some("context.state")),
        ("{{ workflow }}", Some("workflow.input")),
        ("{{ run }}", Some("run.id")),
        ("{{ conditions }}", Some("conditions.is_big")),
        ("{{ env }}", Some("env.HOME")),
        ("{{ secrets }}", Some("secrets.KEY")),
        ("{{ state }}", None),
        ("{{ variables }}", None),
        ("{{ input }}", None),
        ("{{ task }}", None),
        ("{{ first }}", None),
        ("{{ steps.first }}", None),
        ("{{ steps[n].output }}", None),
        ("{{ env[n] }}", None),
        ("{{ run.id }} {{ workflow.name }} {{ env.HOME }}", None),
    ] {
        let found = errors(&engine, named([set("first", "x"), set("second", text)]));
        let helps: Vec<&str> = found.iter().filter_map(|problem| problem.help.as_deref()).collect();
        match help {
            None => assert!(found.is_empty(), "{text}: {found:?}"),
            Some(help) => {
                assert_eq!(helps, [format!("use one of its fields, such as `{help}`")], "{text}");
                assert_eq!(found[0].code, "unknown_reference");
                assert_eq!(found[0].place.path, "/main/second", "{text}");
            }
        }
    }
}

/// An activity that outputs a table with rows, as the tools do.
struct Table;

#[async_trait::async_trait]
impl Activity for Table {
    fn output(&self) -> Shape {
        let lists = [("columns", Shape::List(Box::default()))];
        Shape::object(
            [("rows", Shape::Scalar), ("name", Shape::Scalar), ("about", Shape::flat(["size"]))]
                .into_iter()
                .chain(lists),
        )
    }

    async fn perform(&self, _: ActivityContext) -> Result<ActivityOutput, StepError> {
        Ok(json!(null).into())
    }
}

#[test]
fn loops_over_values_that_cannot_be_lists_are_errors() {
    let mut activities = Activities::new();
    activities.register("function", "table", Table);
    let engine = Engine::builder().activities(activities).build();
    let table = || Step::function("table", "table", json!(null));
    for (items, expected) in [
        (json!("{{ table.rows }}"), Some("lists in the same object: `table.columns`")),
        (json!("{{ steps.table.output.rows }}"), Some("lists in the same object: `steps.table.output.columns`")),
        (json!("{{ table.output.name }}"), Some("lists in the same object: `table.output.columns`")),
        (json!("{{ table }}"), Some("values(table)")),
        (json!("{{ table.about }}"), Some("values(table.about)")),
        (json!("{{ steps.table }}"), Some("values(steps.table)")),
        (json!("{{ steps.table.status }}"), Some("range")),
        (json!("{{ table.columns.length }}"), Some("range: {start: 0, end: \"{{ table.columns.length }}\"}")),
        (json!("{{ run.id }}"), Some("range")),
        (json!("{{ env.HOME }}"), Some("range")),
        (json!("{{ secrets.KEY }}"), Some("range")),
        (json!("{{ is_big }}"), Some("range")),
        (json!("{{ conditions.is_big }}"), Some("range")),
        (json!("{{ count }}"), Some("range")),
        (json!("{{ variables.count }}"), Some("range")),
        (json!("{{ word }}"), Some("range")),
        (json!("{{ input.word }}"), Some("lists in the same object: `input.list`")),
        (json!("{{ thing }}"), Some("values(thing)")),
        (json!("{{ input.thing }}"), Some("values(input.thing)")),
        (json!("{{ 5 }}"), Some("range")),
        (json!("{{ {a: 1} }}"), Some("values")),
        (json!("{{ count + 1 }}"), Some("range")),
        (json!("{{ count > 1 }}"), Some("range")),
        (json!("{{ !count }}"), Some("range")),
        (json!("all"), Some("write a list")),
        (json!("{{ files }}, {{ files }}"), Some("write a list")),
        (json!("{{ table.columns }}"), None),
        (json!("{{ table.rows ?? [] }}"), None),
        (json!("{{ files }}"), None),
        (json!("{{ list }}"), None),
        (json!("{{ input.list[0] }}"), None),
        (json!("{{ [1, 2] }}"), None),
        (json!("{{ values(thing) }}"), None),
        (json!("{{ state.found }}"), None),
        (json!(["{{ count }}"]), None),
    ] {
        let body = Loop::new(LoopSource::Items(items.clone()), [set("inner", "x")]).into_step("each");
        let spec = |kind| InputSpec { kind: Some(kind), ..InputSpec::default() };
        let inputs = [
            ("word", InputType::String),
            ("list", InputType::Array),
            ("thing", InputType::Object),
            ("n", InputType::Integer),
        ];
        let inputs = inputs.into_iter().map(|(name, kind)| (name.to_owned(), spec(kind))).collect();
        let found = errors(&engine, Definition { inputs, ..named([table(), body]) });
        match expected {
            None => assert!(found.is_empty(), "{items}: {found:?}"),
            Some(help) => {
                assert_eq!(found.len(), 1, "{items}: {found:?}");
                assert_eq!((found[0].code, &*found[0].place.path), ("not_a_collection", "/main/each"), "{items}");
                assert!(found[0].help.as_ref().is_some_and(|found| found.contains(help)), "{items}: {:?}", found[0]);
            }
        }
    }
}

#[test]
fn items_of_nested_loops_are_checked_against_the_outer_loop() {
    let engine = Engine::builder().build();
    for (items, is_valid) in
        [("{{ loop.item }}", true), ("{{ loop.item.parts }}", true), ("{{ loop.index }}", false), ("{{ loop }}", false)]
    {
        let inner = Loop::new(LoopSource::Items(json!(items)), [set("a", "x")]).into_step("inner");
        let outer = Loop::new(LoopSource::Items(json!([[1], [2]])), [inner]).into_step("outer");
        let found = errors(&engine, Definition::sequence("w", [outer]));
        assert_eq!(found.is_empty(), is_valid, "{items}: {found:?}");
    }
}

/// Every name that a variable may refer to has a value when the variables are computed, and the others are errors.
#[tokio::test]
async fn variables_can_read_every_name_that_is_known_before_the_first_step() {
    let engine = Engine::builder().env([("HOME".to_owned(), "/root".to_owned())]).build();
    let with = |text: &str| {
        let mut definition = named([set("first", "{{ v }}")]);
        definition.version = "2".to_owned();
        definition.context.insert("region".to_owned(), json!("eu"));
        definition.variables.insert("v".to_owned(), json!(text));
        definition
    };
    let input = || llmspell_workflows_basic::WorkflowInput::new(json!({"n": 7}));
    for (text, value) in [
        ("{{ input.n }}", Some("7")),
        ("{{ n }}", Some("7")),
        ("{{ workflow.name }}-{{ workflow.version }}", Some("w-2")),
        ("{{ workflow.input.n }}", Some("7")),
        ("{{ context.region }}", Some("eu")),
        ("{{ env.HOME }}", Some("/root")),
        ("{{ variables.count }}{{ count }}", Some("33")),
        ("{{ run.id | length }}", Some("36")),
        ("{{ run.started_at.length > 10 }}", Some("true")),
        ("{{ conditions.is_big }}", None),
        ("{{ is_big }}", None),
        ("{{ secrets.KEY }}", None),
        ("{{ state.x }}", None),
        ("{{ context.state.x }}", None),
        ("{{ steps.first.output }}", None),
        ("{{ step.started_at }}", None),
    ] {
        let found = errors(&engine, with(text));
        assert_eq!(found.is_empty(), value.is_some(), "{text}: {found:?}");
        let Some(value) = value else {
            assert!(found[0].message.contains("is not available in `variables`"), "{text}: {found:?}");
            continue;
        };
        let plan = engine.prepare(with(text)).unwrap();
        let finished = engine.run_plan(&plan, input()).await.unwrap();
        let shown = finished.output["f"].as_str().map_or_else(|| finished.output["f"].to_string(), str::to_owned);
        assert_eq!((finished.error, &*shown), (None, value), "{text}");
    }
}
