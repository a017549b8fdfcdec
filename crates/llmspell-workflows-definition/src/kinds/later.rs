//! Step types of the specification that this version does not have: they are refused by name.

use super::Kind;

pub(super) const APPROVAL: Kind = Kind::later("approval", "approvals");
pub(super) const EMIT: Kind = Kind::later("emit", "emitting events");
pub(super) const STATE_MACHINE: Kind =
    Kind::later("state_machine", "state machines").or(&["state-machine"]).told_by(&["states"]);
pub(super) const STREAM: Kind = Kind::later("stream", "streams");
