use llmspell_workflows_basic::{
    activity::ActivityContext,
    engine::{SchemaCheck, Violation},
};
use serde_json::{Value, json};

use super::{FUNCTION, LIMIT, TOOL, from_seed, probe, settled};
use crate::crash::CrashTest;

/// A schema check that accepts everything.
struct AnySchema;

impl SchemaCheck for AnySchema {
    fn check(&self, _schema: &Value, _data: &Value) -> Result<Vec<Violation>, String> {
        Ok(Vec::new())
    }
}

/// Returns a crash test of the definition generated from `seed`; `performed` is called before each effect.
#[must_use]
pub fn crash_test(seed: u64, performed: impl Fn(&ActivityContext) + Clone + Send + Sync + 'static) -> CrashTest {
    let probe = move |context: ActivityContext| {
        performed(&context);
        async move { probe(context.input(), context.attempt()).map(Into::into) }
    };
    CrashTest::new(settled(from_seed(seed)), json!({"n": 2, "items": [1, 2]}))
        .activity("function", FUNCTION, probe.clone())
        .activity("tool", TOOL, probe)
        .engine(|builder| builder.concurrency(LIMIT, 2).schemas(AnySchema))
}
