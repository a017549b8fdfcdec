//! Parts of pages that are generated from the code.

use std::{fs, path::Path};

/// That `docs/PAGE` has `part` between its marks; `UPDATE_DOCS=1` writes it there.
pub(crate) fn keep(page: &str, name: &str, part: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(page);
    let text = fs::read_to_string(&path).unwrap();
    let begin = format!("<!-- {name}, generated from the code -->\n");
    let start = text.find(&begin).expect("the page has the mark") + begin.len();
    let end = start + text[start..].find("<!-- end -->").expect("the part has an end");
    let made = format!("{}{part}{}", &text[..start], &text[end..]);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, &made).unwrap();
        return;
    }
    assert!(text == made, "docs/{page} is out of date: run `UPDATE_DOCS=1 cargo test -p llmspell-workflows-cli`");
}
