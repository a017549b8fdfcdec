//! Lists the documentation pages shown by `spellflow explain`.

use std::{
    env, fs,
    io::{Error, Result},
    path::{Path, PathBuf},
};

/// The folders that have one page per name, and the kind of page in each folder.
const FOLDERS: [(&str, &str); 2] = [("errors", "Error"), ("language/steps", "StepType")];

fn main() -> Result<()> {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").canonicalize()?;
    let mut list = String::from("&[\n");
    for (folder, kind) in FOLDERS {
        let folder = docs.join(folder);
        println!("cargo::rerun-if-changed={}", folder.display());
        for page in pages(&folder)? {
            let name = page.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let path = page.display();
            list += &format!("    Page {{ kind: Kind::{kind}, name: {name:?}, text: include_str!(r#\"{path}\"#) }},\n");
        }
    }
    list += "]\n";
    let folder = env::var_os("OUT_DIR").ok_or_else(|| Error::other("cargo sets OUT_DIR"))?;
    fs::write(PathBuf::from(folder).join("pages.rs"), list)
}

/// Returns the pages in `folder` in order, except its index.
fn pages(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut pages = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|end| end == "md") && path.file_stem().is_some_and(|name| name != "README") {
            pages.push(path);
        }
    }
    pages.sort();
    Ok(pages)
}
