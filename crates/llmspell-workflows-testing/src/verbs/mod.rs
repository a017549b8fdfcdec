//! Crashes the verbs that change runs at every boundary, and checks that no crash harms a run.
mod cast;
mod climb;
mod folder;
mod gate;
mod home;
mod journal;
mod lab;
mod ladder;
mod ledger;
mod model;
#[cfg(test)]
mod planted;
mod process;
mod sequence;
mod situation;
mod stage;
mod stores;
mod test;
mod verb;
mod view;

pub use crate::crash::Difference;
pub use test::{VerbReport, VerbTest};
