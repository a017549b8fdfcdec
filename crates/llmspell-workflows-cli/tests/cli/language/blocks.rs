//! The code blocks of a page.

/// A code block.
pub(super) struct Block {
    /// The first two words after the opening fence.
    pub(super) kind: String,
    /// Whether the block shows the behavior of the next version.
    pub(super) is_new_rule: bool,
    pub(super) text: String,
    pub(super) line: usize,
}

/// Returns the code blocks of `page`, in groups: a definition and the following blocks about its
/// run form one group.
pub(super) fn blocks(page: &str) -> Vec<Vec<Block>> {
    let mut groups: Vec<Vec<Block>> = Vec::new();
    let mut open: Option<Block> = None;
    for (number, line) in page.lines().enumerate() {
        match (&mut open, line.strip_prefix("```")) {
            (None, Some(info)) => {
                let words: Vec<_> = info.split_whitespace().collect();
                let is_new_rule = words.contains(&"NEW-RULE");
                let kind = words.iter().copied().filter(|word| *word != "NEW-RULE").collect::<Vec<_>>().join(" ");
                open = Some(Block { kind, is_new_rule, text: String::new(), line: number + 1 });
            }
            (Some(_), Some(_)) => {
                let block = open.take().unwrap();
                match groups.last_mut() {
                    Some(group) if block.is_about_a_run() => group.push(block),
                    _ => groups.push(vec![block]),
                }
            }
            (Some(block), None) => block.text += &format!("{line}\n"),
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a code block is not closed");
    groups
}

impl Block {
    /// Returns whether the block describes the run of the preceding definition.
    fn is_about_a_run(&self) -> bool {
        matches!(self.kind.as_str(), "json output" | "json error" | "json steps" | "text diagnostics")
    }

    /// Returns the name of the file in the block, and the arguments of the command that runs the
    /// file.
    pub(super) fn file(&self) -> (&str, &str) {
        let first = self.text.lines().next().and_then(|line| line.strip_prefix("# ")).unwrap_or_default();
        let file = first.strip_prefix("spellflow run ").unwrap_or(first);
        let (name, arguments) = file.split_once(' ').unwrap_or((file, ""));
        if name.ends_with(".yaml") || name.ends_with(".toml") { (name, arguments) } else { ("flow.yaml", "") }
    }
}

#[test]
fn blocks_about_a_run_follow_its_definition() {
    let page = "# Page\n```yaml run NEW-RULE\n# spellflow run a.yaml --input 'x=1'\nname: a\n```\ntext\n\
                ```json output\n1\n```\n```console\n$ ls\n```\n";
    let groups = blocks(page);
    let kinds: Vec<Vec<_>> =
        groups.iter().map(|group| group.iter().map(|block| block.kind.as_str()).collect()).collect();
    assert_eq!(kinds, [vec!["yaml run", "json output"], vec!["console"]]);
    assert!(groups[0][0].is_new_rule && !groups[0][1].is_new_rule);
    assert_eq!(groups[0][0].file(), ("a.yaml", "--input 'x=1'"));
    assert_eq!(groups[1][0].line, 10);
}
