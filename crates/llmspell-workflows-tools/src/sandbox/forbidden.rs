use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};

/// The device and inode of a file or directory, which identify it under any name.
type Identity = (u64, u64);

/// The files and directories that no tool may access, even within the roots.
///
/// Files and directories are compared by identity instead of by name, so links, other spellings,
/// upper and lower case, and a second mount of the same directory make no difference.
#[derive(Debug)]
pub(super) struct Forbidden {
    paths: Vec<PathBuf>,
    /// The forbidden paths in the file system, resolved when first needed.
    places: OnceLock<Vec<ForbiddenPlace>>,
    /// The files in forbidden directories that have another name elsewhere, searched for when first
    /// needed.
    hard_links: OnceLock<HashSet<Identity>>,
}

/// A forbidden path in the current state of the file system.
#[derive(Debug)]
struct ForbiddenPlace {
    /// The file or directory itself, if it exists.
    target: Option<Identity>,
    /// The deepest existing directory above the target, and the directories above that directory.
    /// If the path ends with `..`, the first of these directories is the target itself.
    above: Vec<Identity>,
    /// The names below the deepest existing directory.
    names: Vec<OsString>,
}

impl Forbidden {
    /// Creates the list for `paths`, which must be absolute.
    pub(super) fn new(paths: Vec<PathBuf>) -> Self {
        Self { paths, places: OnceLock::new(), hard_links: OnceLock::new() }
    }

    /// Returns a copy that resolves the paths again.
    pub(super) fn refreshed(&self) -> Self {
        Self::new(self.paths.clone())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.paths.is_empty()
    }

    /// Returns whether `names` below `directory` is forbidden: it is, or would be once created, a
    /// forbidden file or directory, or an entry inside a forbidden directory.
    ///
    /// The first name may exist only if it is the only name; later names must not exist.
    ///
    /// # Errors
    /// Returns an error if a directory above the entry cannot be opened.
    pub(super) fn covers(&self, directory: impl AsFd, names: &[OsString]) -> io::Result<bool> {
        if self.is_empty() {
            return Ok(false);
        }
        let above = identities_up(directory.as_fd())?;
        if above.iter().any(|directory| self.places().iter().any(|place| place.target == Some(*directory))) {
            return Ok(true);
        }
        Ok(self.covers_names(directory, above[0], names))
    }

    /// Does the same as [`covers`](Self::covers) for an entry of a directory that is not forbidden
    /// itself.
    ///
    /// # Errors
    /// Returns an error if the directory cannot be examined.
    pub(super) fn covers_entry(&self, directory: impl AsFd, name: &OsStr) -> io::Result<bool> {
        if self.is_empty() {
            return Ok(false);
        }
        let own = identity(&rustix::fs::fstat(directory.as_fd())?);
        Ok(self.covers_names(directory, own, &[name.to_owned()]))
    }

    fn covers_names(&self, directory: impl AsFd, own: Identity, names: &[OsString]) -> bool {
        let places = self.places();
        let same_name = |one: &OsString, two: &OsString| fold(one) == fold(two);
        let is_named = |place: &ForbiddenPlace| {
            place.above.first() == Some(&own)
                && names.len() >= place.names.len()
                && place.names.iter().zip(names).all(|(one, two)| same_name(one, two))
        };
        if places.iter().any(is_named) {
            return true;
        }
        let [name] = names else { return false };
        let stat = rustix::fs::statat(directory.as_fd(), name.as_os_str(), AtFlags::SYMLINK_NOFOLLOW);
        stat.is_ok_and(|stat| self.is_forbidden(&stat))
    }

