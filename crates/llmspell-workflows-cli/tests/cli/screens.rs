//! Golden tests of the program's screens on terminals of several widths, and of its output in CI;
//! `UPDATE_GOLDEN=1` updates the golden text.

use std::{fs, path::Path, sync::LazyLock};

use regex::Regex;

use crate::{
    pty::Pty,
    support::{Sandbox, TIMEOUT, Terminal, release_step},
};

const WIDTHS: [u16; 3] = [60, 80, 200];

/// Patterns for the parts that differ between runs, with their replacements.
static PARTS: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    let parts = [
        (r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "01234567-89ab-7def-8123-456789abcdef"),
        (r"[0-9]{4}(-[0-9]{2}){2}T[0-9]{2}(:[0-9]{2}){2}(\.[0-9]+)?Z", "2030-01-01T00:00:00Z"),
        (r"[0-9]{4}(-[0-9]{2}){2} [0-9]{2}(:[0-9]{2}){2}", "2030-01-01 00:00:00"),
        (r"\b([0-9]+h[0-9]{2}m|[0-9]+m[0-9]{2}s|[0-9]+(\.[0-9]+)?(µs|ms|s))\b", "TIME"),
        (r"\b[0-9a-f]{8}(-[0-9a-f]{0,12}){0,4}…", "01234567…"),
        (r"process [0-9]+", "process PID"),
        ("[⠋⠙⠸⠴⠦⠧⠇⠏]", "⠋"),
    ];
    parts.into_iter().map(|(pattern, shown)| (Regex::new(pattern).unwrap(), shown)).collect()
});

/// Replaces the parts that differ between runs with texts of the same length, except durations.
fn stable(line: &str) -> String {
    let mut line = line.trim_end().to_owned();
    for (part, shown) in &*PARTS {
        line = part.replace_all(&line, *shown).into_owned();
    }
    line
}

/// Like [`stable`], for a terminal with `columns`: the length of a duration determines how much of
/// a line is cut off.
fn stable_on(line: &str, columns: u16) -> String {
    let line = stable(line);
    match line.strip_suffix('…').filter(|line| line.contains("TIME")) {
        Some(rest) => format!("{}…", rest.chars().take(usize::from(columns) - 8).collect::<String>()),
        None => line,
    }
}

/// Renders lines like a terminal with `columns`.
fn screen(lines: &[String], columns: u16) -> String {
    let mut text = String::new();
    for line in lines {
        let line: Vec<char> = stable_on(line, columns).chars().collect();
        if line.is_empty() {
            text.push('\n');
        }
        for row in line.chunks(columns.into()) {
            text += &format!("{}\n", row.iter().collect::<String>());
        }
    }
    text
}

/// Compares `text` with the golden text `name`.
fn check(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/screens").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, text).unwrap();
    }
    let golden = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(text, golden, "{name} differs; `UPDATE_GOLDEN=1` updates it");
}

/// Returns the final screen of a command at each width.
fn final_screens(sandbox: &dyn Fn() -> Sandbox, arguments: &[&str], code: i32) -> String {
    let mut text = String::new();
    for columns in WIDTHS {
        let (ended, lines) = Pty::open(&sandbox(), arguments, columns).end();
        assert_eq!(ended, Some(code), "{lines:#?}");
        text += &format!("=== {columns} columns\n{}", screen(&lines, columns));
    }
    text
}

/// Returns the command's output without a terminal.
fn in_ci(sandbox: &Sandbox, arguments: &[&str], code: i32) -> String {
    let ended = sandbox.run(arguments);
    assert_eq!(ended.code, code, "{}", ended.stderr);
    let stable = |text: &str| text.lines().map(|line| format!("{}\n", stable(line))).collect::<String>();
    format!("=== CI, standard error\n{}=== CI, standard output\n{}", stable(&ended.stderr), stable(&ended.stdout))
}

fn parallel() -> Sandbox {
    let steps: String = (1..=200)
        .map(|number| match number {
            120 => "      - {id: host_120, type: shell, command: 'echo no route; exit 3'}\n".to_owned(),
            _ => format!("      - {{id: host_{number:03}, type: set, params: {{n: {number}}}}}\n"),
        })
        .collect();
    Sandbox::with_flow(&format!("name: fan\nsteps:\n  - id: all\n    type: parallel\n    steps:\n{steps}"))
}

#[test]
fn summary_of_200_parallel_steps_does_not_scroll_away() {
    check("parallel.txt", &final_screens(&parallel, &["run", "flow.yaml"], 1));
    let ci = parallel().run(&["run", "flow.yaml"]);
    let mut lines: Vec<String> = ci.stderr.lines().map(stable).collect();
    assert_eq!(lines.iter().filter(|line| line.contains("completed /main/all/host_")).count(), 199);
    let summary = lines.split_off(lines.iter().position(|line| line.starts_with("✗ failed fan")).unwrap());
    check("parallel_ci.txt", &format!("{}\n", summary.join("\n")));
}

#[test]
fn failure_is_shown_with_the_command_for_its_output() {
    let sandbox = || {
        Sandbox::with_flow(
            "name: deploy\nsteps:\n  - {id: build, type: shell, command: 'echo built'}\n  \
             - {id: upload, type: shell, command: 'echo no route to host >&2; exit 3'}\n  \
             - {id: announce, type: shell, command: 'true'}\n",
        )
    };
    let screens = final_screens(&sandbox, &["run", "flow.yaml"], 1);
    check("failure.txt", &(screens + &in_ci(&sandbox(), &["run", "flow.yaml", "--logs"], 1)));
}

