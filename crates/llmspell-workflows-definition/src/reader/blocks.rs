//! Steps that choose between lists of steps.

use std::sync::Arc;

use llmspell_workflows_basic::model::{Case, Conditional, Step, StepKind, Steps, Switch};

use super::{
    Fields, Reader,
    lists::{Item, Scope},
};
use crate::{
    diagnose::At,
    dialect::CASE,
    tree::{Data, Node, Span},
};

impl Reader<'_> {
    pub(super) fn conditional<'n, 's>(
        &mut self,
        fields: &Fields<'n, 's>,
        scope: &mut Scope<'n, 's>,
        id: &str,
    ) -> Option<StepKind> {
        let condition = self.expression(fields, "condition");
        let mut branch = |name: &'static str, word: &'static str| match fields.get(name) {
            Some(entry) => {
                self.mark(fields.at, word, entry.value.span);
                self.block(&entry.value, word, fields.at, scope, id)
            }
            None => Steps::new(),
        };
        let (then, otherwise) = (branch("then_steps", "then"), branch("else_steps", "else"));
        if !fields.has("then_steps") && !fields.has("else_steps") {
            self.error("missing_field", fields.at, fields.head, "a `conditional` step lacks `then_steps`")
                .help("add `then_steps` or `else_steps`");
        }
        Some(StepKind::Conditional(Conditional { condition: condition?, then, otherwise }))
    }

    pub(super) fn switch<'n, 's>(
        &mut self,
        fields: &Fields<'n, 's>,
        scope: &mut Scope<'n, 's>,
        id: &str,
    ) -> Option<StepKind> {
        let entry = fields.get("cases")?;
        self.mark(fields.at, "cases", entry.value.span);
        let Data::List(nodes) = &entry.value.data else {
            self.wrong_type(fields.at, &entry.key, &entry.value, "a list of cases");
            return None;
        };
        let cases =
            nodes.iter().enumerate().filter_map(|(index, node)| self.case(node, index, fields.at, scope, id)).collect();
        let default = fields.get("default").map(|entry| {
            self.mark(fields.at, "default", entry.value.span);
            self.block(&entry.value, "default", fields.at, scope, id)
        });
        Some(StepKind::Switch(Switch { cases, default: default.unwrap_or_default() }))
    }

    fn case<'n, 's>(
        &mut self,
        node: &'n Node<'s>,
        index: usize,
        at: At,
        scope: &mut Scope<'n, 's>,
        id: &str,
    ) -> Option<Case> {
        let fields = self.fields(node, &[CASE], &[], "a case", at)?;
        self.mark(at, format!("cases/{index}"), fields.head);
        let when = self.expression_as(&fields, "when", format!("cases/{index}/when"));
        let steps = match fields.get("steps") {
            Some(entry) => self.block(&entry.value, &format!("case[{index}]"), at, scope, id),
            None => Steps::new(),
        };
        Some(Case { when: when?, steps })
    }

    /// The steps of one branch: written here, or named by their ids in the list around, `scope`.
    fn block<'n, 's>(&mut self, node: &'n Node<'s>, word: &str, at: At, scope: &mut Scope<'n, 's>, id: &str) -> Steps {
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
