//! Finds values that would become part of a command, before a run.
//!
//! A template is inserted into a command line before the shell reads it, so the shell cannot tell a
//! value from the command. Only an expression that reads no names is known to contain no outside
//! data. Any other expression must be quoted by `shell_quote`, in a place where the quotes are
//! effective ([`scan`]), unless the step sets `unsafe_shell: true`.

mod advice;
mod interpreters;
mod scan;
mod script;

use llmspell_workflows_basic::{activity::ParamProblem, expr::is_shell_name};
use serde_json::Value;

use advice::{Advice, Site};
use interpreters::{Reading, reading, reading_of_stdin};
use scan::{Place, places};
use script::{Hole, Script, Token};

/// Returns the problems in the parameters of a `shell` step.
pub(super) fn problems(params: &Value, dynamic: &dyn Fn(&str) -> bool) -> Vec<ParamProblem> {
    if dynamic("") {
        return vec![
            ParamProblem::coded(
                "shell_injection",
                "",
                "the parameters of a `shell` step must be written out, so that the command is known before the run",
            )
            .with_help("write the fields one by one, such as `argv: [PROGRAM, '{{ argument }}']`"),
        ];
    }
    if dynamic("/unsafe_shell") {
        let message = "`unsafe_shell` must be `true` or `false`: a workflow value cannot turn this check off";
        return vec![ParamProblem::coded("shell_injection", "/unsafe_shell", message)];
    }
    let mut found = variables(params, dynamic);
    for (site, script, language) in scripts(params) {
        found.extend(match language {
            Language::Shell(program) => of_shell(params, site, &script, &program),
            Language::Other(program, arguments) => of_code(&script, &program, arguments),
        });
    }
    if params.get("unsafe_shell") != Some(&Value::Bool(true)) {
        return found;
    }
    if !found.is_empty() {
        return Vec::new();
    }
    let message = "`unsafe_shell` has no effect: no value in this step becomes part of a command unquoted";
    vec![ParamProblem::coded("shell_injection", "/unsafe_shell", message).with_help("remove it")]
}

/// The language of a script.
enum Language {
    /// A command line for the shell started by this program.
    Shell(String),
    /// Code run by this program; the text says how to pass values to the code.
    Other(String, &'static str),
}

/// Returns the texts interpreted by a program.
fn scripts(params: &Value) -> Vec<(Site, Script, Language)> {
    let mut scripts = Vec::new();
    let mut words = None;
    if let Some(line) = params.get("command").and_then(Value::as_str) {
        scripts.push((Site::Command, Script::of("/command", line), Language::Shell("sh".to_owned())));
        words = plain_words(line);
    } else if let Some(argv) = params.get("argv").and_then(Value::as_array) {
        scripts.extend(arguments(argv));
        words = Some(argv.iter().map(word).collect());
    }
    if let (Some(words), Some(text)) = (words, params.get("stdin").and_then(Value::as_str)) {
        let language = match reading_of_stdin(&words) {
            Reading::Shell(program) => Some(Language::Shell(program)),
            Reading::Code(program, arguments) => Some(Language::Other(program, arguments)),
            Reading::Data | Reading::Remote(_) => None,
        };
        scripts.extend(language.map(|language| (Site::Stdin, Script::of("/stdin", text), language)));
    }
    scripts
}

/// Returns the arguments that a program runs as code.
fn arguments(argv: &[Value]) -> Vec<(Site, Script, Language)> {
    let mut scripts = Vec::new();
    let mut words = Vec::new();
    for (at, argument) in argv.iter().enumerate() {
        let text = argument.as_str().unwrap_or_default();
        let script = || Script::of(&format!("/argv/{at}"), text);
        let mut add = |language| scripts.push((Site::Argument(at), script(), language));
        match reading(&words, &prefix(text)) {
            Reading::Shell(program) => add(Language::Shell(program)),
            Reading::Code(program, arguments) => add(Language::Other(program, arguments)),
            Reading::Remote(program) => {
                // The program joins all later arguments with spaces.
                let mut line = script();
                for (later, argument) in argv.iter().enumerate().skip(at + 1) {
                    line.tokens.push(Token::Char(' '));
                    line.add(&format!("/argv/{later}"), argument.as_str().unwrap_or_default());
                }
                scripts.push((Site::Argument(at), line, Language::Shell(program)));
                return scripts;
            }
            Reading::Data => {}
        }
        words.push(word(argument));
    }
    scripts
}

/// Returns an argument with a NUL in place of each value.
fn word(argument: &Value) -> String {
    let Some(text) = argument.as_str() else { return argument.to_string() };
    let tokens = Script::of("", text).tokens;
    tokens.iter().map(|token| if let Token::Char(c) = token { *c } else { '\0' }).collect()
}

/// Returns the part of an argument before the first value, or an empty string if there is no value.
fn prefix(text: &str) -> String {
    let Script { tokens, holes } = Script::of("", text);
    let known = tokens.iter().map_while(|token| if let Token::Char(c) = token { Some(*c) } else { None });
    if holes.is_empty() { String::new() } else { known.collect() }
}

/// Returns the words of a command line if it only starts a program.
fn plain_words(line: &str) -> Option<Vec<String>> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || " _./-".contains(c);
    line.chars().all(is_plain).then(|| line.split_whitespace().map(str::to_owned).collect())
}

