//! Interceptors can read a call's details and change the call.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use llmspell_workflows_basic::{
    Finished, Run, WorkflowInput,
    engine::{Call, Happening, Interceptor, Next, Outcome, Position},
    model::*,
};
use serde_json::{Value, json};

use crate::support::{Lab, echo, fail, put};

/// An interceptor that changes the call of each leaf.
struct Alter<F>(F);

#[async_trait]
impl<F: Fn(Call) -> Call + Send + Sync> Interceptor for Alter<F> {
    fn applies(&self, step: &Step) -> bool {
        step.kind.is_leaf()
    }

    async fn intercept(&self, call: Call, next: Next) -> Outcome {
        next.run((self.0)(call)).await
    }
}

async fn altered(step: Step, alter: impl Fn(Call) -> Call + Send + Sync + 'static) -> Finished {
    let engine = Lab::new().engine().secrets([("KEY".to_owned(), "s3cret".to_owned())]);
    let mut definition = Definition::sequence("altered", [step]);
    definition.secrets = vec!["KEY".to_owned()];
    let engine = engine.interceptor(Position::Hooks, Alter(alter)).build();
    engine.run(definition, WorkflowInput::default()).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn interceptors_see_masks_and_unchanged_masks_become_secrets_again() {
    let shown: Arc<Mutex<Vec<Value>>> = Arc::default();
    let seen = shown.clone();
    let step = Step::function("a", "length", json!({"key": "{{ secrets.KEY }}", "list": ["{{ secrets.KEY }}", 1]}));
    let mut lab = Lab::new();
    lab.register("length", |context| async move {
        assert_eq!(*context.input(), json!({"key": "s3cret", "list": ["s3cret", 2], "more": "***"}));
        Ok(json!("as expected").into())
    });
    let alter = Alter(move |call: Call| {
        let mut input = call.shown_input().unwrap().unwrap();
        seen.lock().unwrap().push((*input).clone());
        let changed = Arc::make_mut(&mut input);
        (changed["list"][1], changed["more"]) = (json!(2), json!("***"));
        call.with_shown_input(input).unwrap()
    });
    let engine = lab.engine().secrets([("KEY".to_owned(), "s3cret".to_owned())]);
    let engine = engine.interceptor(Position::Hooks, alter).build();
    let mut definition = Definition::sequence("altered", [step]);
    definition.secrets = vec!["KEY".to_owned()];
    let finished = engine.run(definition, WorkflowInput::default()).await.unwrap();
    assert_eq!((&*finished.output, &finished.error), (&json!("as expected"), &None));
    assert_eq!(*shown.lock().unwrap(), [json!({"key": "***", "list": ["***", 1]})]);
}

#[tokio::test(start_paused = true)]
async fn interceptors_can_replace_the_activity() {
    let other = |call: Call| call.with_activity(ActivityName::new("function", "echo")).unwrap();
    assert_eq!(*altered(fail("a"), other).await.output, json!({}));
    let none = |call: Call| {
        let error = call.clone().with_activity(ActivityName::new("function", "nobody")).unwrap_err();
        assert_eq!(error.code, "unknown_activity");
        call
    };
    assert_eq!(*altered(echo("a", json!(1)), none).await.output, json!(1));
}

#[tokio::test(start_paused = true)]
async fn interceptors_can_replace_the_state() {
    let step = echo("a", json!("{{ state.n }}"));
    let alter = |call: Call| {
        let mut state = call.state().clone();
        state.set("n", json!(7)).unwrap();
        call.with_state(state)
    };
    let sets = put("before", "n", json!(1));
    assert_eq!(*altered(Step::sequence("s", [sets, step]), alter).await.output, json!(7));
}

/// Logs each step's role, each ended block's children, and the run's events.
#[derive(Clone, Default)]
struct EventLog(Arc<Mutex<Vec<String>>>);

impl EventLog {
    fn note(&self, text: String) {
        self.0.lock().unwrap().push(text);
    }
}

#[async_trait]
impl Interceptor for EventLog {
    async fn intercept(&self, call: Call, next: Next) -> Outcome {
        self.note(format!("{} {:?}", call.path(), call.role()));
        let outcome = next.run(call.clone()).await;
        if !call.step().kind.is_leaf() {
            let inside: Vec<_> = call.children().iter().map(|record| record.path.to_string()).collect();
            self.note(format!("{} holds {}", call.path(), inside.join(" ")));
        }
        outcome
    }

    fn observe(&self, _: &Run, happening: Happening<'_>) {
        match happening {
            Happening::Warns(warning) => self.note(format!("warns {}", warning.code)),
            Happening::Begins => self.note("begins".into()),
            Happening::Ends(outcome) => self.note(format!("ends {}", outcome.is_final())),
            _ => {}
        }
    }
}

#[tokio::test(start_paused = true)]
async fn interceptors_see_roles_children_and_run_events() {
    let look = EventLog::default();
    let engine = Lab::new().engine().interceptor(Position::Journal, look.clone()).build();
    let retried = Step::sequence("again", [fail("f")]).with_retry(Retry::attempts(2));
    let steps = [
        Loop::items(json!([1, 2]), [echo("i", json!(1))]).into_step("each"),
        Parallel::new([echo("x", json!(1))]).into_step("both"),
        Conditional::new("'a' * 2", [echo("t", json!(1))], [echo("e", json!(1))]).into_step("if"),
        retried.with_on_error(OnError::Continue),
    ];
    engine.run(Definition::sequence("looked", steps), WorkflowInput::default()).await.unwrap();
    let expected = [
        "begins",
        "/main Root",
        "/main/each Member",
        "/main/each[0] Iteration",
        "/main/each[0]/i Member",
        "/main/each[0] holds /main/each[0]/i",
        "/main/each[1] Iteration",
        "/main/each[1]/i Member",
        "/main/each[1] holds /main/each[1]/i",
        "/main/each holds /main/each[0] /main/each[1]",
        "/main/both Member",
        "/main/both/x Branch",
        "/main/both holds /main/both/x",
        "/main/if Member",
        "warns condition_unevaluable",
        "/main/if/else Block",
        "/main/if/else/e Member",
        "/main/if/else holds /main/if/else/e",
        "/main/if holds /main/if/else",
        "/main/again Member",
        "/main/again/f Member",
        "/main/again~2/f Member",
        "/main/again holds /main/again~2/f",
        "/main holds /main/each /main/both /main/if /main/again",
        "ends true",
    ];
    assert_eq!(*look.0.lock().unwrap(), expected);
}

#[tokio::test(start_paused = true)]
async fn interceptors_can_run_a_step_again_as_its_next_generation() {
    struct Twice;
    #[async_trait]
    impl Interceptor for Twice {
        fn applies(&self, step: &Step) -> bool {
            step.id == "a"
        }

        async fn intercept(&self, call: Call, next: Next) -> Outcome {
            next.clone().run(call.clone()).await;
            next.run(call.enter_again(7).await.unwrap()).await
        }
    }
    let lab = Lab::new();
    let engine = lab.engine().interceptor(Position::Hooks, Twice).build();
    engine.run(Definition::sequence("twice", [echo("a", json!(1))]), WorkflowInput::default()).await.unwrap();
    assert_eq!(lab.started(), ["/main/a#1", "/main/a~2#1"]);
}
