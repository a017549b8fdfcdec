//! Documentation sections generated from the code.

use std::{fs, path::Path};

/// Asserts that `docs/PAGE` contains `section` between its markers; with `UPDATE_DOCS=1`, writes it instead.
pub(crate) fn assert_up_to_date(page: &str, name: &str, section: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(page);
    let text = fs::read_to_string(&path).unwrap();
    let begin = format!("<!-- {name}, generated from the code -->\n");
    let start = text.find(&begin).expect("the page has the start marker") + begin.len();
    let end = start + text[start..].find("<!-- end -->").expect("the section has an end marker");
    let expected = format!("{}{section}{}", &text[..start], &text[end..]);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, &expected).unwrap();
        return;
    }
    assert!(text == expected, "docs/{page} is out of date: run `UPDATE_DOCS=1 cargo test -p llmspell-workflows-cli`");
}
