use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use cap_std::fs::{Dir, File, MetadataExt as _, OpenOptions};
use rustix::fs::{FlockOperation, Mode, OFlags, flock, openat};
use rustix::io::Errno;

/// The maximum number of versions of a file being written at the same time.
const NUMBERS_MAX: usize = 1024;

/// The number of names always checked for leftovers.
const NUMBERS_CLEANED: usize = 8;

/// A file or directory that is written next to its target and then renamed.
///
/// Its name, `.NAME.unfinished-N.tmp`, depends only on the target, so the next writer of the same
/// target finds and removes the leftovers of a killed process. A file is locked while this or
/// another process writes it. The system releases the locks of a killed process, so an unlocked
/// file is a leftover. `N` is the lowest number not used by another writer.
///
/// Until a temporary directory is complete, it contains a file with the directory's own name. This
/// file marks it as temporary, because a directory may have such a name for other reasons.
pub(super) struct Temporary {
    dir: Dir,
    kind: TemporaryKind,
    name: PathBuf,
    has_final_name: bool,
    /// Keeps the lock while the temporary name exists, even if the writer closes its handle.
    _lock: File,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TemporaryKind {
    File,
    Directory,
}

impl Temporary {
    /// Creates the temporary file for `target` in `dir`, and removes leftovers of killed processes.
    pub(super) fn file(dir: &Dir, target: &OsStr) -> io::Result<(Self, File)> {
        Self::create(dir, target, TemporaryKind::File)
    }

    /// Creates the temporary directory for `target` in `dir`, and removes leftovers of killed
    /// processes.
    pub(super) fn directory(dir: &Dir, target: &OsStr) -> io::Result<Self> {
        Self::create(dir, target, TemporaryKind::Directory).map(|(own, _)| own)
    }

    fn create(dir: &Dir, target: &OsStr, kind: TemporaryKind) -> io::Result<(Self, File)> {
        let mut created = None;
        for number in 0..NUMBERS_MAX {
            let name = PathBuf::from(format!(".{}.unfinished-{number}.tmp", target.to_string_lossy()));
            match &created {
                None if kind.remove_leftover(dir, &name)? => created = kind.claim(dir, name)?,
                None => {}
                // Failing to remove another leftover does not affect this version.
                Some(_) if number < NUMBERS_CLEANED => drop(kind.remove_leftover(dir, &name)),
                Some(_) => break,
            }
        }
        let (name, file) = created.ok_or(io::ErrorKind::ResourceBusy)?;
        let own = Self { dir: dir.try_clone()?, kind, name, has_final_name: false, _lock: file.try_clone()? };
        Ok((own, file))
    }

    /// Returns the temporary name in the target's directory.
    pub(super) fn name(&self) -> &Path {
        &self.name
    }

    /// Renames the file or directory to `target` in the same directory, replacing an existing file.
    pub(super) fn rename(mut self, target: &Path) -> io::Result<()> {
        if self.kind == TemporaryKind::Directory {
            self.dir.remove_file(self.name.join(&self.name))?;
        }
        self.dir.rename(&self.name, &self.dir, target)?;
        self.has_final_name = true;
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // The lock has kept other writers from removing the file. If the file cannot be removed
        // now, the next writer removes it.
        if !self.has_final_name {
            let _ = self.kind.remove(&self.dir, &self.name);
        }
    }
}

impl TemporaryKind {
    /// Removes the entry `name` if no writer is using it; returns whether the name is free.
    fn remove_leftover(self, dir: &Dir, name: &Path) -> io::Result<bool> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match openat(dir, name, flags, Mode::empty()) {
            Ok(file) => File::from_std(file.into()),
            Err(Errno::NOENT) => return Ok(true),
            // An entry that cannot be opened is not a leftover of this kind.
            Err(_) => return Ok(false),
        };
        let is_marked = self == Self::File || dir.symlink_metadata(name.join(name)).is_ok();
        if lock(&file)? != Lock::Own || !is_marked || !self.has_name(dir, name, &file)? {
            return Ok(false);
        }
        self.remove(dir, name).map(|()| true)
    }

    /// Creates `name` and locks it; returns `None` if another writer was faster.
    fn claim(self, dir: &Dir, name: PathBuf) -> io::Result<Option<(PathBuf, File)>> {
        let created = match self {
            Self::File => dir.open_with(&name, OpenOptions::new().write(true).create_new(true)),
            Self::Directory => dir.create_dir(&name).and_then(|()| {
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let opened = File::from_std(openat(dir, &name, flags, Mode::empty())?.into());
                dir.write(name.join(&name), "")?;
                Ok(opened)
            }),
        };
        let file = match created {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(None),
            // Another writer mistook the directory for a leftover before it was opened.
            Err(error) if error.kind() == io::ErrorKind::NotFound && self == Self::Directory => return Ok(None),
            Err(error) => return Err(error),
        };
        // Another writer could mistake the file for a leftover until it was locked.
        let is_own = lock(&file)? != Lock::Other && self.has_name(dir, &name, &file)?;
        Ok(is_own.then_some((name, file)))
    }

    fn remove(self, dir: &Dir, name: &Path) -> io::Result<()> {
        match self {
            Self::File => dir.remove_file(name),
            Self::Directory => dir.remove_dir_all(name),
        }
    }

