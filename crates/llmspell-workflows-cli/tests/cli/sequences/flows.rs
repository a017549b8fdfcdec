//! The workflows of the sequences. Each step writes its start and its end to the history.

use llmspell_workflows_testing::history::Sequences;

use crate::support::Sandbox;

/// The names and texts of the workflows.
pub(super) const FLOWS: [(&str, &str); 7] = [
    ("sequence.yaml", SEQUENCE),
    ("loop.yaml", LOOP),
    ("parallel.yaml", PARALLEL),
    ("nested.yaml", NESTED),
    ("failing.yaml", FAILING),
    ("undone.yaml", UNDONE),
    ("waiting.yaml", WAITING),
];

/// Corrections of a workflow, as texts and their replacements, and the steps that may run again
/// because of them: the changed steps and the steps after them.
struct Corrections {
    flow: &'static str,
    changes: &'static [(&'static str, &'static str)],
    run_again: &'static [&'static str],
}

const CHANGED_LAST: (&str, &str) =
    ("{id: last, type: shell, command: 'sh effect.sh", "{id: last, type: shell, command: 'true; sh effect.sh");

const NEW_BEFORE_LAST: (&str, &str) =
    ("  - {id: last,", "  - {id: more, type: shell, command: 'sh effect.sh'}\n  - {id: last,");

const CORRECTIONS: [Corrections; 7] = [
    Corrections {
        flow: "sequence.yaml",
        changes: &[CHANGED_LAST, NEW_BEFORE_LAST],
        run_again: &["/main/more", "/main/last"],
    },
    Corrections {
        flow: "loop.yaml",
        changes: &[
            ("{id: two, type: shell, command: '", "{id: two, type: shell, command: 'true; "),
            ("end: 3", "end: 4"),
        ],
        run_again: &["/main/each", "/main/last"],
    },
    Corrections {
        flow: "parallel.yaml",
        changes: &[("{id: two, type: shell, command: '", "{id: two, type: shell, command: 'true; "), NEW_BEFORE_LAST],
        run_again: &["/main/both/left/two", "/main/more", "/main/last"],
    },
    Corrections {
        flow: "nested.yaml",
        changes: &[("{id: two, type: shell, command: '", "{id: two, type: shell, command: 'true; "), CHANGED_LAST],
        run_again: &["/main/two", "/main/last"],
    },
    Corrections {
        flow: "failing.yaml",
        changes: &[("sh effect.sh 5", "sh effect.sh"), NEW_BEFORE_LAST],
        run_again: &["/main/flaky", "/main/more", "/main/last"],
    },
    Corrections { flow: "undone.yaml", changes: &[("; exit 1", ""), CHANGED_LAST], run_again: &["/main/last"] },
    Corrections {
        flow: "waiting.yaml",
        changes: &[CHANGED_LAST, NEW_BEFORE_LAST],
        run_again: &["/main/more", "/main/last"],
    },
];

/// Writes the workflows and their corrections.
pub(super) fn write(sandbox: Sandbox) -> Sandbox {
    let corrected = FLOWS.iter().flat_map(|(flow, text)| {
        let changes = of(flow).changes.iter().enumerate();
        changes.map(move |(number, (from, to))| {
            assert!(text.contains(from), "`{from}` is not in {flow}");
            (corrected(flow, number), text.replace(from, to))
        })
    });
    let sandbox = corrected.fold(sandbox, |sandbox, (name, text)| sandbox.file(&name, &text));
    FLOWS.iter().fold(sandbox, |sandbox, (name, text)| sandbox.file(name, text))
}

fn of(flow: &str) -> &'static Corrections {
    CORRECTIONS.iter().find(|corrections| corrections.flow == flow).expect("the workflow has corrections")
}

fn corrected(flow: &str, number: usize) -> String {
    format!("corrected-{number}-{flow}")
}

