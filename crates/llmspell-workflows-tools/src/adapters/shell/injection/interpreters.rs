//! Programs that run one of their arguments as code.

/// How a program treats an argument: as data or as some kind of code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reading {
    /// Data, as far as can be determined.
    Data,
    /// A command line for a shell, run by this program.
    Shell(String),
    /// Sent by this program, with all later arguments, to a shell on another machine.
    Remote(String),
    /// Code in another language, run by this program; the text says how to pass values to the code.
    Code(String, &'static str),
}

/// A program that runs an argument as code.
struct Interpreter {
    names: &'static [&'static str],
    argument: CodeArgument,
    language: Language,
}

enum CodeArgument {
    /// The value of an option that has one of these names or one of these letters, possibly after
    /// other letters, as in `-lc`.
    Option(&'static [char], &'static [&'static str]),
    /// The first argument that is not an option, unless a file contains the code.
    First {
        /// The options that take values, with the number of values.
        with_values: &'static [(&'static str, usize)],
        /// The options that provide the code, or the name of the file that contains the code.
        given: &'static [&'static str],
    },
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Language {
    /// Shell commands.
    Shell,
    /// Another language; the text says how to pass values to the code.
    Other(&'static str),
}

const fn by_option(
    names: &'static [&'static str],
    letters: &'static [char],
    long: &'static [&'static str],
    language: Language,
) -> Interpreter {
    Interpreter { names, argument: CodeArgument::Option(letters, long), language }
}

const SHELLS: &[&str] = &["sh", "ash", "bash", "csh", "dash", "fish", "ksh", "mksh", "rbash", "tcsh", "yash", "zsh"];

const INTERPRETERS: &[Interpreter] = &[
    by_option(SHELLS, &['c'], &["--command"], Language::Shell),
    by_option(&["flock", "runuser", "script", "su"], &['c'], &["--command"], Language::Shell),
    by_option(
        &["python"],
        &['c'],
        &[],
        Language::Other("pass the value as an argument after the code, which reads it as `sys.argv[1]`"),
    ),
    by_option(
        &["perl"],
        &['e', 'E'],
        &[],
        Language::Other("pass the value as an argument after the code, which reads it as `$ARGV[0]`"),
    ),
    by_option(
        &["ruby"],
        &['e'],
        &[],
        Language::Other("pass the value as an argument after the code, which reads it as `ARGV[0]`"),
    ),
    by_option(
        &["node", "nodejs", "bun", "deno"],
        &['e', 'p'],
        &["--eval", "--print"],
        Language::Other("pass the value as an argument after the code, which reads it as `process.argv[1]`"),
    ),
    by_option(
        &["php"],
        &['r'],
        &["--run"],
        Language::Other("pass the value as an argument after the code, which reads it as `$argv[1]`"),
    ),
    by_option(
        &["psql"],
        &['c'],
        &["--command"],
        Language::Other(
            "pass the value with `-v name=VALUE` and the statement as `stdin`, which reads it as `:'name'`",
        ),
    ),
    by_option(
        &["mysql", "mariadb"],
        &['e'],
        &["--execute"],
        Language::Other("use a program whose statements have parameters"),
    ),
    Interpreter {
        names: &["awk", "gawk", "mawk", "nawk"],
        argument: CodeArgument::First { with_values: &[("-F", 1), ("-v", 1)], given: &["-f", "-e"] },
        language: Language::Other("pass the value in `env`, where the code reads it as `ENVIRON[\"NAME\"]`"),
    },
    Interpreter {
        names: &["jq"],
        argument: CodeArgument::First {
            with_values: &[
                ("--arg", 2),
                ("--argjson", 2),
                ("--rawfile", 2),
                ("--slurpfile", 2),
                ("--indent", 1),
                ("-L", 1),
            ],
            given: &["-f", "--from-file"],
        },
        language: Language::Other("pass the value with `--arg name VALUE`, and write `$name` in the filter"),
    },
    Interpreter {
        names: &["sed"],
        argument: CodeArgument::First { with_values: &[("-l", 1)], given: &["-f", "--file"] },
        language: Language::Other("change the text in an expression, with `replace`"),
    },
    by_option(&["sed"], &['e'], &["--expression"], Language::Other("change the text in an expression, with `replace`")),
];

