use std::{collections::HashMap, fmt::Write};

use super::{Chart, Edge, Item, Shape};

/// Renders a chart for Graphviz (`dot -Tsvg`).
pub(crate) fn dot(chart: &Chart) -> String {
    let mut ends = HashMap::new();
    collect_ends(&chart.items, &mut ends);
    let title = quoted(&chart.title);
    let mut out = format!(
        "digraph {title} {{\n  label={title};\n  labelloc=t;\n  compound=true;\n  fontname=\"Helvetica\";\n  \
         node [shape=box, style=rounded, fontname=\"Helvetica\"];\n  edge [fontname=\"Helvetica\"];\n"
    );
    items(&mut out, &chart.items, 1);
    chart.edges.iter().for_each(|edge| arrow(&mut out, edge, &ends));
    out.push_str("}\n");
    out
}

/// The nodes at which the arrows to and from a box are attached, because Graphviz cannot connect
/// boxes directly.
struct Ends {
    first: String,
    last: String,
}

fn collect_ends(items: &[Item], ends: &mut HashMap<String, Ends>) -> Option<(String, String)> {
    let mut outer: Option<(String, String)> = None;
    for item in items {
        let (first, last) = match item {
            Item::Node(node) => (node.key.clone(), node.key.clone()),
            Item::Cluster(cluster) => {
                let (first, last) = collect_ends(&cluster.items, ends)?;
                ends.insert(cluster.key.clone(), Ends { first: first.clone(), last: last.clone() });
                (first, last)
            }
        };
        outer = Some((outer.map_or(first, |(first, _)| first), last));
    }
    outer
}

fn items(out: &mut String, all: &[Item], depth: usize) {
    let margin = "  ".repeat(depth);
    for item in all {
        let written = match item {
            Item::Node(node) => {
                let shape = match node.shape {
                    Shape::Step => "",
                    Shape::Choice => ", shape=diamond, style=\"\"",
                    Shape::Point => ", shape=oval, style=\"\"",
                };
                writeln!(out, "{margin}{} [label={}{shape}];", node.key, quoted(&node.lines.join("\n")))
            }
            Item::Cluster(cluster) => {
                let label = quoted(&cluster.lines.join("\n"));
                let head = writeln!(out, "{margin}subgraph cluster_{} {{\n{margin}  label={label};", cluster.key);
                items(out, &cluster.items, depth + 1);
                head.and_then(|()| writeln!(out, "{margin}}}"))
            }
        };
        written.expect("writing to a String cannot fail");
    }
}

fn arrow(out: &mut String, edge: &Edge, ends: &HashMap<String, Ends>) {
    let mut settings = Vec::new();
    let from = match ends.get(&edge.from) {
        Some(ends) => {
            settings.push(format!("ltail=cluster_{}", edge.from));
            &ends.last
        }
        None => &edge.from,
    };
    let to = match ends.get(&edge.to) {
        Some(ends) => {
            settings.push(format!("lhead=cluster_{}", edge.to));
            &ends.first
        }
        None => &edge.to,
    };
    settings.extend(edge.label.as_ref().map(|label| format!("label={}", quoted(label))));
    if edge.is_failure {
        settings.push("style=dashed".to_owned());
    }
    let settings = if settings.is_empty() { String::new() } else { format!(" [{}]", settings.join(", ")) };
    writeln!(out, "  {from} -> {to}{settings};").expect("writing to a String cannot fail");
}

/// Quotes a string; line breaks become `\n`, other control characters become spaces.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
