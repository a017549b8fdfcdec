use llmspell_workflows_basic::{
    Engine, Problem, Severity,
    model::{Definition, StepKind},
};

/// Problems that depend on the host, such as its activities. A run is checked for these problems
/// when it resumes.
const OF_THE_HOST: &[&str] = &[
    "invalid_compensation",
    // Workflows inside a definition are checked separately.
    "invalid_sub_workflow",
    "no_schema_check",
    "unknown_activity",
    "unknown_function",
    "unknown_limit",
    "unknown_tool",
    "unknown_workflow",
    "unknown_workflow_version",
];

/// Checks a definition under an engine's default limits, without a host's activities and workflows.
///
/// # Errors
/// Returns the first problem that would prevent the definition from running under any host.
pub fn check_definition(definition: &Definition) -> Result<(), String> {
    // A definition does not contain the steps of a workflow written in code.
    if matches!(&definition.body, StepKind::Sequence(steps) if steps.is_empty()) {
        return Ok(());
    }
    let problems = Engine::builder().build().validate(definition.clone());
    let is_fatal = |problem: &&Problem| problem.severity == Severity::Error && !OF_THE_HOST.contains(&problem.code);
    match problems.iter().find(is_fatal) {
        Some(problem) => Err(format!("{} [{}]", problem.message, problem.code)),
        None => definition.workflows.values().try_for_each(|inner| check_definition(inner)),
    }
}
