//! Every pattern resumes after a crash at any boundary, even if the journal is just an ordinary interceptor.

use llmspell_workflows_testing::patterns;

use crate::support::crash_everywhere;

#[test]
fn every_pattern_resumes_after_a_crash_at_every_boundary() {
    for definition in patterns::all() {
        crash_everywhere(&definition.name.clone(), &definition);
    }
}

#[test]
fn nested_patterns_resume_after_a_crash_at_every_boundary() {
    crash_everywhere("nested", &patterns::nested());
}
