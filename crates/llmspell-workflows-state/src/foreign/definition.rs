use llmspell_workflows_basic::{
    Engine, Problem, Severity,
    model::{Definition, StepKind},
};

/// Problems that depend on what the host provides, such as its activities. A run is checked for them when it resumes.
const OF_THE_HOST: &[&str] = &[
    "invalid_compensation",
    // The workflows inside a definition are checked by themselves.
    "invalid_sub_workflow",
    "no_schema_check",
    "unknown_activity",
    "unknown_function",
    "unknown_limit",
    "unknown_tool",
    "unknown_workflow",
    "unknown_workflow_version",
];

/// Checks a definition under the default limits of an engine, without the activities and workflows of a host.
///
/// # Errors
/// Returns the first problem because of which the definition could not run under any host.
pub fn check_definition(definition: &Definition) -> Result<(), String> {
    // The steps of a workflow written in code are not part of its definition.
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
