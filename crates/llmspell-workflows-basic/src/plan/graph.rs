use std::{cmp::Reverse, collections::BinaryHeap};

use crate::{Problem, ProblemLocation, model::Steps};

/// The dependencies between the steps of a list.
#[derive(Debug)]
pub(crate) struct Graph {
    /// The declared dependencies of each step, to which its trigger rule applies.
    pub(crate) dependencies: Vec<Vec<usize>>,
    /// All steps that each step waits for: its dependencies, and the steps whose output it reads.
    pub(crate) waits_for: Vec<Vec<usize>>,
    /// For each step, a bit set of all steps before it.
    before: Vec<Vec<u64>>,
    /// The rank of each step in an order that respects all edges and otherwise follows the definition order.
    pub(crate) ranks: Vec<usize>,
}

impl Graph {
    /// Creates the graph from its edges.
    ///
    /// # Errors
    /// Returns the steps of a cycle, in which each step waits for the next and the last waits for the first.
    pub(crate) fn new(dependencies: Vec<Vec<usize>>, waits_for: Vec<Vec<usize>>) -> Result<Self, Vec<usize>> {
        let order = order(&waits_for)?;
        let words = waits_for.len().div_ceil(64);
        let mut before = vec![vec![0u64; words]; waits_for.len()];
        let mut ranks = vec![0; waits_for.len()];
        for (rank, step) in order.into_iter().enumerate() {
            ranks[step] = rank;
            for &other in &waits_for[step] {
                let inherited = before[other].clone();
                before[step].iter_mut().zip(inherited).for_each(|(word, more)| *word |= more);
                before[step][other / 64] |= 1 << (other % 64);
            }
        }
        Ok(Self { dependencies, waits_for, before, ranks })
    }

    /// Warns about each step that appears to follow the steps above it but starts immediately.
    ///
    /// This happens if dependencies are added to only one step of a list, because all
    /// other steps then lose their order.
    pub(crate) fn unconnected(&self, steps: &Steps, path: &str) -> Vec<Problem> {
        let Some(first) = self.dependencies.iter().position(|others| !others.is_empty()) else { return Vec::new() };
        let is_alone = |step: &usize| {
            self.waits_for[*step].is_empty() && !self.waits_for.iter().any(|others| others.contains(step))
        };
        let warning = |step: usize| {
            let (id, first, above) = (&steps[step].id, &steps[first].id, &steps[step - 1].id);
            let message = format!(
                "`{id}` starts at once: `{first}` has dependencies, so this list runs as a graph, and `{id}` waits for no \
                 other step"
            );
            let help = format!(
                "add `depends_on: [{above}]` to run it after the step above; if it may start at once, list it before \
                 `{first}`"
            );
            Problem::warning("starts_at_once", ProblemLocation::new(format!("{path}/{id}"), "id"), message)
                .with_help(help)
        };
        (first + 1..steps.len()).filter(is_alone).map(warning).collect()
    }

    /// Returns whether step `one` always ends before step `two` begins.
    pub(crate) fn is_before(&self, one: usize, two: usize) -> bool {
        self.before[two][one / 64] & (1 << (one % 64)) != 0
    }
}

/// Returns the steps ordered so that each step follows all steps it waits for, or returns a cycle.
fn order(waits_for: &[Vec<usize>]) -> Result<Vec<usize>, Vec<usize>> {
    let mut left: Vec<usize> = waits_for.iter().map(Vec::len).collect();
    let mut followers = vec![Vec::new(); waits_for.len()];
    for (step, others) in waits_for.iter().enumerate() {
        others.iter().for_each(|other| followers[*other].push(step));
    }
    let mut ready: BinaryHeap<Reverse<usize>> =
        (0..waits_for.len()).filter(|step| left[*step] == 0).map(Reverse).collect();
    let mut order = Vec::with_capacity(waits_for.len());
    while let Some(Reverse(step)) = ready.pop() {
        order.push(step);
        for &follower in &followers[step] {
            left[follower] -= 1;
            if left[follower] == 0 {
                ready.push(Reverse(follower));
            }
        }
    }
    match (0..waits_for.len()).find(|step| left[*step] > 0) {
        None => Ok(order),
        Some(start) => Err(cycle(waits_for, &left, start)),
    }
}

/// Finds a cycle. Every remaining step waits for another remaining step, so a walk from any of them ends in a cycle.
fn cycle(waits_for: &[Vec<usize>], left: &[usize], start: usize) -> Vec<usize> {
    let mut walk = vec![start];
    loop {
        let last = walk[walk.len() - 1];
        let next = *waits_for[last].iter().find(|step| left[**step] > 0).expect("remaining steps wait for each other");
        if let Some(first) = walk.iter().position(|step| *step == next) {
            return walk.split_off(first);
        }
        walk.push(next);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(edges: &[&[usize]]) -> Result<Graph, Vec<usize>> {
        let edges: Vec<Vec<usize>> = edges.iter().map(|edges| edges.to_vec()).collect();
        Graph::new(edges.clone(), edges)
    }

    #[test]
    fn is_before_is_transitive() {
        let graph = graph(&[&[], &[0], &[1], &[]]).unwrap();
        assert!(graph.is_before(0, 2) && graph.is_before(1, 2));
        assert!(!graph.is_before(3, 2) && !graph.is_before(2, 0) && !graph.is_before(0, 0));
    }

    #[test]
    fn all_steps_of_a_cycle_are_reported() {
        assert_eq!(graph(&[&[], &[0, 3], &[1], &[2]]).unwrap_err(), [1, 3, 2]);
        assert_eq!(graph(&[&[0]]).unwrap_err(), [0]);
    }
}
