use std::collections::BTreeMap;

use super::{List, Node, Plan, Recovery};

impl Plan {
    /// Returns the steps that each step of a graph waits for, keyed by the waiting step's path.
    ///
    /// A step waits for its dependencies and for the siblings whose output it reads.
    ///
    /// The paths are paths in the definition, without iterations or generations. Steps of a list without dependencies
    /// are not included: each of them waits for the previous step.
    ///
    /// ```
    /// use llmspell_workflows_basic::{Engine, model::{Definition, Step}};
    /// use serde_json::{Map, json};
    ///
    /// let set = |id: &str, value: &str| Step::set(id, Map::from_iter([(id.to_owned(), json!(value))]));
    /// let steps = [set("a", "1"), set("b", "2").after(["a"]), set("c", "{{ steps.b.output }}")];
    /// let plan = Engine::builder().build().prepare(Definition::sequence("three", steps))?;
    /// assert_eq!(plan.waits()["/main/c"], ["b"]);
    /// # Ok::<(), llmspell_workflows_basic::Invalid>(())
    /// ```
    #[must_use]
    pub fn waits(&self) -> BTreeMap<String, Vec<String>> {
        let mut waits = BTreeMap::new();
        node(&self.root, "/main", &mut waits);
        if let Some(finally) = &self.finally {
            node(finally, "/main/$finally", &mut waits);
        }
        waits
    }
}

fn node(at: &Node, path: &str, waits: &mut BTreeMap<String, Vec<String>>) {
    if let Some(list) = at.body.list() {
        graph(list, path, waits);
    }
    for child in at.body.children() {
        node(child.node, &child.path(path), waits);
    }
    if let Recovery::Steps(handler) = &at.recovery {
        node(handler, &format!("{path}/$on_error"), waits);
    }
}

fn graph(list: &List, path: &str, waits: &mut BTreeMap<String, Vec<String>>) {
    let Some(graph) = &list.graph else { return };
    for (step, others) in list.nodes.iter().zip(&graph.waits_for) {
        let mut others = others.clone();
        others.sort_unstable();
        let ids = others.iter().map(|other| list.nodes[*other].id.to_string()).collect();
        waits.insert(format!("{path}/{}", step.id), ids);
    }
}
