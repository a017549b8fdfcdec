//! Reads the step lists of conditional and switch branches.

use std::sync::Arc;

use llmspell_workflows_basic::model::{Step, Steps};

use super::{
    Reader,
    lists::{Siblings, StepNode},
    values::STEP_LIST,
};
use crate::{
    diagnose::At,
    tree::{Data, Node, Span},
};

impl Reader<'_> {
    /// Reads the steps of one branch of the block `id`: inline steps, or ids of `siblings` that move into the block.
    pub(crate) fn block<'n, 's>(
        &mut self,
        node: &'n Node<'s>,
        word: &str,
        at: At,
        siblings: &mut Siblings<'n, 's>,
        id: &str,
    ) -> Steps {
        let parent = format!("{}/{word}", self.positions.path(at));
        let items: &'n [Node<'s>] = match &node.data {
            Data::List(items) => items,
            Data::Text(_) => std::slice::from_ref(node),
            _ => {
                self.wrong_type(at, word, node, STEP_LIST);
                return Steps::new();
            }
        };
        if items.iter().all(|item| item.as_text().is_none()) {
            return self.steps(word, node, &parent, at);
        }
        let inline =
            items.iter().filter(|item| item.as_text().is_none()).map(|node| StepNode { key: None, node }).collect();
        let mut inline = Siblings::new(inline);
        let named: Vec<&str> = items.iter().filter_map(Node::as_text).collect();
        let mut steps = Steps::new();
        for node in items {
            let read = match node.as_text() {
                None => self.step(StepNode { key: None, node }, &parent, at, &[], &mut inline),
                Some(name) => {
                    let Some(item) = self.move_step(name, node.span, at, siblings, id) else { continue };
                    self.step(item, &parent, at, &[], siblings)
                }
            };
            if let Some(mut read) = read {
                if read.has_next {
                    let message = "a step that a block names by its id cannot have `next_step`";
                    self.error("conflicting_fields", read.at, node.span, message)
                        .help("write the steps of the block inline");
                }
                self.check_moved(&mut read.step, read.at, id, &named);
                steps.push(Arc::new(read.step));
            }
        }
        steps
    }

    /// Moves the sibling `name` into the block `id`, or reports why it cannot move.
    fn move_step<'n, 's>(
        &mut self,
        name: &str,
        span: Span,
        at: At,
        siblings: &mut Siblings<'n, 's>,
        id: &str,
    ) -> Option<StepNode<'n, 's>> {
        match siblings.take(name, id) {
            Some(Ok(item)) => Some(item),
            Some(Err(block)) => {
                let message = format!("`{name}` already runs inside `{block}`");
                self.error("moved_step", at, span, message).help("a step can run in only one block; add a second step");
                None
            }
            None => {
                let help = self.suggest(name, siblings.ids());
                let message = format!("step `{name}` does not exist in this list");
                self.error("unknown_step", at, span, message).help = help;
                None
            }
        }
    }

    /// Checks the dependencies of a step that moved into the block `id`.
    ///
    /// The step may depend only on steps of the same branch. A dependency on the block itself is
    /// implied, so it is removed.
    fn check_moved(&mut self, step: &mut Step, at: At, id: &str, named: &[&str]) {
        let own = std::mem::take(&mut step.dependencies);
        for (index, dependency) in own.into_iter().enumerate() {
            if dependency == id {
                continue;
            }
            if !named.contains(&dependency.as_str()) {
                let span = self.field_span(at, &format!("dependencies/{index}"));
                let message = format!(
                    "`{}` runs inside `{id}`, so it cannot depend on `{dependency}`, which is outside",
                    step.id
                );
                self.error("moved_step", at, span, message)
                    .help(format!("make `{id}` depend on `{dependency}` instead"));
            }
            step.dependencies.push(dependency);
        }
    }
}
