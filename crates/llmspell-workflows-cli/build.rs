//! Lists the documentation pages shown by `spellflow explain`.

use std::{
    env, fs,
    io::{Error, Result},
    path::{Path, PathBuf},
};

/// The folders that have one page per name, and the kind of page in each folder.
const FOLDERS: [(&str, &str); 2] = [("errors", "Error"), ("language/steps", "StepType")];

fn main() -> Result<()> {
    // Cargo runs a build script in the folder of its package. Relative paths stay valid if several
    // checkouts share a target directory.
    let mut list = String::from("&[\n");
    for (folder, kind) in FOLDERS {
        let folder = format!("../../docs/{folder}");
        println!("cargo::rerun-if-changed={folder}");
        for name in pages(Path::new(&folder))? {
            let path = format!("concat!(env!(\"CARGO_MANIFEST_DIR\"), \"/{folder}/{name}.md\")");
            list += &format!("    Page {{ kind: Kind::{kind}, name: {name:?}, text: include_str!({path}) }},\n");
        }
    }
    list += "]\n";
    let folder = env::var_os("OUT_DIR").ok_or_else(|| Error::other("cargo sets OUT_DIR"))?;
    fs::write(PathBuf::from(folder).join("pages.rs"), list)
}

/// Returns the names of the pages in `folder` in order, except its index.
fn pages(folder: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        if path.extension().is_some_and(|end| end == "md") && name != "README" {
            names.push(name.into_owned());
        }
    }
    names.sort();
    Ok(names)
}
