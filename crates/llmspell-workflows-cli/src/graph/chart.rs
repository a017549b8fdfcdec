use std::sync::Arc;

use llmspell_workflows_basic::model::{Definition, Group, OnError, Pattern, Route, Step, StepKind, TriggerRule};

use crate::outline;

/// A definition as nested boxes and arrows.
#[derive(Debug)]
pub(crate) struct Chart {
    pub(super) title: String,
    pub(super) items: Vec<Item>,
    pub(super) edges: Vec<Edge>,
}

#[derive(Debug)]
pub(super) enum Item {
    Node(Node),
    Cluster(Cluster),
}

/// A step without children, or a point where a branch is chosen.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) key: String,
    /// The lines of text in the node; the first line is the step's id.
    pub(super) lines: Vec<String>,
    pub(super) shape: Shape,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Step,
    Choice,
    /// The start or the end of a route.
    Point,
}

/// A step drawn as a box around its inner steps; never empty.
#[derive(Debug)]
pub(super) struct Cluster {
    pub(super) key: String,
    pub(super) lines: Vec<String>,
    pub(super) items: Vec<Item>,
}

#[derive(Debug)]
pub(super) struct Edge {
    pub(super) from: String,
    pub(super) to: String,
    pub(super) label: Option<String>,
    /// Whether the edge is taken only after a failure.
    pub(super) is_failure: bool,
}

impl Item {
    pub(super) fn key(&self) -> &str {
        match self {
            Self::Node(node) => &node.key,
            Self::Cluster(cluster) => &cluster.key,
        }
    }
}

impl Chart {
    /// Draws `definition`.
    pub(crate) fn new(definition: &Definition) -> Self {
        let mut pen = Pen::default();
        let mut items = pen.root(&definition.body);
        for (label, steps) in [("on error", &definition.on_error), ("finally", &definition.finally)] {
            if !steps.is_empty() {
                let inside = pen.list(&steps.iter().collect::<Vec<_>>());
                items.push(pen.cluster(vec![label.to_owned()], inside));
            }
        }
        Self { title: outline::title(definition), items, edges: pen.edges }
    }
}

#[derive(Default)]
struct Pen {
    keys: usize,
    edges: Vec<Edge>,
}

impl Pen {
    fn key(&mut self) -> String {
        self.keys += 1;
        format!("n{}", self.keys)
    }

    fn node(&mut self, lines: Vec<String>, shape: Shape) -> Item {
        Item::Node(Node { key: self.key(), lines, shape })
    }

    /// Draws a box around `items`, or a plain node if there are no items.
    fn cluster(&mut self, lines: Vec<String>, items: Vec<Item>) -> Item {
        let key = self.key();
        if items.is_empty() {
            return Item::Node(Node { key, lines, shape: Shape::Step });
        }
        Item::Cluster(Cluster { key, lines, items })
    }

    fn edge(&mut self, from: &str, to: &str, label: Option<String>) {
        self.edges.push(Edge { from: from.to_owned(), to: to.to_owned(), label, is_failure: false });
    }

    /// Draws the body of a definition; a list is drawn without a box.
    fn root(&mut self, body: &StepKind) -> Vec<Item> {
        match body.list() {
            Some(_) => self.inside(body),
            None => vec![self.step(&Step::new("main", body.clone()), true)],
        }
    }

    /// Draws the steps inside a step.
    fn inside(&mut self, kind: &StepKind) -> Vec<Item> {
        let groups = kind.groups();
        match (kind, kind.pattern()) {
            (StepKind::Route(route), _) => self.route(route),
            (_, Pattern::Choice) => self.choice(&groups),
            (_, Pattern::Parallel) => groups.iter().flat_map(|group| self.branches(&group.steps)).collect(),
            (_, Pattern::Leaf | Pattern::List | Pattern::Route | Pattern::Loop) => {
                groups.iter().flat_map(|group| self.list(&group.steps)).collect()
            }
        }
    }

    /// Draws steps in order, or by their dependencies.
    fn list(&mut self, steps: &[&Arc<Step>]) -> Vec<Item> {
        let is_graph = steps.iter().any(|step| !step.dependencies.is_empty());
        let before = |number: usize| -> Vec<usize> {
            match (is_graph, number) {
                (false, 0) => Vec::new(),
                (false, number) => vec![number - 1],
                (true, number) => {
                    let ids = steps[number].dependencies.iter();
                    ids.filter_map(|id| steps.iter().position(|step| step.id == *id)).collect()
                }
            }
        };
        let (mut items, mut keys): (Vec<Item>, Vec<String>) = (Vec::new(), Vec::new());
        for (number, step) in steps.iter().enumerate() {
            let item = self.step(step, before(number).is_empty());
            keys.push(item.key().to_owned());
            items.push(item);
            items.extend(self.handler(step, &keys[number]));
        }
        for (number, step) in steps.iter().enumerate() {
            for other in before(number) {
                let label = step.condition.as_ref().map(|condition| format!("if {condition}"));
                self.edge(&keys[other], &keys[number], label);
            }
        }
        items
    }

