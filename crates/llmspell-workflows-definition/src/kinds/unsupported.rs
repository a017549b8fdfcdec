//! Step types of the specification that this version does not support, and their alternatives.

use super::Kind;

pub(super) const APPROVAL: Kind = Kind::unsupported("approval", "use a `wait_for_event` step instead");
pub(super) const EMIT: Kind = Kind::unsupported("emit", "remove it");
pub(super) const STATE_MACHINE: Kind =
    Kind::unsupported("state_machine", "use a `route` step instead").or(&["state-machine"]).inferred_from(&["states"]);
pub(super) const STREAM: Kind = Kind::unsupported("stream", "remove it");
