//! Resolves allowed programs, and rejects variables that would change which program runs.

use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

use crate::{Policy, ToolError, ToolErrorClass, wildcard};

/// Names of variables that make programs load or start other code; `*` matches any number of
/// characters. A step may not set these variables while the policy lists programs. `docs/policy.md`
/// has the same list for users.
pub(super) const DANGEROUS_VARIABLES: &[&str] = &[
    // Search paths for programs, libraries and settings.
    "PATH",
    "HOME",
    "XDG_*",
    "LD_*",
    "DYLD_*",
    "GCONV_PATH",
    "GLIBC_TUNABLES",
    "OPENSSL_*",
    // Shells.
    "BASH_*",
    "BASHOPTS",
    "ENV",
    "IFS",
    "PROMPT_COMMAND",
    "PS4",
    "SHELL",
    "SHELLOPTS",
    "ZDOTDIR",
    // Interpreters, compilers and build tools.
    "CARGO_*",
    "CLASSPATH",
    "DOTNET_*",
    "JAVA_*",
    "JDK_*",
    "_JAVA_OPTIONS",
    "LUA_*",
    "MAKEFILES",
    "MAKEFLAGS",
    "NODE_*",
    "NPM_*",
    "PERL*",
    "PHPRC",
    "PHP_INI_*",
    "PYTHON*",
    "RUBY*",
    "GEM_*",
    "RUSTC*",
    // Programs started by other programs.
    "EDITOR",
    "VISUAL",
    "PAGER",
    "*_PAGER",
    "MANPAGER",
    "BROWSER",
    "LESSOPEN",
    "LESSCLOSE",
    "GIT_*",
    "SSH_*",
    "SVN_*",
    // This program's own settings.
    "SPELLFLOW_*",
];

impl Policy {
    /// Returns whether `programs` lists programs rather than allowing every program.
    pub(super) fn restricts_programs(&self) -> bool {
        !self.programs.iter().any(|pattern| pattern == "*")
    }
}

/// Returns the file to start for `program`, or `None` if the policy allows every program.
///
/// With `None`, the step's environment determines the file. Otherwise, a name is looked up in the
/// `PATH` of this process, never in a `PATH` set by the step.
///
/// # Errors
/// Fails if the policy does not allow the program or no file has its name.
pub(super) fn resolve(program: &str, policy: &Policy) -> Result<Option<PathBuf>, ToolError> {
    check_program(program, policy)?;
    if !policy.restricts_programs() {
        return Ok(None);
    }
    if program.contains('/') {
        return Ok(Some(PathBuf::from(program)));
    }
    let path = std::env::var_os("PATH").unwrap_or_else(|| OsString::from("/usr/bin:/bin"));
    let found = std::env::split_paths(&path)
        // A relative folder's content depends on the working directory, and steps can write there.
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(program))
        .find(|file| is_program(file));
    found.map(Some).ok_or_else(|| {
        let message = format!("cannot start the program `{program}`: no folder in `PATH` contains it");
        ToolError::new(ToolErrorClass::Configuration, "program_not_found", message)
    })
}

/// Fails if the policy does not allow `program`.
pub(super) fn check_program(program: &str, policy: &Policy) -> Result<(), ToolError> {
    if !policy.allows_program(program) {
        return Err(not_allowed(program).with_help("to allow it, add it to `programs` in the policy"));
    }
    if policy.restricts_programs() && program.contains('/') && !is_plain_absolute(Path::new(program)) {
        return Err(not_allowed(program)
            .with_help("if the policy lists programs, use a name without `/`, or an absolute path without `..`"));
    }
    Ok(())
}

/// Fails if the policy lists programs and a variable in `names` would change which program runs.
pub(super) fn check_variables<'n>(names: impl Iterator<Item = &'n str>, policy: &Policy) -> Result<(), ToolError> {
    let mut dangerous = names.filter(|name| is_dangerous(name));
    match dangerous.next() {
        Some(name) if policy.restricts_programs() => {
            let message = format!("a step cannot set the variable `{name}` while the policy lists programs");
            Err(ToolError::new(ToolErrorClass::Configuration, "variable_not_allowed", message)
                .with_help("it can make an allowed program start another one; set it for the whole process instead"))
        }
        _ => Ok(()),
    }
}

