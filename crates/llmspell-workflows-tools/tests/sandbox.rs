//! The sandbox refuses every path that leads outside the roots, regardless of its spelling and of
//! the links in it.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a panic fails the test")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use llmspell_workflows_tools::{Access, Policy, Sandbox, ToolErrorClass};
use tempfile::TempDir;

/// Three directories: `work` is a root for reading and writing, `shared` is a root for reading
/// only, and `outside` is not a root.
struct Fixture {
    temporary: TempDir,
    sandbox: Sandbox,
}

fn fixture() -> Fixture {
    let temporary = tempfile::tempdir().unwrap();
    let at = temporary.path();
    for folder in ["work/sub", "shared", "outside"] {
        fs::create_dir_all(at.join(folder)).unwrap();
    }
    for file in ["work/a.txt", "work/sub/b.txt", "shared/s.txt", "outside/secret.txt"] {
        fs::write(at.join(file), file).unwrap();
    }
    let links = [
        ("../outside/secret.txt", "work/to-secret"),
        ("../outside", "work/to-outside"),
        ("../outside/new.txt", "work/dangling-outside"),
        ("sub/new.txt", "work/dangling-inside"),
        ("sub", "work/to-sub"),
        ("loop", "work/loop"),
        ("work", "alias"),
    ];
    for (target, link) in links {
        symlink(target, at.join(link)).unwrap();
    }
    symlink(at.join("outside/secret.txt"), at.join("work/absolute-secret")).unwrap();
    symlink(at.join("outside/new.txt"), at.join("work/absolute-dangling")).unwrap();
    symlink(at.join("work/a.txt"), at.join("work/absolute-inside")).unwrap();
    symlink(at.join("shared"), at.join("work/to-shared")).unwrap();
    let mut policy = Policy::default();
    policy.working_directory = Some(at.join("work"));
    policy.read_roots = vec![PathBuf::from("."), at.join("shared")];
    policy.write_roots = vec![PathBuf::from(".")];
    let sandbox = Sandbox::open(&policy).unwrap();
    Fixture { temporary, sandbox }
}

impl Fixture {
    fn absolute(&self, path: &str) -> String {
        self.temporary.path().join(path).to_str().unwrap().to_owned()
    }

    fn read(&self, path: &str) -> Result<String, &'static str> {
        let target = self.sandbox.locate(path, Access::Read).map_err(|error| error.code)?;
        let content = target.read(1_000).map_err(|error| error.code)?;
        Ok(String::from_utf8(content).unwrap())
    }

    fn write(&self, path: &str) -> Result<PathBuf, &'static str> {
        let target = self.sandbox.locate(path, Access::Write).map_err(|error| error.code)?;
        let result = target.dir().write(target.relative(), "new");
        result.map_err(|error| target.error("write", &error).code)?;
        Ok(target.real_path().unwrap())
    }
}

#[test]
fn paths_inside_the_roots_can_be_read() {
    let fixture = fixture();
    for (path, expected) in [
        ("a.txt", "work/a.txt"),
        ("./sub/../a.txt", "work/a.txt"),
        ("sub/b.txt", "work/sub/b.txt"),
        ("to-sub/b.txt", "work/sub/b.txt"),
        ("absolute-inside", "work/a.txt"),
        ("to-shared/s.txt", "shared/s.txt"),
        ("../work/a.txt", "work/a.txt"),
    ] {
        assert_eq!(fixture.read(path).as_deref(), Ok(expected), "{path}");
    }
    for path in ["work/a.txt", "alias/a.txt", "work/sub/../a.txt", "outside/../work/a.txt"] {
        assert_eq!(fixture.read(&fixture.absolute(path)).as_deref(), Ok("work/a.txt"), "{path}");
    }
    assert_eq!(fixture.read(&fixture.absolute("shared/s.txt")).as_deref(), Ok("shared/s.txt"));
}

#[test]
fn paths_outside_the_roots_are_refused() {
    let fixture = fixture();
    let relative = [
        "../outside/secret.txt",
        "sub/../../outside/secret.txt",
        "to-secret",
        "to-outside/secret.txt",
        "to-outside",
        "absolute-secret",
        "dangling-outside",
        "to-outside/new.txt",
        "missing/../../outside/secret.txt",
        "loop",
        "..",
        "/",
        "/etc/passwd",
        "/proc/self/root/etc/passwd",
    ];
    let absolute = ["outside/secret.txt", "work/../outside/secret.txt", "work-not", "missing/secret.txt"];
    let absolute = absolute.map(|path| fixture.absolute(path));
    for path in relative.into_iter().chain(absolute.iter().map(String::as_str)) {
        let got = fixture.read(path);
        let refused = matches!(got, Err("path_outside_roots")) || (path == "loop" && got.is_err());
        assert!(refused, "{path}: {got:?}");
    }
}