fn waits() -> Sandbox {
    Sandbox::with_flow(
        "name: release\nsteps:\n  - {id: build, type: set, params: {x: 1}}\n  \
         - {id: approve, type: wait_for_event, event: approved, timeout: 1h}\n",
    )
}

#[test]
fn wait_is_shown_until_its_event_arrives() {
    let mut text = String::new();
    for columns in WIDTHS {
        let sandbox = waits();
        let shown = Pty::open(&sandbox, &["run", "flow.yaml", "--wait"], columns);
        shown.wait_for("spellflow signal");
        text += &format!("=== {columns} columns, while it waits\n{}", screen(&shown.lines(), columns));
        assert_eq!(sandbox.run(&["signal", "@last", "approved"]).code, 0);
        let (code, lines) = shown.end();
        assert_eq!(code, Some(0), "{lines:#?}");
        text += &format!("=== {columns} columns, after the answer\n{}", screen(&lines, columns));
    }
    let parked = final_screens(&waits, &["run", "flow.yaml"], 5);
    check("wait.txt", &(text + "=== without `--wait`\n" + &parked + &in_ci(&waits(), &["run", "flow.yaml"], 5)));
}

/// A run resumed before its event has arrived reports its wait again.
#[test]
fn wait_of_a_resumed_run_is_shown_in_ci() {
    let sandbox = waits();
    assert_eq!(sandbox.run(&["run", "flow.yaml"]).code, 5);
    let resumed = Terminal::open(&sandbox, &["resume", "@last", "--wait"]);
    let mut lines = Vec::new();
    while !lines.iter().any(|line: &String| line.starts_with("  next: spellflow signal")) {
        lines.push(resumed.stderr.recv_timeout(TIMEOUT).unwrap());
    }
    let wait = lines.iter().find(|line| line.starts_with("… waiting   /main/approve  for the event `approved`"));
    assert!(wait.is_some(), "{lines:#?}");
    assert_eq!(sandbox.run(&["signal", "@last", "approved"]).code, 0);
    assert_eq!(resumed.end().0, Some(0));
}

#[test]
fn ctrl_c_lists_the_running_steps() {
    let flow = "name: long\nsteps:\n  - {id: one, type: shell, command: 'echo up > alive; read told < tell'}\n  \
                - {id: two, type: shell, command: 'true'}\n";
    let sandbox = || Sandbox::with_flow(flow).file("spellflow.toml", "pause_grace = '1h'\n");
    let mut text = String::new();
    for columns in WIDTHS {
        let sandbox = sandbox();
        let alive = sandbox.pipe("alive");
        sandbox.make_pipe("tell");
        let shown = Pty::open(&sandbox, &["run", "flow.yaml"], columns);
        assert_eq!(alive.recv_timeout(TIMEOUT).as_deref(), Ok("up"));
        shown.interrupt();
        shown.wait_for("still running: one");
        text += &format!("=== {columns} columns, at once\n{}", screen(&shown.lines(), columns));
        release_step(&sandbox);
        let (code, lines) = shown.end();
        assert_eq!(code, Some(5), "{lines:#?}");
        text += &format!("=== {columns} columns, after the step ended\n{}", screen(&lines, columns));
    }
    let sandbox = sandbox();
    let alive = sandbox.pipe("alive");
    sandbox.make_pipe("tell");
    let ci = Terminal::open(&sandbox, &["run", "flow.yaml"]);
    assert_eq!(alive.recv_timeout(TIMEOUT).as_deref(), Ok("up"));
    ci.signal(rustix::process::Signal::INT);
    let mut lines = Vec::new();
    while !lines.iter().any(|line: &String| line.contains("still running")) {
        lines.push(ci.stderr.recv_timeout(TIMEOUT).unwrap());
    }
    release_step(&sandbox);
    let (code, _, rest) = ci.end();
    assert_eq!(code, Some(5), "{rest}");
    lines.extend(rest.lines().map(str::to_owned));
    let ci: String = lines.iter().map(|line| format!("{}\n", stable(line))).collect();
    check("ctrl_c.txt", &format!("{text}=== CI, standard error\n{ci}"));
}

#[test]
fn runs_list_fits_narrow_terminals() {
    let sandbox = waits().file("ok.yaml", "name: nightly-report\nsteps: [{id: a, type: set, params: {x: 1}}]").file(
        "fails.yaml",
        "name: deploy\nsteps: [{id: upload, type: shell, command: 'echo no route to host; exit 3'}]",
    );
    for (file, code) in [("ok.yaml", 0), ("fails.yaml", 1), ("flow.yaml", 5)] {
        assert_eq!(sandbox.run(&["run", file]).code, code);
    }
    let mut text = String::new();
    for columns in WIDTHS {
        let (code, lines) = Pty::open(&sandbox, &["runs", "list"], columns).end();
        assert_eq!(code, Some(0));
        assert!(lines.iter().all(|line| line.trim_end().chars().count() <= columns.into()), "{lines:#?}");
        text += &format!("=== {columns} columns\n{}", screen(&lines, columns));
    }
    check("runs_list.txt", &(text + &in_ci(&sandbox, &["runs", "list"], 0)));
}
