use llmspell_workflows_basic::{Engine, activity::Activities};
use llmspell_workflows_definition::{Document, StepTypes, Style, check};
use llmspell_workflows_tests::{engine, policy};
use tempfile::TempDir;

/// A deterministic random number generator.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % end as u64).unwrap()
    }

    pub(crate) fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())]
    }

    /// Returns a text that would create the file `owned` if a shell executed any part of it as a
    /// command.
    pub(crate) fn hostile(&mut self) -> String {
        (0..self.below(7)).map(|_| self.pick(PIECES)).collect()
    }
}

const PIECES: &[&str] = &[
    "'",
    "\"",
    "`",
    "\\",
    "$",
    "\n",
    "\t",
    " ",
    ";",
    "&",
    "|",
    ">",
    "<",
    "(",
    ")",
    "{",
    "}",
    "#",
    "*",
    "~",
    "!",
    "=",
    "-",
    "%",
    "%00",
    "+",
    "?",
    "/",
    "..",
    ".",
    "@",
    ":",
    "\r",
    "{{ x }}",
    "${x}",
    "a",
    "é",
    "\u{1f600}",
    "\u{202e}",
    "EOF\n",
    "\nEOF\n",
    "touch owned",
    "; touch owned;",
    "$(touch owned)",
    "`touch owned`",
    "'; touch owned; '",
    "\"; touch owned; \"",
    "\n touch owned\n",
    "&x=1",
    "#x",
    "a[$(touch owned)]",
];

/// Returns the environment variable `name` as a number.
pub(crate) fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |text| text.parse().unwrap())
}

/// Returns an engine whose processes run in an empty folder.
pub(crate) fn in_folder() -> (TempDir, Engine) {
    let folder = tempfile::tempdir().unwrap();
    let mut policy = policy(None, Some(folder.path()));
    policy.programs = vec!["*".to_owned()];
    policy.read_roots = vec![folder.path().into()];
    (folder, engine(policy, Activities::new()).build())
}

/// Checks a definition like `spellflow validate`; returns the rendered diagnostics of an invalid
/// definition.
pub(crate) fn validate(text: &str, engine: &Engine) -> Result<Document, String> {
    check(text, "flow.yaml", &StepTypes::new(), |definition| engine.validate(definition.clone()))
        .map_err(|diagnostics| diagnostics.render(Style::Plain))
}
