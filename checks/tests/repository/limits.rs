//! `docs/limits.md` is generated from the code.

use std::fmt::Write as _;

use llmspell_workflows_basic::Limits;
use llmspell_workflows_tools::Policy;
use syn::{Attribute, BinOp, Expr, Item, Lit, Meta, Visibility};

use crate::support::{assert_generated, files, text};

const HEAD: &str = "# Limits

Generated from the code. Exceeding a limit is an error that names it, never a silent truncation, unless stated otherwise.
";

#[test]
fn limits_page_is_up_to_date() {
    let mut page = HEAD.to_owned();
    section(
        &mut page,
        "Engine",
        "Set by `Engine::builder().limits(…)`.",
        Limits::default()
            .table()
            .into_iter()
            .map(|(name, value, meaning)| [name.to_owned(), digits(&value), meaning.to_owned()]),
    );
    let expressions = constants("crates/llmspell-workflows-basic/src/expr/limits.rs", |_| true);
    section(&mut page, "Expressions", "Fixed.", expressions);
    let definitions = constants("crates/llmspell-workflows-definition/src/limits.rs", |_| true);
    section(&mut page, "Definitions in YAML and JSON", "Fixed.", definitions);
    let secrets = constants("crates/llmspell-workflows-basic/src/secrets/forms.rs", |name| name.starts_with("SECRET_"));
    section(&mut page, "Secrets", "Fixed.", secrets);
    section(&mut page, "Tool policy", "Set by `[tools]` in `spellflow.toml`, or in `Policy`.", policy());
    let tools = files("crates/llmspell-workflows-tools/src", ".rs");
    let tools: Vec<_> = tools.iter().flat_map(|path| constants(path, |name| name.ends_with("_MAX"))).collect();
    section(&mut page, "Tools", "Fixed.", tools);
    let foreign = constants("crates/llmspell-workflows-state/src/foreign/limits.rs", |_| true);
    section(&mut page, "Imported runs", "Fixed.", foreign);
    let hooks = files("crates/llmspell-workflows-hooks/src", ".rs");
    let hooks: Vec<_> = hooks.iter().flat_map(|path| constants(path, |name| name.ends_with("_MAX"))).collect();
    section(&mut page, "Hooks and events", "Fixed, except that a subscriber may choose its own buffer size.", hooks);
    assert_generated("docs/limits.md", &page);
}

fn section(page: &mut String, title: &str, how: &str, rows: impl IntoIterator<Item = [String; 3]>) {
    write!(page, "\n## {title}\n\n{how}\n\n| limit | default | meaning |\n|---|--:|---|\n").unwrap();
    for [name, value, meaning] in rows {
        writeln!(page, "| `{name}` | {value} | {meaning} |").unwrap();
    }
}

/// Returns the limits of the policy, with the docs of its fields.
fn policy() -> Vec<[String; 3]> {
    let policy = Policy::default();
    let values = [
        ("file_bytes_max", policy.file_bytes_max),
        ("rows_held_bytes_max", policy.rows_held_bytes_max as u64),
        ("response_bytes_max", policy.response_bytes_max as u64),
        ("request_timeout_ms", policy.request_timeout_ms),
        ("redirects_max", policy.redirects_max as u64),
        ("output_bytes_max", policy.output_bytes_max as u64),
    ];
    let file = syn::parse_file(&text("crates/llmspell-workflows-tools/src/policy.rs")).unwrap();
    let fields = file.items.iter().find_map(|item| match item {
        Item::Struct(policy) if policy.ident == "Policy" => Some(&policy.fields),
        _ => None,
    });
    let limits = fields.unwrap().iter().filter_map(|field| {
        let name = field.ident.as_ref().unwrap().to_string();
        (name.ends_with("_max") || name.ends_with("_ms")).then(|| (name, first_sentence(&field.attrs)))
    });
    limits
        .map(|(name, docs)| {
            let value =
                values.iter().find(|(other, _)| *other == name).unwrap_or_else(|| panic!("{name} has no value here")).1;
            [name, digits(&value.to_string()), docs.split(';').next().unwrap().trim_end_matches('.').to_owned()]
        })
        .collect()
}

/// Returns the numeric constants in the file at `path` whose names satisfy `is_limit`.
fn constants(path: &str, is_limit: impl Fn(&str) -> bool) -> Vec<[String; 3]> {
    let file = syn::parse_file(&text(path)).unwrap();
    let constants = file.items.into_iter().filter_map(|item| match item {
        Item::Const(constant) => Some(constant),
        _ => None,
    });
    constants
        .filter(|constant| matches!(constant.vis, Visibility::Public(_)) || path.contains("-tools/"))
        .filter(|constant| is_limit(&constant.ident.to_string()))
        .filter_map(|constant| {
            let value = number(&constant.expr)?;
            let docs = first_sentence(&constant.attrs);
            let name = match path.split_once("-tools/src/") {
                Some((_, place)) => {
                    format!("{} {}", place.trim_end_matches(".rs").trim_end_matches("/mod"), constant.ident)
                }
                None => constant.ident.to_string(),
            };
            Some([name, digits(&value.to_string()), docs])
        })
        .collect()
}

/// Evaluates integer literals, products and shifts.
fn number(expression: &Expr) -> Option<u64> {
    match expression {
        Expr::Lit(literal) => match &literal.lit {
            Lit::Int(number) => number.base10_parse().ok(),
            _ => None,
        },
        Expr::Binary(binary) => {
            let (left, right) = (number(&binary.left)?, number(&binary.right)?);
            match binary.op {
                BinOp::Mul(_) => Some(left * right),
                BinOp::Shl(_) => Some(left << right),
                _ => None,
            }
        }
        _ => None,
    }
}

/// Formats a number with commas, and also in Ki or Mi if it is a multiple of one of these units.
fn digits(text: &str) -> String {
    let Ok(number) = text.parse::<u64>() else { return text.to_owned() };
    let mut grouped = String::new();
    for (position, digit) in text.chars().enumerate() {
        if position > 0 && (text.len() - position).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    match number {
        1_048_576.. if number % 1_048_576 == 0 => format!("{grouped} ({} Mi)", number / 1_048_576),
        1024.. if number % 1024 == 0 => format!("{grouped} ({} Ki)", number / 1024),
        _ => grouped,
    }
}

/// Returns the first sentence of a doc comment.
fn first_sentence(attributes: &[Attribute]) -> String {
    let lines = attributes.iter().filter_map(|attribute| match &attribute.meta {
        Meta::NameValue(pair) if pair.path.is_ident("doc") => match &pair.value {
            Expr::Lit(literal) => match &literal.lit {
                Lit::Str(text) => Some(text.value().trim().to_owned()),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    });
    let text = lines.collect::<Vec<_>>().join(" ");
    let text = text.replace("[`", "`").replace("`]", "`");
    text.split(". ").next().unwrap_or_default().trim_end_matches('.').to_owned()
}
