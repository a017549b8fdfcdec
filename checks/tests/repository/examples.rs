//! The examples are valid definitions, and the gallery links to all of them.

use std::{path::Path, sync::Arc};

use llmspell_workflows_basic::{
    Engine,
    model::{Definition, Step, StepKind},
};
use llmspell_workflows_definition::{StepTypes, check, read, to_yaml};
use llmspell_workflows_tools::{JsonSchemas, Policy, Tools, activities, registry};

use crate::support::{assert_none, files, root, text};

/// Returns an engine like the command line's, with all tools and permission to run any program.
fn engine() -> Engine {
    let mut policy = Policy::default();
    policy.working_directory = Some(root());
    policy.programs = vec!["*".to_owned()];
    let policy = Arc::new(policy);
    let activities = activities(Tools::new(Arc::new(registry(policy.clone()).unwrap())), policy).unwrap();
    Engine::builder().activities(activities).schemas(JsonSchemas::new()).build()
}

/// Returns the example workflows without their tests (`NAME.test.yaml`), which are run by the
/// command line's tests.
fn examples() -> Vec<String> {
    files("examples", ".yaml").into_iter().filter(|path| !path.ends_with(".test.yaml")).collect()
}

/// Embeds the definition files that the steps of `definition` name; `path` is the file that contains `definition`.
fn with_sub_workflows(definition: &Definition, path: &str) -> Definition {
    let mut complete = definition.clone();
    let folder = Path::new(path).parent().unwrap();
    let root = Step::new("main", definition.body.clone());
    let mut left = vec![&root];
    while let Some(step) = left.pop() {
        if let StepKind::Workflow(sub) = &step.kind {
            let file = folder.join(&sub.workflow).display().to_string();
            let inner =
                read(&text(&file), &file, &StepTypes::new()).unwrap_or_else(|diagnostics| panic!("{diagnostics}"));
            complete.workflows.insert(sub.workflow.clone(), Arc::new(inner.definition));
        }
        left.extend(step.children());
    }
    complete
}

#[test]
fn every_example_is_valid_and_round_trips() {
    let (engine, types) = (engine(), StepTypes::new());
    let examples = examples();
    assert!(!examples.is_empty());
    for path in examples {
        let text = text(&path);
        let document = check(&text, &path, &types, |definition| engine.validate(with_sub_workflows(definition, &path)))
            .unwrap_or_else(|diagnostics| panic!("{diagnostics}"));
        assert!(document.diagnostics().list().is_empty(), "{}", document.diagnostics());
        let printed = to_yaml(&document.definition);
        let again = read(&printed, &path, &types).unwrap_or_else(|diagnostics| panic!("{diagnostics}\n{printed}"));
        assert_eq!(again.definition, document.definition, "{path}");
    }
}

#[test]
fn every_example_is_in_the_gallery() {
    let gallery = text("examples/README.md");
    let missing =
        examples().into_iter().filter(|path| !gallery.contains(&format!("]({})", &path["examples/".len()..])));
    assert_none(&missing.collect::<Vec<_>>(), "examples missing from the gallery");
}