/// Returns the files with a workflow's definitions: the original one and its corrections.
pub(super) fn definitions(flow: &str) -> Vec<String> {
    let numbers = 0..of(flow).changes.len();
    std::iter::once(flow.to_owned()).chain(numbers.map(|number| corrected(flow, number))).collect()
}

/// Returns the steps of a workflow that may run again because of a changed definition.
pub(super) fn run_again(flow: &str) -> Vec<String> {
    of(flow).run_again.iter().map(|step| (*step).to_owned()).collect()
}

const SEQUENCE: &str = "
name: sequence
steps:
  - {id: first, type: shell, command: 'sh effect.sh'}
  - {id: once, type: shell, command: 'sh effect.sh', at_most_once: true}
  - {id: last, type: shell, command: 'sh effect.sh'}
";

const LOOP: &str = "
name: loop
steps:
  - {id: first, type: shell, command: 'sh effect.sh'}
  - id: each
    type: loop
    range: {start: 0, end: 3}
    steps:
      - {id: one, type: shell, command: 'sh effect.sh'}
      - {id: two, type: shell, command: 'sh effect.sh'}
  - {id: last, type: shell, command: 'sh effect.sh'}
";

const PARALLEL: &str = "
name: parallel
steps:
  - id: both
    type: parallel
    steps:
      - id: left
        type: sequence
        steps:
          - {id: one, type: shell, command: 'sh effect.sh'}
          - {id: two, type: shell, command: 'sh effect.sh'}
      - {id: right, type: shell, command: 'sh effect.sh'}
  - {id: last, type: shell, command: 'sh effect.sh'}
";

const NESTED: &str = "
name: nested
steps:
  - {id: first, type: shell, command: 'sh effect.sh'}
  - {id: sub, type: workflow, workflow: child}
  - {id: last, type: shell, command: 'sh effect.sh'}
workflows:
  child:
    name: child
    steps:
      - {id: one, type: shell, command: 'sh effect.sh'}
      - {id: two, type: shell, command: 'sh effect.sh'}
";

const FAILING: &str = "
name: failing
steps:
  - {id: first, type: shell, command: 'sh effect.sh'}
  - {id: flaky, type: shell, command: 'sh effect.sh 5', retry: {strategy: fixed_delay, max_attempts: 2, initial_delay: 1ms, jitter: false}}
  - {id: last, type: shell, command: 'sh effect.sh'}
finally:
  - {id: tidy, type: shell, command: 'sh effect.sh'}
  - {id: close, type: shell, command: 'sh effect.sh'}
";

const UNDONE: &str = "
name: undone
steps:
  - {id: first, type: shell, command: 'sh effect.sh', compensate: {type: shell, command: 'sh effect.sh'}}
  - {id: second, type: shell, command: 'sh effect.sh', compensate: {type: shell, command: 'sh effect.sh'}}
  - {id: last, type: shell, command: 'sh effect.sh; exit 1'}
finally:
  - {id: tidy, type: shell, command: 'sh effect.sh'}
";

const WAITING: &str = "
name: waiting
steps:
  - {id: first, type: shell, command: 'sh effect.sh'}
  - {id: gate, type: wait_for_event, event: go}
  - {id: last, type: shell, command: 'sh effect.sh'}
";

/// Returns the order of the steps in all workflows. The step names are chosen so that one set of
/// lists covers all workflows.
pub(super) fn sequences() -> Sequences {
    let lists: [&[&str]; 5] = [
        &[
            "/main/first",
            "/main/second",
            "/main/once",
            "/main/each[*]",
            "/main/both",
            "/main/sub",
            "/main/flaky",
            "/main/gate",
            "/main/more",
            "/main/last",
            "/main/$finally",
        ],
        &["/main/each[*]/one", "/main/each[*]/two"],
        &["/main/both/left/one", "/main/both/left/two"],
        &["/main/one", "/main/two"],
        &["/main/$finally/tidy", "/main/$finally/close"],
    ];
    Sequences(lists.iter().map(|list| list.iter().map(|step| (*step).to_owned()).collect()).collect())
}
