//! Determines which configuration files to read, and which files no tool may touch.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use crate::Failure;

/// The name of a project's configuration file.
const NAME: &str = "spellflow.toml";

/// The configuration files of a command.
#[derive(Debug, Clone, Default)]
pub(super) struct ConfigFiles {
    /// The files to read, first the user's, then the project's.
    pub(super) read: Vec<PathBuf>,
    /// The files that a later command would read, whether or not they exist.
    pub(super) guarded: Vec<PathBuf>,
    /// The files above the working directory that are not read because another user controls them.
    pub(super) refused: Vec<RefusedFile>,
}

/// A configuration file that is not read.
#[derive(Debug, Clone)]
pub(crate) struct RefusedFile {
    path: PathBuf,
    reason: &'static str,
}

impl fmt::Display for RefusedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, reason) = (self.path.display(), self.reason);
        write!(f, "ignored the configuration `{path}`: {reason}; to use it, pass it with `--config`")
    }
}

impl ConfigFiles {
    /// Finds the user's file and the project's file; `given` replaces the project's file.
    pub(super) fn find(given: Option<&Path>) -> Result<Self, Failure> {
        let here = std::env::current_dir().map_err(|error| Failure::file("find", Path::new("."), &error))?;
        let user = user_file();
        let mut files = Self { read: user.iter().filter(|file| file.is_file()).cloned().collect(), ..Self::default() };
        files.guarded.extend(user.map(|file| here.join(file)));
        files.guarded.extend(given.map(|file| here.join(file)));
        let mut project = given.map(Path::to_owned);
        for folder in here.ancestors() {
            let file = folder.join(NAME);
            files.guarded.push(file.clone());
            if project.is_some() || !file.is_file() {
                continue;
            }
            match (folder != here).then(|| stranger(folder, &file)).flatten() {
                Some(reason) => files.refused.push(RefusedFile { path: file, reason }),
                None => project = Some(file),
            }
        }
        files.read.extend(project);
        Ok(files)
    }
}

fn user_file() -> Option<PathBuf> {
    let folder = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let config = folder("XDG_CONFIG_HOME").or_else(|| Some(folder("HOME")?.join(".config")))?;
    Some(config.join("spellflow").join("config.toml"))
}

/// Returns why `file` in `folder`, above the working directory, may come from another user.
#[cfg(unix)]
fn stranger(folder: &Path, file: &Path) -> Option<&'static str> {
    use std::os::unix::fs::MetadataExt;

    let own = rustix::process::geteuid().as_raw();
    // A link and its target can have different owners. The mode of a link is not checked, because a
    // link can be changed only by replacing it.
    let checks = [(folder.metadata(), true), (file.symlink_metadata(), false), (file.metadata(), true)];
    checks.into_iter().find_map(|(metadata, checks_mode)| match metadata {
        Ok(metadata) => distrust(metadata.uid(), if checks_mode { metadata.mode() } else { 0 }, own),
        Err(_) => Some("its owner is unknown"),
    })
}

/// Returns why the user `own` does not trust a file or folder that has this `mode` and is owned by
/// the user `owner`.
#[cfg(unix)]
fn distrust(owner: u32, mode: u32, own: u32) -> Option<&'static str> {
    const ROOT: u32 = 0;
    const OTHERS_WRITE: u32 = 0o002;
    match owner {
        _ if owner != own && owner != ROOT => Some("it or its folder is owned by another user"),
        _ if mode & OTHERS_WRITE != 0 => Some("every user can write to it or to its folder"),
        _ => None,
    }
}

#[cfg(not(unix))]
fn stranger(_folder: &Path, _file: &Path) -> Option<&'static str> {
    None
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn only_files_owned_by_the_user_or_root_are_trusted() {
        for (owner, mode, own, is_trusted) in [
            (1000, 0o644, 1000, true),
            (1000, 0o664, 1000, true),
            (0, 0o644, 1000, true),
            (1000, 0o644, 0, false),
            (1001, 0o600, 1000, false),
            (1000, 0o646, 1000, false),
            (0, 0o777, 1000, false),
            (0, 0o1777, 0, false),
        ] {
            assert_eq!(distrust(owner, mode, own).is_none(), is_trusted, "{owner} {mode:o} {own}");
        }
    }
}
