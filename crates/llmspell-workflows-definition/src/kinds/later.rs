//! Step types of the specification that this version does not support, and what to use instead.

use super::Kind;

pub(super) const APPROVAL: Kind = Kind::later("approval", "use a `wait_for_event` step");
pub(super) const EMIT: Kind = Kind::later("emit", "remove it");
pub(super) const STATE_MACHINE: Kind =
    Kind::later("state_machine", "use a `route` step").or(&["state-machine"]).inferred_from(&["states"]);
pub(super) const STREAM: Kind = Kind::later("stream", "remove it");
