use std::{
    ffi::OsString,
    path::{Component, Path, PathBuf},
};

use super::LINKS_MAX;

/// Returns the target of the absolute `path` with all links followed, even if it does not exist.
pub(super) fn target(path: &Path) -> PathBuf {
    let mut left: Vec<OsString> = reversed(path);
    let (mut reached, mut links) = (PathBuf::new(), 0);
    while let Some(name) = left.pop() {
        if name == ".." {
            reached.pop();
            continue;
        }
        let next = reached.join(&name);
        match next.read_link() {
            Ok(target) if links < LINKS_MAX => {
                links += 1;
                if target.is_absolute() {
                    reached = PathBuf::new();
                }
                left.extend(reversed(&target));
            }
            _ => reached = next,
        }
    }
    reached
}

/// Returns the components of `path` in reverse order, without `.` components.
fn reversed(path: &Path) -> Vec<OsString> {
    let parts = path.components().filter(|part| *part != Component::CurDir);
    parts.rev().map(|part| part.as_os_str().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_are_followed_even_to_missing_targets() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        std::fs::create_dir(root.join("dir")).unwrap();
        for (link, to) in [
            ("dangling", "new"),
            ("folder", "absent"),
            ("up", "dir/../new"),
            ("twice", "dangling"),
            ("circle", "circle"),
        ] {
            symlink(to, root.join(link)).unwrap();
        }
        symlink(root.join("new"), root.join("dir/absolute")).unwrap();
        for (path, expected) in [
            ("new", "new"),
            ("./dir/../new", "new"),
            ("dangling", "new"),
            ("twice", "new"),
            ("up", "new"),
            ("dir/absolute", "new"),
            ("folder/a", "absent/a"),
            ("folder/../dir/x", "dir/x"),
        ] {
            assert_eq!(target(&root.join(path)), root.join(expected), "{path}");
        }
        // A circular link is left unresolved.
        assert!(target(&root.join("circle")).starts_with(&root));
    }
}