    /// Draws one step. With `shows_condition`, the step's box contains its condition, because no
    /// arrow shows it.
    fn step(&mut self, step: &Step, shows_condition: bool) -> Item {
        let mut lines = vec![step.id.clone()];
        lines.extend(step.name.clone().filter(|name| *name != step.id));
        lines.push(outline::what(step));
        if step.trigger_rule != TriggerRule::default() {
            lines.push(format!("runs on {}", step.trigger_rule.as_str()));
        }
        if let (true, Some(condition)) = (shows_condition, &step.condition) {
            lines.push(format!("if {condition}"));
        }
        if step.kind.is_leaf() {
            return self.node(lines, Shape::Step);
        }
        let items = self.inside(&step.kind);
        self.cluster(lines, items)
    }

    /// Draws the choice between the lists of a conditional or a switch.
    fn choice(&mut self, groups: &[Group<'_>]) -> Vec<Item> {
        let conditions: Vec<&str> = groups.iter().filter_map(|group| group.when).collect();
        let (question, yes, no) = match conditions.as_slice() {
            [condition] => (*condition, Some("yes"), "no"),
            _ => ("which case?", None, "otherwise"),
        };
        let fork = self.node(vec![question.to_owned()], Shape::Choice);
        let from = fork.key().to_owned();
        let mut items = vec![fork];
        for group in groups.iter().filter(|group| !group.steps.is_empty()) {
            let inside = self.list(&group.steps);
            // A box around a single box would be redundant.
            let block = match <[Item; 1]>::try_from(inside) {
                Ok([single]) => single,
                Err(inside) => {
                    let name = group.segment.as_deref().unwrap_or_default().replace('[', " ").replace(']', "");
                    self.cluster(vec![name], inside)
                }
            };
            let label = group.when.map_or(no, |when| yes.unwrap_or(when));
            self.edge(&from, block.key(), Some(label.to_owned()));
            items.push(block);
        }
        items
    }

    /// Draws steps that run at the same time.
    fn branches(&mut self, steps: &[&Arc<Step>]) -> Vec<Item> {
        let mut items = Vec::new();
        for step in steps {
            let item = self.step(step, true);
            let key = item.key().to_owned();
            items.push(item);
            items.extend(self.handler(step, &key));
        }
        items
    }

    fn route(&mut self, route: &Route) -> Vec<Item> {
        let start = self.node(vec!["start".to_owned()], Shape::Point);
        let start_key = start.key().to_owned();
        let mut items = vec![start];
        let mut keys = Vec::new();
        for step in &route.steps {
            let item = self.step(step, true);
            keys.push(item.key().to_owned());
            items.push(item);
            items.extend(self.handler(step, &keys[keys.len() - 1]));
        }
        let key_of = |id: &str| route.steps.iter().position(|step| step.id == id).map(|number| keys[number].clone());
        let end = self.node(vec!["end".to_owned()], Shape::Point);
        if let Some(first) = key_of(&route.start) {
            self.edge(&start_key, &first, None);
        }
        for (step, from) in route.steps.iter().zip(&keys) {
            if step.next.is_empty() {
                self.edge(from, end.key(), None);
            }
            for way in &step.next {
                let to = match &way.target {
                    Some(id) => key_of(id),
                    None => Some(end.key().to_owned()),
                };
                // `validate` reports a target that does not exist.
                if let Some(to) = to {
                    self.edge(from, &to, way.condition.as_ref().map(|condition| format!("if {condition}")));
                }
            }
        }
        if self.edges.iter().any(|edge| edge.to == end.key()) {
            items.push(end);
        }
        items
    }

    /// Draws the steps that run when `step` fails.
    fn handler(&mut self, step: &Step, from: &str) -> Option<Item> {
        let OnError::Steps(steps) = &step.on_error else { return None };
        let inside = self.list(&steps.iter().collect::<Vec<_>>());
        let block = self.cluster(vec![format!("on error of {}", step.id)], inside);
        let edge = Edge {
            from: from.to_owned(),
            to: block.key().to_owned(),
            label: Some("on error".into()),
            is_failure: true,
        };
        self.edges.push(edge);
        Some(block)
    }
}