pub(super) fn is_dangerous(name: &str) -> bool {
    // Some programs also read the same names in lower case.
    let name = name.to_ascii_uppercase();
    DANGEROUS_VARIABLES.iter().any(|pattern| wildcard::matches(pattern, &name))
}

fn is_plain_absolute(path: &Path) -> bool {
    path.is_absolute() && path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)))
}

fn is_program(file: &Path) -> bool {
    file.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

fn not_allowed(program: &str) -> ToolError {
    let message = format!("the policy does not allow the program `{program}`");
    ToolError::new(ToolErrorClass::Configuration, "program_not_allowed", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(programs: &[&str]) -> Policy {
        Policy { programs: programs.iter().map(|program| (*program).to_owned()).collect(), ..Policy::default() }
    }

    #[test]
    fn listed_programs_are_found_in_the_path_or_by_absolute_path() {
        for (programs, program, expected) in [
            (&["*"][..], "anything", Ok(None)),
            (&["*"], "../sub/tool", Ok(None)),
            (&["sh"], "sh", Ok(Some(true))),
            (&["sh"], "ls", Err("program_not_allowed")),
            (&["sh"], "./sh", Err("program_not_allowed")),
            (&["s*"], "s/../../evil", Err("program_not_allowed")),
            (&["./tool"], "./tool", Err("program_not_allowed")),
            (&["sub/tool"], "sub/tool", Err("program_not_allowed")),
            (&["/bin/*"], "/bin/sh", Ok(Some(true))),
            (&["/bin/*"], "/bin/../tmp/evil", Err("program_not_allowed")),
            (&["no-such-program"], "no-such-program", Err("program_not_found")),
        ] {
            let got = resolve(program, &policy(programs)).map(|file| file.map(|file| file.is_absolute()));
            assert_eq!(got.map_err(|error| error.code), expected, "{programs:?} {program}");
        }
    }

    #[test]
    fn dangerous_variables_are_refused_if_the_policy_lists_programs() {
        let dangerous = [
            "PATH",
            "Path",
            "LD_PRELOAD",
            "LD_LIBRARY_PATH",
            "DYLD_INSERT_LIBRARIES",
            "BASH_ENV",
            "BASH_FUNC_ls%%",
            "ENV",
            "IFS",
            "PYTHONPATH",
            "PYTHONSTARTUP",
            "NODE_OPTIONS",
            "PERL5OPT",
            "PERL5LIB",
            "RUBYOPT",
            "GIT_SSH_COMMAND",
            "GIT_EXTERNAL_DIFF",
            "npm_config_script_shell",
            "JAVA_TOOL_OPTIONS",
            "HOME",
            "SPELLFLOW_TOOLS_PROGRAMS",
            "PAGER",
            "MAKEFLAGS",
            "RUSTC_WRAPPER",
        ];
        for name in dangerous {
            let code = |programs| check_variables([name].into_iter(), &policy(programs)).map_err(|error| error.code);
            assert_eq!(code(&["sh"]), Err("variable_not_allowed"), "{name}");
            assert_eq!(code(&["*"]), Ok(()), "{name}");
        }
        for name in ["LANG", "MY_PATH_NAME", "TOKEN", "ENVIRONMENT", "CHANNEL", "PATHS"] {
            assert_eq!(check_variables([name].into_iter(), &policy(&["sh"])), Ok(()), "{name}");
        }
    }

    #[test]
    fn policy_page_lists_every_dangerous_variable() {
        let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/policy.md")).unwrap();
        for pattern in DANGEROUS_VARIABLES {
            assert!(page.contains(&format!("`{pattern}`")), "{pattern}");
        }
    }
}
