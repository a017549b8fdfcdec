//! Finds calls in jq terms.

use jaq_core::load::lex::StrPart;
use jaq_core::load::parse::{BinaryOp, Pattern, Term};
use jaq_core::path::{Part, Path};

/// Returns whether `term` contains a call to `name` with `arity` arguments.
pub(super) fn has_call(term: &Term<&str>, name: &str, arity: usize) -> bool {
    let mut stack = vec![term];
    while let Some(term) = stack.pop() {
        if matches!(term, Term::Call(called, arguments) if *called == name && arguments.len() == arity) {
            return true;
        }
        push_parts(term, &mut stack);
    }
    false
}

fn push_parts<'t, 's>(term: &'t Term<&'s str>, left: &mut Vec<&'t Term<&'s str>>) {
    match term {
        Term::Id | Term::Recurse | Term::Num(_) | Term::Break(_) | Term::Var(_) => {}
        Term::Str(_, parts) => left.extend(parts.iter().filter_map(|part| match part {
            StrPart::Term(term) => Some(term),
            _ => None,
        })),
        Term::Arr(items) => left.extend(items.as_deref()),
        Term::Obj(entries) => left.extend(entries.iter().flat_map(|(key, value)| [key].into_iter().chain(value))),
        Term::Neg(term) | Term::Label(_, term) => left.push(term),
        Term::BinOp(one, op, other) => {
            left.extend([&**one, &**other]);
            if let BinaryOp::Pipe(Some(pattern)) = op {
                push_pattern(pattern, left);
            }
        }
        Term::Fold(_, items, pattern, rest) => {
            left.push(items);
            push_pattern(pattern, left);
            left.extend(rest);
        }
        Term::TryCatch(body, caught) => left.extend([&**body].into_iter().chain(caught.as_deref())),
        Term::IfThenElse(branches, otherwise) => {
            left.extend(branches.iter().flat_map(|(condition, then)| [condition, then]));
            left.extend(otherwise.as_deref());
        }
        Term::Def(definitions, body) => {
            left.extend(definitions.iter().map(|definition| &definition.body));
            left.push(body);
        }
        Term::Call(_, arguments) => left.extend(arguments),
        Term::Path(of, Path(parts)) => {
            left.push(of);
            for (part, _) in parts {
                match part {
                    Part::Index(index) => left.push(index),
                    Part::Range(from, to) => left.extend(from.iter().chain(to)),
                }
            }
        }
    }
}

fn push_pattern<'t, 's>(pattern: &'t Pattern<&'s str>, left: &mut Vec<&'t Term<&'s str>>) {
    match pattern {
        Pattern::Var(_) => {}
        Pattern::Arr(items) => items.iter().for_each(|item| push_pattern(item, left)),
        Pattern::Obj(entries) => {
            for (key, value) in entries {
                left.push(key);
                push_pattern(value, left);
            }
        }
    }
}
