use llmspell_workflows_basic::Problem;
use serde_json::Value;

use crate::{
    Diagnostics,
    diagnose::{At, Finding, Findings, Inside, Mark, Positions, Source},
    document::tree_of,
    tree::{Data, Node},
};

/// A YAML or JSON file other than a definition, such as a test file, with the source positions of its parts.
///
/// The file is read like a definition, as YAML 1.2 with the same limits and diagnostics.
///
/// ```
/// use llmspell_workflows_basic::{Problem, ProblemLocation};
/// use llmspell_workflows_definition::Plain;
///
/// let plain = Plain::read("cases:\n  - name: one\n    imput: {}\n", "x.test.yaml")?;
/// assert_eq!(plain.value()["cases"][0]["name"], "one");
///
/// let location = ProblemLocation::new("", "cases/0/imput");
/// let problem = Problem::error("unknown_field", location, "`imput` is not a field of a case");
/// assert_eq!(plain.to_diagnostics(&[problem]).list()[0].line, 3);
/// # Ok::<(), llmspell_workflows_definition::Diagnostics>(())
/// ```
#[derive(Debug, Clone)]
pub struct Plain {
    value: Value,
    positions: Positions,
    source: Source,
}

impl Plain {
    /// Reads a file; `source_name` is its name in diagnostics.
    ///
    /// # Errors
    /// Fails if the text is not valid YAML, has a duplicate key or is too large.
    pub fn read(text: &str, source_name: &str) -> Result<Self, Diagnostics> {
        let parsed = tree_of(text, source_name)?;
        let source = Source::new(source_name, text);
        let mut positions = Positions::new();
        mark(&mut positions, String::new(), &parsed.root);
        if parsed.findings.has_errors() {
            return Err(Diagnostics::new(source, parsed.findings, &positions));
        }
        Ok(Self { value: parsed.root.to_json(), positions, source })
    }

    /// Returns the content.
    #[must_use]
    pub fn value(&self) -> &Value {
        &self.value
    }

    /// Converts `problems` to diagnostics with line and column.
    ///
    /// The field of each location is a path of keys and indices, such as `cases/0/input`.
    #[must_use]
    pub fn to_diagnostics(&self, problems: &[Problem]) -> Diagnostics {
        let findings: Findings = problems
            .iter()
            .map(|problem| Finding {
                code: problem.code,
                severity: problem.severity,
                span: self.positions.find(&problem.place, &self.source),
                message: problem.message.clone(),
                help: problem.help.clone(),
                at: At::ROOT,
            })
            .collect();
        Diagnostics::new(self.source.clone(), findings, &self.positions)
    }
}

/// Records the positions of all parts of `node`; a mapping entry has the position of its key.
fn mark(positions: &mut Positions, field: String, node: &Node<'_>) {
    let below = |name: &str| if field.is_empty() { name.to_owned() } else { format!("{field}/{name}") };
    match &node.data {
        Data::Map(entries) => {
            for entry in entries {
                let field = below(&entry.key);
                positions.mark(At::ROOT, field.clone(), Mark { span: entry.key_span, inside: Inside::Unknown });
                mark(positions, field, &entry.value);
            }
        }
        Data::List(items) => {
            for (number, item) in items.iter().enumerate() {
                let field = below(&number.to_string());
                positions.mark(At::ROOT, field.clone(), Mark { span: item.span, inside: Inside::Unknown });
                mark(positions, field, item);
            }
        }
        _ => {}
    }
}