#[test]
fn new_files_are_created_only_inside_the_roots() {
    let fixture = fixture();
    for (path, expected) in [
        ("new.txt", "work/new.txt"),
        ("to-sub/linked.txt", "work/sub/linked.txt"),
        ("dangling-inside", "work/sub/new.txt"),
        ("absolute-inside", "work/a.txt"),
    ] {
        let real = fixture.temporary.path().canonicalize().unwrap().join(expected);
        assert_eq!(fixture.write(path), Ok(real.clone()), "{path}");
        assert_eq!(fs::read_to_string(real).unwrap(), "new", "{path}");
    }
    for path in [
        "../new.txt",
        "to-outside/new.txt",
        "to-outside/deeper/new.txt",
        "dangling-outside",
        "absolute-dangling",
        "to-secret",
        "to-shared/new.txt",
        "missing/../../outside/new.txt",
    ] {
        assert_eq!(fixture.write(path), Err("path_outside_roots"), "{path}");
    }
    let outside: Vec<_> = fs::read_dir(fixture.temporary.path().join("outside")).unwrap().collect();
    assert_eq!(outside.len(), 1, "no file was created outside the roots");
    assert_eq!(fs::read_to_string(fixture.absolute("outside/secret.txt")).unwrap(), "outside/secret.txt");
}

#[test]
fn a_symlink_swapped_in_after_the_check_cannot_escape_the_sandbox() {
    let fixture = fixture();
    let target = fixture.sandbox.locate("sub/secret.txt", Access::Write).unwrap();
    let work = fixture.temporary.path().join("work");
    fs::rename(work.join("sub"), work.join("sub-before")).unwrap();
    symlink("../outside", work.join("sub")).unwrap();
    let error = target.dir().write(target.relative(), "overwritten").unwrap_err();
    assert_eq!(target.error("write", &error).code, "path_outside_roots");
    assert_eq!(target.open().unwrap_err().code, "path_outside_roots");
    assert_eq!(fs::read_to_string(fixture.absolute("outside/secret.txt")).unwrap(), "outside/secret.txt");
}

#[test]
fn errors_name_the_allowed_directories() {
    let fixture = fixture();
    let error = fixture.sandbox.locate("/etc/passwd", Access::Write).unwrap_err();
    assert_eq!(error.class, ToolErrorClass::Configuration);
    assert!(error.message.contains("/etc/passwd"), "{error}");
    assert!(error.to_string().contains(&fixture.absolute("work")), "{error}");
    for path in ["", "a\0b"] {
        assert_eq!(fixture.sandbox.locate(path, Access::Read).unwrap_err().code, "invalid_path");
    }
}

#[test]
fn a_file_larger_than_the_limit_is_rejected() {
    let fixture = fixture();
    let target = fixture.sandbox.locate("a.txt", Access::Read).unwrap();
    assert_eq!(target.read(10).unwrap(), b"work/a.txt");
    assert_eq!(target.read(9).unwrap_err().code, "file_too_large");
    assert_eq!(target.join(Path::new("x")).open().unwrap_err().code, "file_failed");
    let folder = fixture.sandbox.locate("sub", Access::Read).unwrap();
    assert_eq!(folder.read(9).unwrap_err().code, "not_a_file");
    let missing = fixture.sandbox.locate("nothing.txt", Access::Read).unwrap();
    assert_eq!(missing.read(9).unwrap_err().code, "file_not_found");
}

#[test]
fn a_missing_root_is_named_in_the_error() {
    let mut policy = Policy::default();
    policy.read_roots = vec![PathBuf::from("/no/such/folder")];
    let error = Sandbox::open(&policy).unwrap_err();
    assert_eq!(error.code, "root_unavailable");
    assert!(error.message.contains("/no/such/folder"), "{error}");
}

#[test]
fn a_symlink_swapped_in_after_the_check_does_not_lead_to_forbidden_files() {
    let temporary = tempfile::tempdir().unwrap();
    let root = temporary.path();
    for folder in ["store", "sub"] {
        fs::create_dir(root.join(folder)).unwrap();
        fs::write(root.join(folder).join("a.txt"), folder).unwrap();
    }
    let mut policy = Policy::default();
    policy.working_directory = Some(root.to_owned());
    policy.forbidden = vec![root.join("store")];
    let sandbox = Sandbox::open(&policy).unwrap();
    let target = sandbox.locate("sub/a.txt", Access::Read).unwrap();
    assert_eq!(target.read(9).unwrap(), b"sub");
    fs::rename(root.join("sub"), root.join("sub-before")).unwrap();
    symlink("store", root.join("sub")).unwrap();
    assert_eq!(target.open().unwrap_err().code, "path_outside_roots");
}
