//! A run with secrets in its data has the same result after a crash at any boundary, and records no
//! secrets.

use std::sync::Arc;

use llmspell_workflows_basic::{
    StepError,
    activity::ActivityContext,
    model::{Definition, Loop, Step},
};
use llmspell_workflows_state::{Journal, MemoryJournal};
use llmspell_workflows_testing::crash::CrashTest;
use serde_json::{Value, json};

const KEY: &str = "k3y/with 'quotes'\nand-a-second-line";

/// Fails if the step is given a mask instead of a secret.
fn whole(context: &ActivityContext) -> Result<(), StepError> {
    let text = context.input().to_string();
    if text.contains("***") { Err(StepError::validation("masked", "the input is masked")) } else { Ok(()) }
}

/// Passes a secret through outputs of all sizes, field names, the state, a growing list, items and
/// blocks.
fn test() -> CrashTest {
    let object = |value: Value| value.as_object().unwrap().clone();
    let login = json!({"token": "{{ secrets.KEY }}", "long": format!("{} {{{{ secrets.KEY }}}}", "x".repeat(70))});
    let steps = [
        Step::function("login", "login", login),
        Step::set("keep", object(json!({"t": "{{ login.token }}", "all": ["{{ login.token }}"]}))),
        Loop::items(
            "{{ [state.t, 'plain'] }}",
            [
                Step::set("add", object(json!({"all": "{{ state.all.concat([loop.item]) }}"}))),
                Step::function("use", "use", json!({"given": "{{ loop.item }}", "and": "{{ login.token }}"})),
            ],
        )
        .into_step("each"),
        Step::sequence(
            "block",
            [
                Step::function("pay", "use", json!({"given": "{{ login.long }}"})).with_compensation(Step::function(
                    "undo",
                    "use",
                    json!({"input": "{{ input.given }}", "output": "{{ output.got }}"}),
                )),
                Step::function("last", "fails", json!({"given": "{{ login.fields[secrets.KEY] }} {{ state.all }}"})),
            ],
        ),
    ];
    let mut definition = Definition::sequence("secrets", steps);
    definition.secrets = vec!["KEY".to_owned()];
    CrashTest::new(definition, json!({}))
        .activity("function", "login", |context| async move {
            whole(&context)?;
            let mut output = context.input().clone();
            output["fields"] = json!({KEY: 7, "other": KEY});
            Ok(output.into())
        })
        .activity("function", "use", |context| async move {
            whole(&context)?;
            Ok(json!({"got": context.input()}).into())
        })
        .activity("function", "fails", |context| async move {
            whole(&context)?;
            let expected = format!("7 {}", json!([KEY, KEY, "plain"]));
            assert_eq!(context.input()["given"], expected, "the data is not whole");
            Err(StepError::validation("the_end", format!("failed with {KEY}")))
        })
        .engine(|engine| engine.secrets([("KEY".to_owned(), KEY.to_owned())]))
}

#[test]
fn run_with_secrets_has_the_same_result_after_a_crash_at_any_boundary() {
    let report = test().crash_everywhere().unwrap_or_else(|difference| panic!("{difference}"));
    assert!(report.crashes > 60, "{report:?}");
}

#[tokio::test]
async fn records_of_a_run_contain_no_secrets() {
    let journal: Arc<dyn Journal> = Arc::new(MemoryJournal::new());
    let shared = journal.clone();
    let finished = tokio::task::spawn_blocking(move || test().run_on(&shared)).await.unwrap().unwrap();
    assert_eq!(finished.error.as_ref().map(|error| error.code.as_ref()), Some("the_end"), "{:?}", finished.error);
    let records = journal.open(finished.run_id).await.unwrap().records;
    assert!(records.len() > 20, "{}", records.len());
    let text = records.iter().map(|record| json!(record).to_string()).collect::<String>() + &format!("{finished:?}");
    for part in ["k3y/with", "k3y\\/with", "and-a-second-line", "quotes"] {
        assert!(!text.contains(part), "{part}: {text}");
    }
    assert!(text.contains("***"));
}
