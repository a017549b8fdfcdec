use serde_json::Value;

use crate::{
    engine::{Call, Outcome},
    plan::{Body, Builder, Leaf, Work},
};

/// Does nothing: a place for a condition, a dependency or a hook.
struct NoopPlan;

impl Builder<'_> {
    pub(crate) fn noop(&mut self) -> Body {
        Body::Leaf(Box::new(NoopPlan))
    }
}

impl Leaf for NoopPlan {
    fn perform(&self, _: Call) -> Work<'_> {
        Work::Done(Outcome::completed(Value::Null))
    }
}
