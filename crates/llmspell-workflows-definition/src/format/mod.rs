//! Formats a file by editing its text, to preserve comments, blank lines and the order of fields.

mod block;
mod edits;
mod layout;
mod levels;
mod outline;
mod quotes;

use crate::{Diagnostics, StepTypes, document};
pub(crate) use edits::Edit;
use edits::apply;
use outline::Outline;

/// Formats a definition with canonical names for fields and step types, two spaces of indentation
/// per level, and quotes around strings that YAML 1.1 would not read as strings.
///
/// Everything else stays as written: comments, the order of fields, quotes, and collections in
/// brackets. Consecutive blank lines are reduced to one. JSON stays JSON. Reading the result gives
/// an equal definition, and formatting it again changes nothing.
///
/// ```
/// use llmspell_workflows_definition::{StepTypes, format};
///
/// let text = "\
/// steps:
/// - id: fetch   # the page
///   tool: web_scraper
///   with: {input: 'https://example.com'}
///
///
/// - id: notify
///   needs: [fetch]
///   command:   echo done
/// name: digest
/// ";
/// let formatted = "\
/// steps:
///   - id: fetch   # the page
///     tool: web_scraper
///     params: {input: 'https://example.com'}
///
///   - id: notify
///     dependencies: [fetch]
///     command: echo done
/// name: digest
/// ";
/// assert_eq!(format(text, "digest.yaml", &StepTypes::new())?, formatted);
/// # Ok::<(), llmspell_workflows_definition::Diagnostics>(())
/// ```
///
/// # Errors
/// Returns all errors found, if the text is not a valid definition.
pub fn format(text: &str, source_name: &str, types: &StepTypes) -> Result<String, Diagnostics> {
    let text = normalized(text);
    let renames = document::renames(&text, source_name, types)?;
    let outline = |text: &str| Outline::of(text).map_err(|finding| document::fatal(source_name, text, finding));
    let before = outline(&text)?;
    let mut edits = before.independent(renames);
    edits.extend(quotes::edits(&before, &text));
    let text = apply(&text, edits);
    Ok(layout::layout(&text, &outline(&text)?))
}

/// Returns `text` without a byte order mark, and with `\n` as the only line break.
fn normalized(text: &str) -> String {
    text.trim_start_matches('\u{feff}').replace("\r\n", "\n").replace('\r', "\n")
}