/// The `ssh` options that take a value.
const SSH_OPTIONS: &str = "BbcDEeFIiJLlmOopPQRSWw";

/// Returns how the program started by `words` treats the next word, whose known part is `prefix`.
///
/// The program may be any of the words, because programs such as `env`, `sudo` and `docker exec`
/// start other programs.
pub(super) fn reading(words: &[String], prefix: &str) -> Reading {
    for (at, word) in words.iter().enumerate() {
        let name = program_name(word);
        let arguments = &words[at + 1..];
        if name == "ssh" && has_host(arguments) {
            return Reading::Remote(name.to_owned());
        }
        let runs =
            |interpreter: &&Interpreter| interpreter.names.contains(&name) && interpreter.runs(arguments, prefix);
        if let Some(interpreter) = INTERPRETERS.iter().find(runs) {
            return match interpreter.language {
                Language::Shell => Reading::Shell(format!("{name} -c")),
                Language::Other(advice) => Reading::Code(name.to_owned(), advice),
            };
        }
    }
    Reading::Data
}

/// Returns how the program started by `words` treats its standard input.
pub(super) fn reading_of_stdin(words: &[String]) -> Reading {
    let Some((program, arguments)) = words.split_first() else { return Reading::Data };
    let name = program_name(program);
    let is_option = |word: &String| word.starts_with('-');
    let by_name = |interpreter: &&Interpreter| interpreter.names.contains(&name);
    let Some(interpreter) = INTERPRETERS.iter().find(by_name) else { return Reading::Data };
    if !matches!(interpreter.argument, CodeArgument::Option(..)) {
        return Reading::Data;
    }
    let is_given = (0..arguments.len()).any(|at| interpreter.runs(&arguments[..at], ""));
    let is_script = arguments.iter().all(is_option) || arguments.iter().any(|word| word == "-s" || word == "-");
    match interpreter.language {
        _ if is_given || !is_script => Reading::Data,
        Language::Shell if SHELLS.contains(&name) => Reading::Shell(name.to_owned()),
        Language::Shell => Reading::Data,
        Language::Other(advice) => Reading::Code(name.to_owned(), advice),
    }
}

/// Returns a program's name without folder and version: `python` for `/usr/bin/python3.12`.
fn program_name(word: &str) -> &str {
    let name = word.rsplit('/').next().unwrap_or(word);
    let bare = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    if bare.is_empty() { name } else { bare }
}

impl Interpreter {
    /// Returns whether the word after `arguments`, whose known part is `prefix`, is code.
    fn runs(&self, arguments: &[String], prefix: &str) -> bool {
        match &self.argument {
            CodeArgument::Option(letters, long) => self.runs_option(letters, long, arguments, prefix),
            CodeArgument::First { with_values, given } => runs_first(with_values, given, arguments, prefix),
        }
    }

    fn runs_option(&self, letters: &[char], long: &[&str], arguments: &[String], prefix: &str) -> bool {
        let is_shell = self.language == Language::Shell;
        let introduces = |word: &str| {
            let given = word.strip_prefix('-').filter(|rest| rest.starts_with(|c: char| c.is_ascii_alphabetic()));
            let by_letter = given.is_some_and(|given| match is_shell {
                true => given.contains(letters),
                false => given.ends_with(letters),
            });
            by_letter || long.contains(&word)
        };
        let is_joined = long.iter().any(|long| prefix.strip_prefix(long).is_some_and(|rest| rest.starts_with('=')));
        if is_joined || introduces(prefix) {
            return true;
        }
        // A shell accepts further options between `-c` and the command line.
        let is_further = |word: &String| is_shell && word.starts_with(['-', '+']);
        let last = arguments.iter().rposition(|word| introduces(word) || !is_further(word));
        last.is_some_and(|last| introduces(&arguments[last]))
    }
}

