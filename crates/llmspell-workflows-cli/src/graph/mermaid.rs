use std::fmt::Write;

use super::{Chart, Edge, Item, Shape};

/// Renders a chart as a Mermaid flowchart, for Markdown viewers.
pub(crate) fn mermaid(chart: &Chart) -> String {
    let mut out = format!("---\ntitle: {}\n---\nflowchart TD\n", serde_json::Value::from(chart.title.as_str()));
    items(&mut out, &chart.items, 1);
    chart.edges.iter().for_each(|edge| arrow(&mut out, edge));
    out
}

fn items(out: &mut String, all: &[Item], depth: usize) {
    let margin = "  ".repeat(depth);
    for item in all {
        let written = match item {
            Item::Node(node) => {
                let (open, close) = match node.shape {
                    Shape::Step => ("[", "]"),
                    Shape::Choice => ("{", "}"),
                    Shape::Point => ("([", "])"),
                };
                writeln!(out, "{margin}{}{open}\"{}\"{close}", node.key, text(&node.lines, "<br/>"))
            }
            Item::Cluster(cluster) => {
                let head = writeln!(out, "{margin}subgraph {}[\"{}\"]", cluster.key, text(&cluster.lines, " · "));
                items(out, &cluster.items, depth + 1);
                head.and_then(|()| writeln!(out, "{margin}end"))
            }
        };
        written.expect("writing to a String cannot fail");
    }
}

fn arrow(out: &mut String, edge: &Edge) {
    let line = if edge.is_failure { "-.->" } else { "-->" };
    let label = edge.label.as_ref().map(|label| format!("|\"{}\"|", escaped(label))).unwrap_or_default();
    writeln!(out, "  {} {line}{label} {}", edge.from, edge.to).expect("writing to a String cannot fail");
}

fn text(lines: &[String], between: &str) -> String {
    lines.iter().map(|line| escaped(line)).collect::<Vec<_>>().join(between)
}

/// Escapes characters that are special in Mermaid or HTML, as Mermaid entities.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '"' => out.push_str("#quot;"),
            '<' => out.push_str("#lt;"),
            '>' => out.push_str("#gt;"),
            '&' => out.push_str("#amp;"),
            '#' => out.push_str("#35;"),
            '`' => out.push_str("#96;"),
            '\\' => out.push_str("#92;"),
            c if c.is_whitespace() || c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}
