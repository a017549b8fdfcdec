use std::collections::BTreeMap;

use super::{Body, List, Node, Plan, Recovery};

impl Plan {
    /// What each step of a graph waits for, by path: its dependencies, and the siblings whose output it reads.
    ///
    /// The paths are those of the definition, without iterations and generations. A step of a list without
    /// dependencies is not among them: it waits for the one before it.
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
    match &at.body {
        Body::List(steps) => list(steps, path, waits),
        Body::Choice(choice) => {
            for (number, (_, case)) in choice.cases.iter().enumerate() {
                let segment = match case.id.as_str() {
                    "case" => format!("case[{number}]"),
                    id => id.to_owned(),
                };
                node(case, &format!("{path}/{segment}"), waits);
            }
            choice.default.iter().for_each(|default| node(default, &format!("{path}/{}", default.id), waits));
        }
        Body::Route(route) => list(&route.list, path, waits),
        Body::Loop(inner) => node(&inner.body, path, waits),
        Body::Parallel(parallel) => {
            parallel.branches.iter().for_each(|branch| node(branch, &format!("{path}/{}", branch.id), waits));
        }
        Body::Activity(_)
        | Body::Set(_)
        | Body::Sleep(_)
        | Body::WaitForEvent(_)
        | Body::SubWorkflow(_)
        | Body::Validate(_)
        | Body::Code(_) => {}
    }
    if let Recovery::Steps(handler) = &at.recovery {
        node(handler, &format!("{path}/$on_error"), waits);
    }
}

fn list(steps: &List, path: &str, waits: &mut BTreeMap<String, Vec<String>>) {
    for (number, step) in steps.nodes.iter().enumerate() {
        let inner = format!("{path}/{}", step.id);
        if let Some(graph) = &steps.graph {
            let mut others = graph.waits_for[number].clone();
            others.sort_unstable();
            let ids = others.iter().map(|other| steps.nodes[*other].id.to_string()).collect();
            waits.insert(inner.clone(), ids);
        }
        node(step, &inner, waits);
    }
}