/// Reports environments whose variable names are known only when the step runs, because the names
/// determine what a program does.
fn variables(params: &Value, dynamic: &dyn Fn(&str) -> bool) -> Vec<ParamProblem> {
    let is_unknown = params.get("env").is_some() && dynamic("/env");
    let message = "the names of the variables in `env` must be written out: some of them make programs run other code";
    let problem = || {
        ParamProblem::coded("shell_injection", "/env", message)
            .with_help("write the names one by one, such as `env: {NAME: '{{ value }}'}`")
    };
    is_unknown.then(problem).into_iter().collect()
}

fn of_shell(params: &Value, site: Site, script: &Script, program: &str) -> Vec<ParamProblem> {
    if script.holes.is_empty() {
        return Vec::new();
    }
    let places = places(script);
    let is_wrong = |at: &usize| match &places[*at] {
        Place::Word => script.holes[*at].quotes() == 0,
        Place::Argument(Reading::Remote(_)) => script.holes[*at].quotes() < 2,
        _ => true,
    };
    let wrong: Vec<usize> = (0..script.holes.len()).filter(is_wrong).collect();
    let advice = Advice { params, site, script, places: &places, wrong: &wrong };
    let problem = |at: &usize| {
        let (hole, place) = (&script.holes[*at], &places[*at]);
        let message = message(hole, place, program);
        let help = match script.tokens[..] {
            [Token::Hole(_)] if hole.quotes() == 0 => help_for_whole(hole),
            _ if is_shell_name(hole.expression.source()) => shell_variable_help(hole),
            _ => special_help(hole, place).unwrap_or_else(|| help(&advice, program)),
        };
        of_hole(hole, message).with_help(help)
    };
    wrong.iter().map(problem).collect()
}

fn of_code(script: &Script, program: &str, advice: &str) -> Vec<ParamProblem> {
    let problem = |hole: &Hole| {
        let source = hole.expression.source();
        let message =
            format!("`{source}` becomes part of the code that `{program}` runs, so its value could run other code");
        let help = format!("{advice}; if the value is meant to be code, set `unsafe_shell: true`");
        of_hole(hole, message).with_help(help)
    };
    script.holes.iter().map(problem).collect()
}

fn of_hole(hole: &Hole, message: String) -> ParamProblem {
    ParamProblem::coded("shell_injection", hole.pointer.clone(), message).with_span(hole.span.clone())
}

