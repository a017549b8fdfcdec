use std::{collections::HashMap, sync::Arc};

use super::{Node, graph::Graph};
use crate::{
    PathLink, StepId,
    engine::{CancelReason, Failure, Outcome},
};

/// The steps of a sequence, a graph or a route.
#[derive(Debug)]
pub(crate) struct List {
    pub(crate) nodes: Vec<Arc<Node>>,
    pub(crate) graph: Option<Graph>,
    /// Whether the list cleans up: a failed step does not prevent the next step from running.
    pub(crate) cleans_up: bool,
    numbers: HashMap<StepId, usize>,
}

impl List {
    pub(crate) fn new(nodes: Vec<Arc<Node>>, graph: Option<Graph>) -> Self {
        let numbers = nodes.iter().enumerate().map(|(number, node)| (node.id.clone(), number)).collect();
        Self { nodes, graph, cleans_up: false, numbers }
    }

    /// Sets whether the list cleans up.
    pub(crate) fn cleaning_up(self, cleans_up: bool) -> Self {
        Self { cleans_up, ..self }
    }

    /// Returns the number of the step `id`.
    pub(crate) fn number(&self, id: &str) -> Option<usize> {
        self.numbers.get(id).copied()
    }

    /// Returns the number and id of each step, in definition order.
    pub(crate) fn ids(&self) -> impl Iterator<Item = (usize, &str)> {
        self.nodes.iter().map(|node| node.id.as_str()).enumerate()
    }

    /// Returns the outcome of step `number` of the list in the step at `around`. A cleanup list
    /// treats a cancelled step as failed, so that later steps still run.
    pub(crate) fn ended(&self, around: &PathLink, number: usize, outcome: Outcome) -> Outcome {
        match outcome {
            Outcome::Cancelled(cancelled) if self.cleans_up && cancelled.reason != CancelReason::Shutdown => {
                Outcome::failed(cancelled.to_error().at(around.child_text(self.nodes[number].id.as_str())))
            }
            outcome => outcome,
        }
    }

    /// Returns the failure of the list after one of its steps failed with `failure`: the first
    /// failure, with later failures attached if the list cleans up.
    pub(crate) fn failed(&self, first: Option<Failure>, failure: Failure) -> Failure {
        match first {
            None => failure,
            Some(first) if !self.cleans_up => first,
            Some(first) => {
                let Failure { error, later_errors, .. } = failure;
                first.with_later_errors(std::iter::once(*error).chain(later_errors))
            }
        }
    }

    /// Returns whether step `by` sees step `number`; in a graph, a step sees only the steps that it waits for, directly
    /// or indirectly.
    pub(crate) fn sees(&self, by: usize, number: usize) -> bool {
        self.graph.as_ref().is_none_or(|graph| graph.is_before(number, by))
    }
}
