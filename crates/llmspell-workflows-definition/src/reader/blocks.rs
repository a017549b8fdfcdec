//! Lists of steps that belong to a choice.

use std::sync::Arc;

use llmspell_workflows_basic::model::{Step, Steps};

use super::{
    Reader,
    lists::{Item, Scope},
};
use crate::{
    diagnose::At,
    tree::{Data, Node, Span},
};

impl Reader<'_> {
    /// The steps of one branch: written here, or named by their ids in the list around, `scope`.
    pub(crate) fn block<'n, 's>(
        &mut self,
        node: &'n Node<'s>,
        word: &str,
        at: At,
        scope: &mut Scope<'n, 's>,
        id: &str,
    ) -> Steps {
        let parent = format!("{}/{word}", self.positions.path(at));
        let items: &'n [Node<'s>] = match &node.data {
            Data::List(items) => items,
            Data::Text(_) => std::slice::from_ref(node),
            _ => {
                self.wrong_type(at, word, node, "a list of steps");
                return Steps::new();
            }
        };
        if items.iter().all(|item| item.as_text().is_none()) {
            return self.steps(node, &parent, at);
        }
        let inline =
            items.iter().filter(|item| item.as_text().is_none()).map(|node| Item { key: None, node }).collect();
        let mut inline = Scope::new(inline);
        let named: Vec<&str> = items.iter().filter_map(Node::as_text).collect();
        let mut steps = Steps::new();
        for node in items {
            let read = match node.as_text() {
                None => self.step(Item { key: None, node }, &parent, at, &[], &mut inline),
                Some(name) => {
                    let Some(item) = self.taken(name, node.span, at, scope, id) else { continue };
                    self.step(item, &parent, at, &[], scope)
                }
            };
            if let Some(mut read) = read {
                if read.names_next {
                    let message = "a step that a block takes in by its id does not name the next";
                    self.error("conflicting_fields", read.at, node.span, message)
                        .help("write the steps of the block inline");
                }
                self.leave_list(&mut read.step, read.at, id, &named);
                steps.push(Arc::new(read.step));
            }
        }
        steps
    }

    fn taken<'n, 's>(
        &mut self,
        name: &str,
        span: Span,
        at: At,
        scope: &mut Scope<'n, 's>,
        id: &str,
    ) -> Option<Item<'n, 's>> {
        match scope.take(name, id) {
            Some(Ok(item)) => Some(item),
            Some(Err(block)) => {
                let message = format!("`{name}` runs inside `{block}` already");
                self.error("moved_step", at, span, message)
                    .help("a step runs in one place; write another step for this one");
                None
            }
            None => {
                let help = self.suggest(name, scope.ids());
                let message = format!("`{name}` is not a step of this list");
                self.error("unknown_step", at, span, message).help = help;
                None
            }
        }
    }

    /// What a step taken into the block `id` may still wait for: steps of the same branch. The block itself goes
    /// without saying.
    fn leave_list(&mut self, step: &mut Step, at: At, id: &str, named: &[&str]) {
        let own = std::mem::take(&mut step.dependencies);
        for (index, dependency) in own.into_iter().enumerate() {
            if dependency == id {
                continue;
            }
            if !named.contains(&dependency.as_str()) {
                let span = self.field_span(at, &format!("dependencies/{index}"));
                let message = format!("`{}` runs inside `{id}`, so it cannot wait for `{dependency}` outside", step.id);
                self.error("moved_step", at, span, message).help(format!("let `{id}` depend on `{dependency}`"));
            }
            step.dependencies.push(dependency);
        }
    }
}
