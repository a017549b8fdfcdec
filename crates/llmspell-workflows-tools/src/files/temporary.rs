use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use cap_std::fs::{Dir, File, MetadataExt as _, OpenOptions};
use rustix::fs::{FlockOperation, Mode, OFlags, flock, openat};
use rustix::io::Errno;

/// The maximum number of versions of a file that are written at the same time.
const NUMBERS_MAX: usize = 1024;

/// The number of names that are always searched for what was left behind.
const NUMBERS_CLEANED: usize = 8;

/// The temporary file of a new version, beside the file that it will replace.
///
/// Its name, `.NAME.unfinished-N.tmp`, depends only on the target, so the next writer of the same target finds what a
/// killed process has left, and removes it. A file that is being written is locked, in this process or another one, and
/// the system releases the lock of a process that is killed: an unlocked file is a leftover. The number is the first one
/// that no other writer has.
pub(super) struct Temporary {
    dir: Dir,
    /// `None` once the file has its final name.
    name: Option<PathBuf>,
    /// Keeps the lock as long as the name, even if the writer has closed its handle.
    _lock: File,
}

impl Temporary {
    /// Creates the temporary file for the file `target` in `dir`, and removes what killed processes have left.
    pub(super) fn create(dir: &Dir, target: &OsStr) -> io::Result<(Self, File)> {
        let mut created = None;
        for number in 0..NUMBERS_MAX {
            let name = PathBuf::from(format!(".{}.unfinished-{number}.tmp", target.to_string_lossy()));
            match &created {
                None if remove_leftover(dir, &name)? => created = claim(dir, name)?,
                None => {}
                // Whether another leftover can be removed does not concern this version.
                Some(_) if number < NUMBERS_CLEANED => drop(remove_leftover(dir, &name)),
                Some(_) => break,
            }
        }
        let (name, file) = created.ok_or(io::ErrorKind::ResourceBusy)?;
        let own = Self { dir: dir.try_clone()?, name: Some(name), _lock: file.try_clone()? };
        Ok((own, file))
    }

    /// Gives the file its final name in the same directory, in place of the file that has it.
    pub(super) fn rename(mut self, target: &Path) -> io::Result<()> {
        if let Some(name) = &self.name {
            self.dir.rename(name, &self.dir, target)?;
        }
        self.name = None;
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // Nobody else has removed the file, since it is locked. If it cannot be removed, the next writer does so.
        if let Some(name) = &self.name {
            let _ = self.dir.remove_file(name);
        }
    }
}

/// Removes the file `name` if nobody is writing it; returns whether the name is free.
fn remove_leftover(dir: &Dir, name: &Path) -> io::Result<bool> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = match openat(dir, name, flags, Mode::empty()) {
        Ok(file) => File::from_std(file.into()),
        Err(Errno::NOENT) => return Ok(true),
        // Whatever has this name, no writer of this kind has left it.
        Err(_) => return Ok(false),
    };
    if lock(&file)? != Lock::Own || !has_name(dir, name, &file)? {
        return Ok(false);
    }
    dir.remove_file(name).map(|()| true)
}

/// Creates the file `name` and locks it; returns `None` if another writer was faster.
fn claim(dir: &Dir, name: PathBuf) -> io::Result<Option<(PathBuf, File)>> {
    let file = match dir.open_with(&name, OpenOptions::new().write(true).create_new(true)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(None),
        Err(error) => return Err(error),
    };
    // Until it was locked, another writer could take it for a leftover.
    let is_own = lock(&file)? != Lock::Other && has_name(dir, &name, &file)?;
    Ok(is_own.then_some((name, file)))
}

/// Who has locked a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lock {
    Own,
    Other,
    /// The file system has no locks, so nobody knows; what killed processes leave then stays.
    Unknown,
}

/// Locks a file unless somebody else has locked it.
fn lock(file: &File) -> io::Result<Lock> {
    match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Lock::Own),
        Err(Errno::WOULDBLOCK) => Ok(Lock::Other),
        Err(Errno::NOLCK | Errno::NOSYS | Errno::OPNOTSUPP | Errno::INVAL | Errno::BADF) => Ok(Lock::Unknown),
        Err(error) => Err(error.into()),
    }
}

/// Returns whether `name` is still a name of `file`.
fn has_name(dir: &Dir, name: &Path, file: &File) -> io::Result<bool> {
    let own = file.metadata()?;
    match dir.symlink_metadata(name) {
        Ok(named) => Ok((named.dev(), named.ino(), named.is_file()) == (own.dev(), own.ino(), true)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
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
    fn next_writer_removes_what_killed_processes_left_and_nothing_else() {
        let (_folder, dir) = folder();
        let left = [".a.unfinished-0.tmp", ".a.unfinished-2.tmp", ".a.unfinished-7.tmp"];
        let others = [".a.tmp", ".b.unfinished-0.tmp", "a"];
        left.iter().chain(&others).for_each(|name| dir.write(name, "old").unwrap());
        let (temporary, mut file) = Temporary::create(&dir, OsStr::new("a")).unwrap();
        file.write_all(b"new").unwrap();
        assert_eq!(dir.read_to_string(left[0]).unwrap(), "new");
        temporary.rename(Path::new("a")).unwrap();
        assert_eq!(names(&dir), others);
        assert_eq!(dir.read_to_string("a").unwrap(), "new");
    }

    #[test]
    fn writers_of_the_same_file_do_not_touch_each_other() {
        let (_folder, dir) = folder();
        let create = || Temporary::create(&dir, OsStr::new("a")).unwrap();
        let ((first, mut one), (second, mut other), (third, _)) = (create(), create(), create());
        one.write_all(b"one").unwrap();
        other.write_all(b"other").unwrap();
        let both = [".a.unfinished-0.tmp", ".a.unfinished-1.tmp"];
        drop(third);
        assert_eq!(names(&dir), both);
        first.rename(Path::new("a")).unwrap();
        // The number of the first one is free again, and the second one still has its file.
        let (fourth, _) = create();
        assert_eq!(names(&dir), [both[0], both[1], "a"]);
        // The handle of a version that was given up does not protect the file.
        drop(other);
        assert_eq!(names(&dir), [both[0], both[1], "a"]);
        second.rename(Path::new("a")).unwrap();
        drop(fourth);
        assert_eq!((names(&dir), dir.read_to_string("a").unwrap()), (vec!["a".to_owned()], "other".to_owned()));
    }

    #[test]
    fn what_no_writer_has_left_is_neither_removed_nor_followed() {
        let (folder, dir) = folder();
        dir.create_dir(".a.unfinished-0.tmp").unwrap();
        std::os::unix::fs::symlink("elsewhere", folder.path().join(".a.unfinished-1.tmp")).unwrap();
        let (temporary, _) = Temporary::create(&dir, OsStr::new("a")).unwrap();
        assert_eq!(names(&dir).len(), 3);
        drop(temporary);
        assert_eq!(names(&dir), [".a.unfinished-0.tmp", ".a.unfinished-1.tmp"]);
    }
}
