use crate::tree::{self, Data, Node, Span};

/// Whether a YAML file has comments, which [`to_yaml`](crate::to_yaml) cannot keep.
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
    spans(&parsed.root, &mut texts);
    texts.sort_unstable();
    let begins = |at: usize| at == 0 || text[..at].ends_with([' ', '\t', '\n', '\r']);
    text.match_indices('#').filter(|(at, _)| begins(*at)).any(|(at, _)| {
        // Texts do not overlap, so only the last that begins before can hold the place.
        let number = texts.partition_point(|span| span.start as usize <= at);
        number == 0 || texts[number - 1].end as usize <= at
    })
}

/// Where the texts of a document stand, keys among them.
fn spans(node: &Node<'_>, found: &mut Vec<Span>) {
    match &node.data {
        Data::Text(_) => found.push(node.span),
        Data::List(items) => items.iter().for_each(|item| spans(item, found)),
        Data::Map(entries) => {
            for entry in entries {
                found.push(entry.key_span);
                spans(&entry.value, found);
            }
        }
        Data::Null | Data::Bool(_) | Data::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_sign_in_a_text_is_no_comment() {
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
