use crate::tree::{self, Data, Node, Span};

/// Returns whether a YAML file has comments, which [`to_yaml`](crate::to_yaml) would lose.
///
/// ```
/// use llmspell_workflows_definition::has_comments;
///
/// assert!(has_comments("name: a # why"));
/// assert!(!has_comments("name: 'a # b'\ntext: |\n  # a heading\n"));
/// ```
#[must_use]
pub fn has_comments(text: &str) -> bool {
    let Ok(parsed) = tree::parse(text) else { return text.contains('#') };
    let mut texts = Vec::new();
    string_spans(&parsed.root, &mut texts);
    texts.sort_unstable();
    let starts = |at: usize| at == 0 || text[..at].ends_with([' ', '\t', '\n', '\r']);
    text.match_indices('#').filter(|(at, _)| starts(*at)).any(|(at, _)| {
        // Strings do not overlap, so only the last string that starts before `at` can contain it.
        let number = texts.partition_point(|span| span.start as usize <= at);
        number == 0 || texts[number - 1].end as usize <= at
    })
}

/// Collects the spans of all strings in a document, including keys.
fn string_spans(node: &Node<'_>, found: &mut Vec<Span>) {
    match &node.data {
        Data::Text(_) => found.push(node.span),
        Data::List(items) => items.iter().for_each(|item| string_spans(item, found)),
        Data::Map(entries) => {
            for entry in entries {
                found.push(entry.key_span);
                string_spans(&entry.value, found);
            }
        }
        Data::Null | Data::Bool(_) | Data::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_signs_in_strings_are_not_comments() {
        for (text, expected) in [
            ("# first\na: 1", true),
            ("a: 1 # last", true),
            ("a: 1\n  # alone\nb: 2", true),
            ("a: b#c", false),
            ("a: \"b # c\"", false),
            ("'a # b': 1", false),
            ("a: |\n  # one\n  two\nb: 2", false),
            ("a: >-\n  one\n  # two\n", false),
            ("a: | # why\n  one\n", true),
            ("a: |\n  one\n# after\nb: 1", true),
            ("[1, # one\n 2]", true),
            ("a: &x '# no'\nb: *x", false),
        ] {
            assert_eq!(has_comments(text), expected, "{text}");
        }
    }
}
