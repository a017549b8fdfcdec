//! Hooks that change runs without changing their workflow.
//!
//! ```console
//! $ cargo run --example hooks
//! ```
//!
//! A workflow answers a customer and sends a refund. Four hooks intercept its steps: they remove
//! personal data before a model sees it, redirect to a cheaper model when the good model's quota is
//! exhausted, sign replies, and leave large refunds to people.

use std::{error::Error, sync::Arc};

use llmspell_workflows::{
    Engine, StepError, WorkflowInput,
    activity::{Activities, function},
    advanced::{EnhancedExecutionContext, EnhancedWorkflow},
    hooks::{
        HookContext, Registration, Selector,
        answer::{After, Before, OnError},
        hook_fn,
        point::{AfterStep, BeforeStep, BeforeToolExecution, ToolError},
    },
    model::{ActivityName, Definition, Step},
};
use serde_json::{Value, json};

/// The workflow, which does not know about hooks.
fn support() -> Definition {
    Definition::sequence(
        "support",
        [
            Step::tool("reply", "good_model", json!({"prompt": "Answer: {{ message }}"})),
            Step::tool("refund", "payments", json!({"amount": "{{ amount }}"})),
        ],
    )
}

/// The workflow's tools; the better model always fails because its quota is exhausted.
fn activities() -> Activities {
    let mut activities = Activities::new();
    let good = function(|_| async move { Err::<Value, _>(StepError::transient("quota", "the quota is exhausted")) });
    activities.register("tool", "good_model", good);
    let cheap = function(|call| async move { Ok(json!(format!("You wrote: {}", text(&call.input()["prompt"])))) });
    activities.register("tool", "cheap_model", cheap);
    activities.register("tool", "payments", function(|call| async move { Ok(call.input()["amount"].clone()) }));
    activities
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Replaces every word that looks like an e-mail address before a tool is called.
fn private() -> Registration {
    let hook = hook_fn(|context: HookContext| async move {
        let Some(input) = context.input()? else { return Ok(Before::Continue) };
        let Some(prompt) = input["prompt"].as_str() else { return Ok(Before::Continue) };
        let words: Vec<_> = prompt.split(' ').map(|word| if word.contains('@') { "[e-mail]" } else { word }).collect();
        Ok(Before::ModifyInput(json!({"prompt": words.join(" ")})))
    });
    // Required: if the hook does not answer, the tool is not called.
    Registration::new("private").at(BeforeToolExecution, hook).required()
}

/// Redirects to the cheap model when the good model's quota is exhausted.
fn fallback() -> Registration {
    let hook = hook_fn(|context: HookContext| async move {
        Ok(match context.error() {
            Some(error) if error.code == "quota" => OnError::Redirect(ActivityName::new("tool", "cheap_model")),
            _ => OnError::Continue,
        })
    });
    Registration::new("fallback").at(ToolError, hook)
}

/// Signs every reply.
fn signature() -> Registration {
    let hook = hook_fn(|context: HookContext| async move {
        let reply = context.output().map(text).unwrap_or_default();
        Ok(After::ModifyOutput(json!(format!("{reply} -- The Support Team"))))
    });
    Registration::new("signature").at(AfterStep, hook).select(Selector::all().id("reply"))
}

/// Skips refunds that a person must approve.
fn four_eyes() -> Registration {
    let hook = hook_fn(|context: HookContext| async move {
        let amount = context.input()?.and_then(|input| input["amount"].as_f64()).unwrap_or_default();
        Ok(if amount > 100.0 {
            Before::Skip(format!("a refund of {amount} needs human approval"))
        } else {
            Before::Continue
        })
    });
    Registration::new("four-eyes").at(BeforeStep, hook).select(Selector::all().id("refund"))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let context = EnhancedExecutionContext::in_memory()
        .with_engine(Engine::builder().activities(activities()).build())
        .with_hooks(|hooks| hooks.register(private()).register(fallback()).register(signature()).register(four_eyes()));
    for amount in [20, 500] {
        let input = json!({"message": "I am ada@example.com and want my money back", "amount": amount});
        let workflow = Arc::new(EnhancedWorkflow::define(support()));
        let output = context.execute(workflow, WorkflowInput::new(input)).await?.basic_output;
        for id in ["reply", "refund"] {
            let Some(step) = output.step(id) else { continue };
            match &step.skip_reason {
                Some(reason) => println!("{id} was skipped: {}", reason.message),
                None => println!("{id}: {}", step.output.as_deref().unwrap_or(&Value::Null)),
            }
        }
    }
    Ok(())
}