fn runs_first(with_values: &[(&str, usize)], given: &[&str], arguments: &[String], prefix: &str) -> bool {
    let mut left = arguments.iter();
    while let Some(argument) = left.next() {
        if let Some((_, count)) = with_values.iter().find(|(option, _)| option == argument) {
            if left.len() < *count {
                return false;
            }
            left.nth(count - 1);
        } else if given.contains(&argument.as_str()) || !argument.starts_with('-') || argument == "-" {
            return false;
        }
    }
    !prefix.starts_with('-')
}

/// Returns whether the arguments of `ssh` contain the host; all arguments after the host form a
/// command line.
fn has_host(arguments: &[String]) -> bool {
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        match argument.strip_prefix('-') {
            Some(letters) if letters.len() == 1 && SSH_OPTIONS.contains(letters) => drop(arguments.next()),
            Some(_) => {}
            None => return true,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(reading: Reading) -> String {
        match reading {
            Reading::Data => "data".to_owned(),
            Reading::Shell(name) => format!("shell {name}"),
            Reading::Remote(name) => format!("remote {name}"),
            Reading::Code(name, _) => format!("code {name}"),
        }
    }

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn arguments_run_as_code_are_recognized() {
        for (line, prefix, expected) in [
            ("echo", "", "data"),
            ("sh", "", "data"),
            ("sh -c", "", "shell sh -c"),
            ("sh -ec", "", "shell sh -c"),
            ("/bin/bash -l -c", "", "shell bash -c"),
            ("bash -c -e --", "", "shell bash -c"),
            ("sh -c script", "", "data"),
            ("sh -c script sh", "", "data"),
            ("env A=1 sudo -u me sh -c", "", "shell sh -c"),
            ("docker exec -it box dash -c", "", "shell dash -c"),
            ("su me -c", "", "shell su -c"),
            ("python3.12 -c", "", "code python"),
            ("python3 -Bc", "", "code python"),
            ("python3 script.py -c", "", "code python"),
            ("python3 script.py", "", "data"),
            ("perl -ne", "", "code perl"),
            ("perl", "-e", "code perl"),
            ("node", "--eval=", "code node"),
            ("node --eval", "", "code node"),
            ("node", "--env=", "data"),
            ("psql -c", "", "code psql"),
            ("awk", "", "code awk"),
            ("awk -F , -v a=1", "", "code awk"),
            ("awk -v", "", "data"),
            ("awk -f file", "", "data"),
            ("awk code", "", "data"),
            ("jq -r --arg a", "", "data"),
            ("jq -r --arg a b", "", "code jq"),
            ("jq -r .a", "", "data"),
            ("sed -n", "", "code sed"),
            ("sed -n -e", "", "code sed"),
            ("sed -n s/a/b/", "", "data"),
            ("ssh", "", "data"),
            ("ssh -p 22", "", "data"),
            ("ssh -p 22 host", "", "remote ssh"),
            ("ssh host ls", "", "remote ssh"),
        ] {
            assert_eq!(shown(reading(&words(line), prefix)), expected, "{line} {prefix}");
        }
    }

    #[test]
    fn programs_that_run_their_standard_input_are_recognized() {
        for (line, expected) in [
            ("sh", "shell sh"),
            ("bash -e", "shell bash"),
            ("bash -s one", "shell bash"),
            ("bash script.sh", "data"),
            ("bash -c script", "data"),
            ("python3", "code python"),
            ("python3 -", "code python"),
            ("python3 -c code", "data"),
            ("cat", "data"),
        ] {
            assert_eq!(shown(reading_of_stdin(&words(line))), expected, "{line}");
        }
    }
}
