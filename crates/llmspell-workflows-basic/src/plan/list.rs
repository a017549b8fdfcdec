use std::{collections::HashMap, sync::Arc};

use super::{Node, graph::Graph};
use crate::StepId;

/// The steps of a sequence, a graph or a route.
#[derive(Debug)]
pub(crate) struct List {
    pub(crate) nodes: Vec<Arc<Node>>,
    pub(crate) graph: Option<Graph>,
    numbers: HashMap<StepId, usize>,
}

impl List {
    pub(crate) fn new(nodes: Vec<Arc<Node>>, graph: Option<Graph>) -> Self {
        let numbers = nodes.iter().enumerate().map(|(number, node)| (node.id.clone(), number)).collect();
        Self { nodes, graph, numbers }
    }

    /// Returns the number of the step `id`.
    pub(crate) fn number(&self, id: &str) -> Option<usize> {
        self.numbers.get(id).copied()
    }

    /// Returns the number and id of each step, in definition order.
    pub(crate) fn ids(&self) -> impl Iterator<Item = (usize, &str)> {
        self.nodes.iter().map(|node| node.id.as_str()).enumerate()
    }

    /// Returns whether step `by` sees step `number`; in a graph, a step sees only the steps that it waits for, directly
    /// or indirectly.
    pub(crate) fn sees(&self, by: usize, number: usize) -> bool {
        self.graph.as_ref().is_none_or(|graph| graph.is_before(number, by))
    }
}
