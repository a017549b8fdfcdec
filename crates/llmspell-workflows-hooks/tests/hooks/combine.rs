//! How the answers of several hooks become one.

use llmspell_workflows_basic::model::Definition;
use llmspell_workflows_hooks::{
    Combine, HookContext, HookDispatcher, Priority, Registration,
    answer::{After, Before},
    hook_fn,
    point::{AfterStep, BeforeStep},
};
use serde_json::{Value, json};

use crate::support::{Lab, echo, fixed, output};

/// A hook that adds its letter to the output.
fn adds(letter: &'static str) -> Registration {
    let hook = hook_fn(move |context: HookContext| async move {
        let text = context.output().and_then(Value::as_str).unwrap_or_default().to_owned();
        Ok(After::ModifyOutput(json!(text + letter)))
    });
    Registration::new(letter).at(AfterStep, hook)
}

fn says(answer: &Before) -> Registration {
    fixed(BeforeStep, answer.clone())
}

async fn given(combine: Combine, hooks: impl IntoIterator<Item = Registration>) -> Value {
    let builder = HookDispatcher::builder().combine(BeforeStep, combine).combine(AfterStep, combine);
    let builder = hooks.into_iter().fold(builder, |builder, hook| builder.register(hook));
    output(&Lab::new().run(Definition::sequence("test", [echo("a", json!(""))]), builder).await)
}

#[tokio::test(start_paused = true)]
async fn in_sequence_by_priority_each_sees_what_was_modified() {
    let hooks = [
        adds("e").priority(Priority::LOWEST),
        adds("d").priority(Priority::LOW),
        adds("c"),
        adds("a").priority(Priority::HIGHEST),
        adds("b").priority(Priority::HIGH),
    ];
    assert_eq!(given(Combine::Sequence, hooks).await, "abcde");
    let ends = fixed(AfterStep, After::Replace(json!("end"))).priority(Priority::HIGH);
    assert_eq!(given(Combine::Sequence, [adds("x"), ends]).await, "end");
}

#[tokio::test(start_paused = true)]
async fn at_once_the_highest_priority_that_says_something_stands() {
    let hooks =
        [adds("b"), adds("a").priority(Priority::HIGH), fixed(AfterStep, After::Continue).priority(Priority::HIGHEST)];
    assert_eq!(given(Combine::Parallel, hooks).await, "a");
}

#[tokio::test(start_paused = true)]
async fn by_vote_more_than_half_are_needed() {
    let [one, two] = [1, 2].map(|number| Before::Replace(json!(number)));
    let on = Before::Continue;
    for (votes, stands) in [
        (vec![&one, &one, &two], json!(1)),
        (vec![&two, &one, &two], json!(2)),
        (vec![&one, &two], json!("")),
        (vec![&one, &on, &on], json!("")),
        (vec![&one, &two, &on], json!("")),
        (vec![&one, &one, &on, &on], json!("")),
    ] {
        assert_eq!(given(Combine::Vote, votes.into_iter().map(says)).await, stands);
    }
}
