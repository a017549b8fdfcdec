//! Sends what can make a huge value in one operation through the bounded functions of the library.

use std::sync::LazyLock;

use jaq_core::load::lex::StrPart;
use jaq_core::load::parse::{BinaryOp, Def, Pattern, Term};
use jaq_core::ops::Math;
use jaq_core::path::{Part, Path};

use super::calls::has_call;
use super::library::{FLAT, INDEX, LEVEL, SHALLOW, SIZED, TIMES, WHOLE};

/// The variable that a rewritten `a += b` binds.
const OPERAND: &str = "$__operand";

/// The variable that takes the answer of a check, which nothing reads.
const CHECKED: &str = "$__checked";

/// How many numbers [`number`] knows.
const NUMBERS_COUNT: usize = 1 << 16;

/// A number as a literal that lives as long as any query.
fn number(number: usize) -> &'static str {
    static ALL: LazyLock<String> = LazyLock::new(|| (0..NUMBERS_COUNT).map(|number| format!("{number:05}")).collect());
    &ALL[number * 5..number * 5 + 5]
}

/// Sends a definition's additions, products and computed indices through the bounded functions, and has what is called
/// or done again and again look at how deep it nests.
pub(super) fn definition(definition: Def<&str>) -> Def<&str> {
    let Def { name, args, body } = definition;
    if !has_call(&body, name, args.len()) {
        return Def { name, args, body: guarded(body) };
    }
    let (values, filters): (Vec<_>, Vec<_>) = args.iter().copied().partition(|argument| argument.starts_with('$'));
    let mut body = after_look(guarded(body), name, values.into_iter().map(Term::Var));
    // A filter that is an argument holds on to those of the call that it was written in.
    if !filters.is_empty() {
        body = after_check(body, Term::Id, LEVEL);
    }
    Def { name, args, body }
}

/// A look at the input of `term` and at `values`, then `term`; `site` is a part of the source that no other look has.
///
/// Each place counts on its own when it looked last: otherwise one that is passed more often would look in place of
/// the one where a value grows.
fn after_look<'s>(term: Term<&'s str>, site: &'s str, values: impl Iterator<Item = Term<&'s str>>) -> Term<&'s str> {
    let site = Term::Num(number(site.as_ptr().addr() % NUMBERS_COUNT));
    let parts = [site, Term::Id].into_iter().chain(values);
    let all = parts.reduce(|left, right| Term::BinOp(Box::new(left), BinaryOp::Comma, Box::new(right)));
    after_check(term, Term::Arr(all.map(Box::new)), SHALLOW)
}

/// `(of | check) as $__checked | term`, which is in the same place of a path, and a call at its end, as `term` is.
fn after_check<'s>(term: Term<&'s str>, of: Term<&'s str>, check: &'s str) -> Term<&'s str> {
    let bind = BinaryOp::Pipe(Some(Pattern::Var(CHECKED)));
    Term::BinOp(Box::new(piped(of, check)), bind, Box::new(term))
}

fn guarded(term: Term<&str>) -> Term<&str> {
    match term {
        Term::Id | Term::Recurse | Term::Num(_) | Term::Break(_) | Term::Var(_) => term,
        Term::Str(format, parts) => Term::Str(format, parts.into_iter().map(guarded_part).collect()),
        Term::Arr(items) => Term::Arr(items.map(boxed)),
        Term::Obj(entries) => {
            let entry = |(key, value): (_, Option<_>)| (guarded(key), value.map(guarded));
            Term::Obj(entries.into_iter().map(entry).collect())
        }
        Term::Neg(term) => Term::Neg(boxed(term)),
        Term::BinOp(left, op, right) => guarded_operation(boxed(left), op, boxed(right)),
        Term::Label(name, body) => Term::Label(name, boxed(body)),
        Term::Fold(kind, items, pattern, rest) => {
            let mut rest = guarded_all(rest);
            // The second makes the next state of what is there.
            if let Some(update) = rest.get_mut(1) {
                *update = after_look(std::mem::take(update), kind, std::iter::empty());
            }
            Term::Fold(kind, boxed(items), guarded_pattern(pattern), rest)
        }
        Term::TryCatch(body, caught) => Term::TryCatch(boxed(body), caught.map(boxed)),
        Term::IfThenElse(branches, otherwise) => {
            let branch = |(condition, then)| (guarded(condition), guarded(then));
            Term::IfThenElse(branches.into_iter().map(branch).collect(), otherwise.map(boxed))
        }
        Term::Def(definitions, body) => Term::Def(definitions.into_iter().map(definition).collect(), boxed(body)),
        Term::Call("fromjson", arguments) if arguments.is_empty() => {
            after_check(Term::Call("fromjson", arguments), Term::Id, FLAT)
        }
        Term::Call(name, arguments) => Term::Call(name, guarded_all(arguments)),
        Term::Path(of, Path(parts)) => {
            let part = |(part, optional)| (guarded_step(part), optional);
            Term::Path(boxed(of), Path(parts.into_iter().map(part).collect()))
        }
    }
}

