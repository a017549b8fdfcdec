//! Tests how the answers of several hooks are combined.

use llmspell_workflows_basic::model::Definition;
use llmspell_workflows_hooks::{
    Combine, HookContext, HookDispatcher, Priority, Registration,
    answer::{After, Before},
    hook_fn,
    point::{AfterStep, BeforeStep},
};
use serde_json::{Value, json};

use crate::support::{Lab, echo, fixed, output};

/// Creates a hook that appends `letter` to the output.
fn append(letter: &'static str) -> Registration {
    let hook = hook_fn(move |context: HookContext| async move {
        let text = context.output().and_then(Value::as_str).unwrap_or_default().to_owned();
        Ok(After::ModifyOutput(json!(text + letter)))
    });
    Registration::new(letter).at(AfterStep, hook)
}

fn answering(answer: &Before) -> Registration {
    fixed(BeforeStep, answer.clone())
}

async fn run_with(combine: Combine, hooks: impl IntoIterator<Item = Registration>) -> Value {
    let builder = HookDispatcher::builder().combine(BeforeStep, combine).combine(AfterStep, combine);
    let builder = hooks.into_iter().fold(builder, |builder, hook| builder.register(hook));
    output(&Lab::new().run(Definition::sequence("test", [echo("a", json!(""))]), builder).await)
}

#[tokio::test(start_paused = true)]
async fn sequential_hooks_see_the_modifications_of_hooks_with_higher_priority() {
    let hooks = [
        append("e").priority(Priority::LOWEST),
        append("d").priority(Priority::LOW),
        append("c"),
        append("a").priority(Priority::HIGHEST),
        append("b").priority(Priority::HIGH),
    ];
    assert_eq!(run_with(Combine::Sequence, hooks).await, "abcde");
    let replace = fixed(AfterStep, After::Replace(json!("end"))).priority(Priority::HIGH);
    assert_eq!(run_with(Combine::Sequence, [append("x"), replace]).await, "end");
}

#[tokio::test(start_paused = true)]
async fn the_highest_priority_answer_wins_among_parallel_hooks() {
    let hooks = [
        append("b"),
        append("a").priority(Priority::HIGH),
        fixed(AfterStep, After::Continue).priority(Priority::HIGHEST),
    ];
    assert_eq!(run_with(Combine::Parallel, hooks).await, "a");
}

#[tokio::test(start_paused = true)]
async fn vote_needs_more_than_half_of_all_hooks() {
    let [one, two] = [1, 2].map(|number| Before::Replace(json!(number)));
    let continues = Before::Continue;
    for (votes, expected) in [
        (vec![&one, &one, &two], json!(1)),
        (vec![&two, &one, &two], json!(2)),
        (vec![&one, &two], json!("")),
        (vec![&one, &continues, &continues], json!("")),
        (vec![&one, &two, &continues], json!("")),
        (vec![&one, &one, &continues, &continues], json!("")),
    ] {
        assert_eq!(run_with(Combine::Vote, votes.into_iter().map(answering)).await, expected);
    }
}
