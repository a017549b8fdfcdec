//! String functions.

use serde_json::Value;

use super::{Arguments, Function, FunctionKind};
use crate::expr::error::Fault;
use crate::expr::limits::Budget;
use crate::expr::value::ExprValue;

pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        names: &["upper", "toUpperCase"],
        parameters: &["text"],
        returns: "the string in upper case",
        example: ("'ada'.toUpperCase()", r#""ADA""#),
        kind: FunctionKind::Call(upper),
    },
    Function {
        names: &["lower", "toLowerCase"],
        parameters: &["text"],
        returns: "the string in lower case",
        example: ("'ADA' | lower", r#""ada""#),
        kind: FunctionKind::Call(lower),
    },
    Function {
        names: &["trim"],
        parameters: &["text"],
        returns: "the string without leading and trailing whitespace",
        example: ("' ada '.trim()", r#""ada""#),
        kind: FunctionKind::Call(trim),
    },
    Function {
        names: &["startsWith", "starts_with"],
        parameters: &["text", "part"],
        returns: "whether the string starts with the part",
        example: ("'feature/login'.startsWith('feature/')", "true"),
        kind: FunctionKind::Call(starts_with),
    },
    Function {
        names: &["endsWith", "ends_with"],
        parameters: &["text", "part"],
        returns: "whether the string ends with the part",
        example: ("'main.rs'.endsWith('.rs')", "true"),
        kind: FunctionKind::Call(ends_with),
    },
    Function {
        names: &["split"],
        parameters: &["text", "separator"],
        returns: "the parts between separators; the characters if the separator is empty",
        example: ("'a,b'.split(',')", r#"["a","b"]"#),
        kind: FunctionKind::Call(split),
    },
    Function {
        names: &["replace"],
        parameters: &["text", "from", "to"],
        returns: "the string with every literal `from` replaced",
        example: ("'a b c'.replace(' ', '-')", r#""a-b-c""#),
        kind: FunctionKind::Call(replace),
    },
];

fn upper<'e, 's>(a: &mut Arguments<'e, 's>, budget: &mut Budget) -> Result<ExprValue<'e, 's>, Fault> {
    let text = a.text(0)?;
    budget.text(text.len())?;
    let upper = text.to_uppercase();
    budget.produce(upper.len())?;
    Ok(upper.into())
}

fn lower<'e, 's>(a: &mut Arguments<'e, 's>, budget: &mut Budget) -> Result<ExprValue<'e, 's>, Fault> {
    let text = a.text(0)?;
    budget.text(text.len())?;
    let lower = text.to_lowercase();
    budget.produce(lower.len())?;
    Ok(lower.into())
}

fn trim<'e, 's>(a: &mut Arguments<'e, 's>, budget: &mut Budget) -> Result<ExprValue<'e, 's>, Fault> {
    let text = a.text(0)?;
    budget.text(text.len())?;
    let text = text.trim();
    budget.produce(text.len())?;
    Ok(text.into())
}

fn starts_with<'e, 's>(a: &mut Arguments<'e, 's>, budget: &mut Budget) -> Result<ExprValue<'e, 's>, Fault> {
    let part = a.text(1)?;
    budget.text(part.len())?;
    Ok(a.text(0)?.starts_with(part).into())
}

fn ends_with<'e, 's>(a: &mut Arguments<'e, 's>, budget: &mut Budget) -> Result<ExprValue<'e, 's>, Fault> {
    let part = a.text(1)?;
    budget.text(part.len())?;
    Ok(a.text(0)?.ends_with(part).into())
}

fn split<'e, 's>(a: &mut Arguments<'e, 's>, budget: &mut Budget) -> Result<ExprValue<'e, 's>, Fault> {
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

fn replace<'e, 's>(a: &mut Arguments<'e, 's>, budget: &mut Budget) -> Result<ExprValue<'e, 's>, Fault> {
    let (text, from, to) = (a.text(0)?, a.text(1)?, a.text(2)?);
    if from.is_empty() {
        return Err(Fault::Type("`replace` expects a non-empty string as `from`".to_owned()));
    }
    budget.text(text.len())?;
    let count = text.matches(from).count();
    budget.produce(text.len().saturating_add(count.saturating_mul(to.len())))?;
    Ok(text.replace(from, to).into())
}