fn guarded_operation<'s>(left: Box<Term<&'s str>>, op: BinaryOp<&'s str>, right: Box<Term<&'s str>>) -> Term<&'s str> {
    match op {
        BinaryOp::Math(math) => calculated(math, *left, *right),
        // By jq's definition: `r as $x | l |= . + $x`.
        BinaryOp::UpdateMath(math) => {
            let result = calculated(math, Term::Id, Term::Var(OPERAND));
            let update = Term::BinOp(left, BinaryOp::Update, Box::new(result));
            let bind = BinaryOp::Pipe(Some(Pattern::Var(OPERAND)));
            Term::BinOp(right, bind, Box::new(update))
        }
        BinaryOp::Pipe(Some(pattern)) => Term::BinOp(left, BinaryOp::Pipe(Some(guarded_pattern(pattern))), right),
        _ => Term::BinOp(left, op, right),
    }
}

/// A product is bounded beforehand; a sum, which can only double, when it is made, so that adding to an array that
/// nothing else refers to does not copy it.
fn calculated<'s>(math: Math, left: Term<&'s str>, right: Term<&'s str>) -> Term<&'s str> {
    if math == Math::Mul {
        return Term::Call(TIMES, vec![left, right]);
    }
    let result = Term::BinOp(Box::new(left), BinaryOp::Math(math), Box::new(right));
    if math != Math::Add {
        return result;
    }
    piped(result, SIZED)
}

/// `term | check`.
fn piped<'s>(term: Term<&'s str>, check: &'s str) -> Term<&'s str> {
    let check = Term::Call(check, Vec::new());
    Term::BinOp(Box::new(term), BinaryOp::Pipe(None), Box::new(check))
}

fn guarded_step(part: Part<Term<&str>>) -> Part<Term<&str>> {
    match part {
        Part::Index(name @ Term::Str(None, _)) => Part::Index(guarded(name)),
        Part::Index(index) => Part::Index(Term::Call(INDEX, vec![guarded(index)])),
        Part::Range(from, to) => Part::Range(from.map(guarded), to.map(guarded)),
    }
}

fn guarded_part<'s>(part: StrPart<&'s str, Term<&'s str>>) -> StrPart<&'s str, Term<&'s str>> {
    match part {
        StrPart::Term(term) => StrPart::Term(piped(guarded(term), WHOLE)),
        plain => plain,
    }
}

fn guarded_pattern(pattern: Pattern<&str>) -> Pattern<&str> {
    match pattern {
        Pattern::Var(_) => pattern,
        Pattern::Arr(items) => Pattern::Arr(items.into_iter().map(guarded_pattern).collect()),
        Pattern::Obj(entries) => {
            let entry = |(key, value)| (guarded(key), guarded_pattern(value));
            Pattern::Obj(entries.into_iter().map(entry).collect())
        }
    }
}

fn guarded_all(terms: Vec<Term<&str>>) -> Vec<Term<&str>> {
    terms.into_iter().map(guarded).collect()
}

fn boxed(mut term: Box<Term<&str>>) -> Box<Term<&str>> {
    *term = guarded(std::mem::take(&mut term));
    term
}