    /// Returns whether `name` still refers to `file`, and `file` is of this kind.
    fn has_name(self, dir: &Dir, name: &Path, file: &File) -> io::Result<bool> {
        let own = file.metadata()?;
        let is_right = match self {
            Self::File => own.is_file(),
            Self::Directory => own.is_dir(),
        };
        match dir.symlink_metadata(name) {
            Ok(named) => Ok(is_right && (named.dev(), named.ino()) == (own.dev(), own.ino())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// The owner of a file's lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lock {
    Own,
    Other,
    /// The file system has no locks, so the owner is unknown; leftovers of killed processes are not
    /// removed.
    Unknown,
}

/// Locks a file unless another writer has locked it.
fn lock(file: &File) -> io::Result<Lock> {
    match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Lock::Own),
        Err(Errno::WOULDBLOCK) => Ok(Lock::Other),
        Err(Errno::NOLCK | Errno::NOSYS | Errno::OPNOTSUPP | Errno::INVAL | Errno::BADF) => Ok(Lock::Unknown),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn folder() -> (tempfile::TempDir, Dir) {
        let folder = tempfile::tempdir().unwrap();
        let dir = Dir::open_ambient_dir(folder.path(), cap_std::ambient_authority()).unwrap();
        (folder, dir)
    }

    fn names(dir: &Dir) -> Vec<String> {
        let names = dir.entries().unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    #[test]
    fn next_writer_removes_only_leftovers_of_killed_processes() {
        let (_folder, dir) = folder();
        let left = [".a.unfinished-0.tmp", ".a.unfinished-2.tmp", ".a.unfinished-7.tmp"];
        let others = [".a.tmp", ".b.unfinished-0.tmp", "a"];
        left.iter().chain(&others).for_each(|name| dir.write(name, "old").unwrap());
        let (temporary, mut file) = Temporary::file(&dir, OsStr::new("a")).unwrap();
        file.write_all(b"new").unwrap();
        assert_eq!(dir.read_to_string(left[0]).unwrap(), "new");
        temporary.rename(Path::new("a")).unwrap();
        assert_eq!(names(&dir), others);
        assert_eq!(dir.read_to_string("a").unwrap(), "new");
    }

    #[test]
    fn writers_of_the_same_file_do_not_interfere() {
        let (_folder, dir) = folder();
        let create = || Temporary::file(&dir, OsStr::new("a")).unwrap();
        let ((first, mut one), (second, mut other), (third, _)) = (create(), create(), create());
        one.write_all(b"one").unwrap();
        other.write_all(b"other").unwrap();
        let both = [".a.unfinished-0.tmp", ".a.unfinished-1.tmp"];
        drop(third);
        assert_eq!(names(&dir), both);
        first.rename(Path::new("a")).unwrap();
        // The number of the first version is free again, and the second version still has its file.
        let (fourth, _) = create();
        assert_eq!(names(&dir), [both[0], both[1], "a"]);
        // An abandoned version's handle does not protect the file.
        drop(other);
        assert_eq!(names(&dir), [both[0], both[1], "a"]);
        second.rename(Path::new("a")).unwrap();
        drop(fourth);
        assert_eq!((names(&dir), dir.read_to_string("a").unwrap()), (vec!["a".to_owned()], "other".to_owned()));
    }

    #[test]
    fn only_leftover_directories_of_killed_processes_are_removed() {
        let (_folder, dir) = folder();
        dir.create_dir_all(".a.unfinished-0.tmp/inside").unwrap();
        dir.write(".a.unfinished-0.tmp/inside/file", "old").unwrap();
        dir.write(".a.unfinished-0.tmp/.a.unfinished-0.tmp", "").unwrap();
        dir.write(".a.unfinished-1.tmp", "a file").unwrap();
        dir.create_dir_all(".a.unfinished-3.tmp/somebody's").unwrap();
        let create = || Temporary::directory(&dir, OsStr::new("a")).unwrap();
        let (first, second) = (create(), create());
        let in_use = [first.name(), second.name()].map(Path::to_owned);
        assert_eq!(in_use, [".a.unfinished-0.tmp", ".a.unfinished-2.tmp"].map(PathBuf::from));
        assert_eq!(dir.read_dir(first.name()).unwrap().count(), 1);
        dir.write(second.name().join("file"), "new").unwrap();
        first.rename(Path::new("a")).unwrap();
        drop(second);
        assert_eq!(names(&dir), [".a.unfinished-1.tmp", ".a.unfinished-3.tmp", "a"]);
        assert_eq!(dir.read_dir("a").unwrap().count(), 0);
    }

    #[test]
    fn foreign_entries_are_neither_removed_nor_followed() {
        let (folder, dir) = folder();
        dir.create_dir(".a.unfinished-0.tmp").unwrap();
        std::os::unix::fs::symlink("elsewhere", folder.path().join(".a.unfinished-1.tmp")).unwrap();
        let (temporary, _) = Temporary::file(&dir, OsStr::new("a")).unwrap();
        assert_eq!(names(&dir).len(), 3);
        drop(temporary);
        assert_eq!(names(&dir), [".a.unfinished-0.tmp", ".a.unfinished-1.tmp"]);
    }
}
