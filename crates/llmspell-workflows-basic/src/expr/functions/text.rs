//! Functions of texts.

use serde_json::Value;

use super::write::plain_text;
use super::{Arguments, Function, Run};
use crate::expr::error::Fault;
use crate::expr::held::Held;
use crate::expr::limits::Budget;

pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        names: &["upper", "toUpperCase"],
        parameters: &["text"],
        gives: "the string in upper case",
        example: ("'ada'.toUpperCase()", r#""ADA""#),
        run: Run::Call(upper),
    },
    Function {
        names: &["lower", "toLowerCase"],
        parameters: &["text"],
        gives: "the string in lower case",
        example: ("'ADA' | lower", r#""ada""#),
        run: Run::Call(lower),
    },
    Function {
        names: &["trim"],
        parameters: &["text"],
        gives: "the string without leading and trailing whitespace",
        example: ("' ada '.trim()", r#""ada""#),
        run: Run::Call(trim),
    },
    Function {
        names: &["startsWith", "starts_with"],
        parameters: &["text", "part"],
        gives: "whether the string starts with the part",
        example: ("'feature/login'.startsWith('feature/')", "true"),
        run: Run::Call(starts_with),
    },
    Function {
        names: &["endsWith", "ends_with"],
        parameters: &["text", "part"],
        gives: "whether the string ends with the part",
        example: ("'main.rs'.endsWith('.rs')", "true"),
        run: Run::Call(ends_with),
    },
    Function {
        names: &["split"],
        parameters: &["text", "separator"],
        gives: "the parts between separators; the characters if the separator is empty",
        example: ("'a,b'.split(',')", r#"["a","b"]"#),
        run: Run::Call(split),
    },
    Function {
        names: &["replace"],
        parameters: &["text", "from", "to"],
        gives: "the string with every literal `from` replaced",
        example: ("'a b c'.replace(' ', '-')", r#""a-b-c""#),
        run: Run::Call(replace),
    },
    Function {
        names: &["shell_quote"],
        parameters: &["value"],
        gives: "the value as a quoted word for a POSIX shell; for a list, its elements as words",
        example: (r#"["it's", 'a b'] | shell_quote"#, r#""'it'\\''s' 'a b'""#),
        run: Run::Call(shell_quote),
    },
];

fn upper<'e, 's>(a: &mut Arguments<'e, 's>, budget: &mut Budget) -> Result<Held<'e, 's>, Fault> {
    let text = a.text(0)?;
    budget.text(text.len())?;
    let upper = text.to_uppercase();
    budget.produce(upper.len())?;
    Ok(upper.into())
}

fn lower<'e, 's>(a: &mut Arguments<'e, 's>, budget: &mut Budget) -> Result<Held<'e, 's>, Fault> {
    let text = a.text(0)?;
    budget.text(text.len())?;
    let lower = text.to_lowercase();
    budget.produce(lower.len())?;
    Ok(lower.into())
}

fn trim<'e, 's>(a: &mut Arguments<'e, 's>, budget: &mut Budget) -> Result<Held<'e, 's>, Fault> {
    let text = a.text(0)?;
    budget.text(text.len())?;
    let text = text.trim();
    budget.produce(text.len())?;
    Ok(text.into())
}

fn starts_with<'e, 's>(a: &mut Arguments<'e, 's>, budget: &mut Budget) -> Result<Held<'e, 's>, Fault> {
    let part = a.text(1)?;
    budget.text(part.len())?;
    Ok(a.text(0)?.starts_with(part).into())
}

fn ends_with<'e, 's>(a: &mut Arguments<'e, 's>, budget: &mut Budget) -> Result<Held<'e, 's>, Fault> {
    let part = a.text(1)?;
    budget.text(part.len())?;
    Ok(a.text(0)?.ends_with(part).into())
}

fn split<'e, 's>(a: &mut Arguments<'e, 's>, budget: &mut Budget) -> Result<Held<'e, 's>, Fault> {
    let (text, separator) = (a.text(0)?, a.text(1)?);
    budget.text(text.len())?;
    let mut parts = Vec::new();
    let mut push = |part: &str| {
        budget.produce_items(1)?;
        budget.produce(part.len())?;
        parts.push(Value::from(part));
        Ok(())
    };
    if separator.is_empty() {
        let mut buffer = [0; 4];
        text.chars().try_for_each(|character| push(character.encode_utf8(&mut buffer)))?;
    } else {
        text.split(separator).try_for_each(push)?;
    }
    Ok(Value::Array(parts).into())
}

fn replace<'e, 's>(a: &mut Arguments<'e, 's>, budget: &mut Budget) -> Result<Held<'e, 's>, Fault> {
    let (text, from, to) = (a.text(0)?, a.text(1)?, a.text(2)?);
    if from.is_empty() {
        return Err(Fault::Type("`replace` needs a text to look for, not an empty one".to_owned()));
    }
    budget.text(text.len())?;
    let count = text.matches(from).count();
    budget.produce(text.len().saturating_add(count.saturating_mul(to.len())))?;
    Ok(text.replace(from, to).into())
}

fn shell_quote<'e, 's>(a: &mut Arguments<'e, 's>, budget: &mut Budget) -> Result<Held<'e, 's>, Fault> {
    let mut line = String::new();
    match a.value(0) {
        Value::Array(items) => {
            budget.items(items.len())?;
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    line.push(' ');
                }
                quote(&mut line, item, budget)?;
            }
        }
        value => quote(&mut line, value, budget)?,
    }
    Ok(line.into())
}

/// Within single quotes a shell reads everything literally, but for the quote itself.
fn quote(line: &mut String, value: &Value, budget: &mut Budget) -> Result<(), Fault> {
    if value.is_array() {
        return Err(Fault::Type("`shell_quote` makes no word of a list within a list".to_owned()));
    }
    let word = plain_text(value, budget)?;
    if word.contains('\0') {
        return Err(Fault::Type("`shell_quote` makes no word of a text with a NUL character".to_owned()));
    }
    budget.produce(3 + word.len() + 3 * word.matches('\'').count())?;
    line.push('\'');
    line.push_str(&word.replace('\'', r"'\''"));
    line.push('\'');
    Ok(())
}
