//! A journal that is an interceptor like any other resumes every pattern after a crash at every boundary.

use llmspell_workflows_testing::patterns;

use crate::support::crash_everywhere;

#[test]
fn each_pattern_resumes_after_a_crash_at_every_boundary() {
    for definition in patterns::all() {
        crash_everywhere(&definition.name.clone(), &definition);
    }
}

#[test]
fn all_patterns_nested_in_each_other_resume() {
    crash_everywhere("nested", &patterns::nested());
}
