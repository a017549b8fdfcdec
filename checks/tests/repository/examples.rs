//! Examples are definitions that can run, and somebody is told of each.

use std::sync::Arc;

use llmspell_workflows_basic::Engine;
use llmspell_workflows_definition::{StepTypes, check, read, to_yaml};
use llmspell_workflows_tools::{JsonSchemas, Policy, Tools, activities, registry};

use crate::support::{files, none, root, text};

/// An engine as the command line has it: all tools, and any program.
fn engine() -> Engine {
    let mut policy = Policy::default();
    policy.working_directory = Some(root());
    policy.programs = vec!["*".to_owned()];
    let policy = Arc::new(policy);
    let activities = activities(Tools::new(Arc::new(registry(policy.clone()).unwrap())), policy).unwrap();
    Engine::builder().activities(activities).schemas(JsonSchemas::new()).build()
}

/// The workflows among the examples; what stands beside them as `NAME.test.yaml` are their tests, which the command
/// line runs in its own tests.
fn examples() -> Vec<String> {
    files("examples", ".yaml").into_iter().filter(|path| !path.ends_with(".test.yaml")).collect()
}

#[test]
fn every_example_is_valid_and_prints_back_equal() {
    let (engine, types) = (engine(), StepTypes::new());
    let examples = examples();
    assert!(!examples.is_empty());
    for path in examples {
        let text = text(&path);
        let document = check(&text, &path, &types, |definition| engine.validate(definition.clone()))
            .unwrap_or_else(|diagnostics| panic!("{diagnostics}"));
        assert!(document.diagnostics().list().is_empty(), "{}", document.diagnostics());
        let printed = to_yaml(&document.definition);
        let again = read(&printed, &path, &types).unwrap_or_else(|diagnostics| panic!("{diagnostics}\n{printed}"));
        assert_eq!(again.definition, document.definition, "{path}");
    }
}

#[test]
fn every_example_is_named_somewhere() {
    let pages: String = files("", ".md").iter().map(|page| text(page)).collect();
    let lost = examples().into_iter().filter(|path| !pages.contains(path.as_str()));
    none(&lost.collect::<Vec<_>>(), "examples that nobody finds");
}