    /// Returns whether a forbidden path is at or below `names` in `directory`, and would be
    /// affected if `names` were moved, copied or deleted.
    ///
    /// # Errors
    /// Returns an error if a directory above the entry cannot be opened.
    pub(super) fn is_below(&self, directory: impl AsFd, names: &[OsString]) -> io::Result<bool> {
        if self.is_empty() {
            return Ok(false);
        }
        let places = self.places();
        let here = identity(&rustix::fs::fstat(directory.as_fd())?);
        if let [name] = names
            && let Ok(stat) = rustix::fs::statat(directory.as_fd(), name.as_os_str(), AtFlags::SYMLINK_NOFOLLOW)
        {
            return Ok(places.iter().any(|place| place.above.contains(&identity(&stat))));
        }
        Ok(places.iter().any(|place| {
            let named = place.names.len() >= names.len()
                && names.iter().zip(&place.names).all(|(one, two)| fold(one) == fold(two));
            if names.is_empty() { place.above.contains(&here) } else { place.above.first() == Some(&here) && named }
        }))
    }

    fn is_forbidden(&self, stat: &Stat) -> bool {
        let own = identity(stat);
        if self.places().iter().any(|place| place.target == Some(own)) {
            return true;
        }
        let has_other_names = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile && stat.st_nlink > 1;
        has_other_names && self.hard_links.get_or_init(|| self.find_hard_links()).contains(&own)
    }

    fn places(&self) -> &[ForbiddenPlace] {
        self.places.get_or_init(|| self.paths.iter().filter_map(|path| ForbiddenPlace::find(path)).collect())
    }

    fn find_hard_links(&self) -> HashSet<Identity> {
        let mut found = HashSet::new();
        let mut folders: Vec<PathBuf> = self.paths.clone();
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                let Ok(metadata) = entry.metadata() else { continue };
                if metadata.is_dir() {
                    folders.push(entry.path());
                } else if metadata.nlink() > 1 {
                    found.insert((metadata.dev(), metadata.ino()));
                }
            }
        }
        found
    }
}

impl ForbiddenPlace {
    /// Finds `path`; returns `None` if not even the root of the file system can be read.
    fn find(path: &Path) -> Option<Self> {
        let target = fs::metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()));
        // A path that ends with `..` names a directory, which is itself the deepest existing
        // directory.
        let (mut names, mut at) = match path.file_name() {
            Some(name) => (vec![name.to_owned()], path.parent()?),
            None => (Vec::new(), path),
        };
        let directory = loop {
            match fs::canonicalize(at) {
                Ok(directory) => break directory,
                Err(_) => {
                    names.push(at.file_name()?.to_owned());
                    at = at.parent()?;
                }
            }
        };
        names.reverse();
        let above = directory.ancestors().filter_map(|directory| fs::metadata(directory).ok());
        Some(Self { target, above: above.map(|metadata| (metadata.dev(), metadata.ino())).collect(), names })
    }
}

/// Returns the identities of `directory` and of every directory above it. The identities come from
/// open handles, so renaming a directory in the meantime does not hide it.
fn identities_up(directory: impl AsFd) -> io::Result<Vec<Identity>> {
    #[cfg(target_os = "linux")]
    const FLAGS: OFlags = OFlags::PATH;
    #[cfg(not(target_os = "linux"))]
    const FLAGS: OFlags = OFlags::RDONLY;
    let mut up = vec![identity(&rustix::fs::fstat(directory.as_fd())?)];
    let mut at: Option<OwnedFd> = None;
    loop {
        let here = at.as_ref().map_or(directory.as_fd(), AsFd::as_fd);
        let above = rustix::fs::openat(here, "..", FLAGS | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        let own = identity(&rustix::fs::fstat(&above)?);
        // The root is its own parent.
        if up.last() == Some(&own) {
            return Ok(up);
        }
        up.push(own);
        at = Some(above);
    }
}

#[expect(clippy::unnecessary_cast, reason = "the types of these fields differ between systems")]
fn identity(stat: &Stat) -> Identity {
    (stat.st_dev as u64, stat.st_ino as u64)
}

/// Folds a name so that names that differ only in case become equal, as on file systems that ignore
/// case.
fn fold(name: &OsString) -> String {
    name.to_string_lossy().to_lowercase()
}
