use llmspell_workflows_basic::model::Step;
use serde_json::{Value, json};

use crate::problems;

#[test]
fn temp() {
    for params in [
        json!({"command": "echo {{ title }}"}),
        json!({"command": "echo \"Hello {{ loop.item.title }}!\" '{{ b }}' > out"}),
        json!({"command": "a=1; echo \"{{ path }}x\" | grep {{ x + 1 }}"}),
        json!({"argv": ["sh", "-c", "echo {{ t }}"]}),
        json!({"argv": ["ssh", "h", "echo {{ t }}"]}),
        json!({"command": "echo '{{ t | shell_quote }}' && x"}),
    ] {
        for p in problems(Step::activity("go", "shell", "", params.clone())) {
            println!("{params}\n{} {:?} {}\n{}\n", p.code, p.place, p.message, p.help.unwrap_or_default());
        }
    }
}