fn message(hole: &Hole, place: &Place, program: &str) -> String {
    let source = hole.expression.source();
    if let Place::Argument(Reading::Code(program, _)) = place {
        return format!("`{source}` becomes part of the code that `{program}` runs, so its value could run other code");
    }
    if hole.quotes() == 0 {
        return format!(
            "`{source}` becomes part of a command run by `{program}`, so its value could run other commands"
        );
    }
    let problem = match place {
        Place::Word => "is quoted once, but parsed twice".to_owned(),
        Place::Single => "is inside single quotes, which its own quotes close".to_owned(),
        Place::Double => "is inside double quotes, where its own quotes have no effect".to_owned(),
        Place::Backtick => "is inside backquotes, which a backquote in the value would close".to_owned(),
        Place::Comment => "is in a comment, which a line break in the value would end".to_owned(),
        Place::HereDocument { .. } => "is in a here-document, where its quotes have no effect".to_owned(),
        Place::Delimiter => "is the delimiter of a here-document".to_owned(),
        Place::Parameter => "is inside a shell expansion `${…}`, where shells interpret quotes differently".to_owned(),
        Place::Arithmetic => "is in a shell arithmetic expression, which evaluates the value again".to_owned(),
        Place::Assignment => {
            "is assigned to a variable, and the second element of a list would be a command".to_owned()
        }
        Place::Target => {
            "is the target of a redirection, and the second element of a list would be a command".to_owned()
        }
        Place::After('\\') => "follows a backslash, which disables its first quote".to_owned(),
        Place::After(sign) => format!("follows `{sign}`, which changes the meaning of its quotes"),
        Place::Unclear => "comes after code that shells interpret differently, which may disable its quotes".to_owned(),
        Place::Argument(Reading::Remote(program)) => {
            format!("is quoted once, but `{program}` passes it to a second shell")
        }
        Place::Argument(Reading::Shell(program)) => format!("is run as a command by `{program}`"),
        Place::Argument(Reading::Data | Reading::Code(..)) => "is quoted".to_owned(),
        Place::Sent => "is inside quotes, and is sent to a second shell".to_owned(),
    };
    format!("`{source}` {problem}, so its value could run other commands")
}

/// Returns the help for places where the usual advice is not enough.
fn special_help(hole: &Hole, place: &Place) -> Option<String> {
    let bare = hole.bare().unwrap_or("value");
    match place {
        Place::Arithmetic => {
            Some(format!("compute the number in the expression, such as `{{{{ ({bare} + 1) | shell_quote }}}}`"))
        }
        Place::Argument(Reading::Remote(_)) => {
            Some(format!("quote it once for each shell: `{{{{ {bare} | shell_quote | shell_quote }}}}`"))
        }
        Place::Argument(Reading::Code(_, advice)) => Some((*advice).to_owned()),
        Place::Sent => Some(format!(
            "write it outside the quotes, and quote it once for each shell: `{{{{ {bare} | shell_quote | shell_quote }}}}`"
        )),
        Place::Argument(Reading::Shell(program)) if program.contains(' ') => Some(format!(
            "write the command in the definition, and pass the value as its argument: `{program} 'echo \"$1\"' sh {{{{ {bare} | \
             shell_quote }}}}`"
        )),
        Place::Argument(Reading::Shell(program)) => {
            Some(format!("`{program}` interprets its arguments as commands again; run the command without it"))
        }
        Place::Delimiter => Some("write the delimiter in the definition, such as `<<EOF`".to_owned()),
        Place::HereDocument { literal: true } => {
            Some(format!("pass the text as `stdin` instead, such as `stdin: 'Hello {{{{ {bare} }}}}'`"))
        }
        _ => None,
    }
}

/// Returns the help for a script that is a single value.
fn help_for_whole(hole: &Hole) -> String {
    let source = hole.expression.source();
    format!(
        "write the command in the definition; if the value is a list of a program and its arguments, write \
         `argv: '{{{{ {source} }}}}'`; if it is meant to be a command line, set `unsafe_shell: true`"
    )
}

/// Returns the help for a value whose name looks like the name of a shell variable.
fn shell_variable_help(hole: &Hole) -> String {
    let name = hole.expression.source();
    format!(
        "if it is a shell variable, write `${name}` or `\\${{{name}}}`; if it is a workflow value, write \
         `{{{{ {name} | shell_quote }}}}`"
    )
}

fn help(advice: &Advice<'_>, program: &str) -> String {
    let mut help = "write one of these:".to_owned();
    for way in advice.ways(program) {
        help.push_str("\n  ");
        help.push_str(&way);
    }
    help + "\nif the value is meant to be part of the command, set `unsafe_shell: true`"
}
