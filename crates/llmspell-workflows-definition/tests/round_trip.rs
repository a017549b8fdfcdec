//! Reading a printed definition gives the same definition.

use llmspell_workflows_basic::model::{Definition, Step};
use llmspell_workflows_definition::{StepTypes, read, to_yaml};
use llmspell_workflows_testing::generate;
use proptest::prelude::*;
use serde_json::json;

fn round_trip(definition: &Definition) -> Result<(), TestCaseError> {
    let text = to_yaml(definition);
    let document = read(&text, "generated.yaml", &StepTypes::new());
    let document = document.map_err(|diagnostics| TestCaseError::fail(format!("{diagnostics}\n{text}")))?;
    prop_assert_eq!(&document.definition, definition, "{}", text);
    prop_assert_eq!(to_yaml(&document.definition), text);
    Ok(())
}

proptest! {
    #[test]
    fn any_definition_round_trips_through_yaml(definition in generate::definition()) {
        round_trip(&definition)?;
    }

    #[test]
    fn any_json_parameters_round_trip_through_yaml(value in generate::json(), key in generate::text()) {
        let params = json!({ "value": value, key: value });
        round_trip(&Definition::sequence("x", [Step::tool("a", "t", params)]))?;
    }
}
