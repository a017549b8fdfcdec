//! The workflows of the sequences. Each step writes to the history when it begins and when it ends.

use llmspell_workflows_testing::history::Sequences;

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

/// Returns the order of the steps of all workflows; their names are chosen so that one set of lists covers all
/// workflows.
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
