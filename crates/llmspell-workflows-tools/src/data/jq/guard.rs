//! Rewrites a query to use the library's bounded functions where it could create huge values.

use std::sync::LazyLock;

use jaq_core::load::lex::StrPart;
use jaq_core::load::parse::{BinaryOp, Def, Pattern, Term};
use jaq_core::ops::Math;
use jaq_core::path::{Part, Path};

use super::calls::has_call;
use super::library::{CHECK_DEPTH, CHECK_INDEX, CHECK_JSON_DEPTH, CHECK_SIZE, CHECK_TOTAL_SIZE, COUNT_CALL, MULTIPLY};

/// The variable that a rewritten `a += b` binds.
const OPERAND: &str = "$__operand";

/// The variable for the result of a check; it is never read.
const CHECK_RESULT: &str = "$__check_result";

/// The number of different literals that [`number`] returns.
const NUMBERS_COUNT: usize = 1 << 16;

/// Returns a number as a literal that outlives any query.
fn number(number: usize) -> &'static str {
    static ALL: LazyLock<String> = LazyLock::new(|| (0..NUMBERS_COUNT).map(|number| format!("{number:05}")).collect());
    &ALL[number * 5..number * 5 + 5]
}

/// Guards a definition: additions, products and computed indices use the bounded functions, and
/// every recursion and loop checks the nesting depth of its values.
pub(super) fn definition(definition: Def<&str>) -> Def<&str> {
    let Def { name, args, body } = definition;
    if !has_call(&body, name, args.len()) {
        return Def { name, args, body: guard_term(body) };
    }
    let (values, filters): (Vec<_>, Vec<_>) = args.iter().copied().partition(|argument| argument.starts_with('$'));
    let mut body = with_depth_check(guard_term(body), name, values.into_iter().map(Term::Var));
    // A filter argument contains the enclosing call's filter arguments, so recursive calls nest
    // them.
    if !filters.is_empty() {
        body = with_check(body, Term::Id, COUNT_CALL);
    }
    Def { name, args, body }
}

/// Inserts a depth check of the input and of `values` before `term`; `site` is a part of the source that identifies
/// this check.
///
/// Each site tracks separately when it last ran its check. Otherwise, the checks could all run at a frequently executed
/// site, and never at the site where a value grows.
fn with_depth_check<'s>(
    term: Term<&'s str>,
    site: &'s str,
    values: impl Iterator<Item = Term<&'s str>>,
) -> Term<&'s str> {
    let site = Term::Num(number(site.as_ptr().addr() % NUMBERS_COUNT));
    let parts = [site, Term::Id].into_iter().chain(values);
    let all = parts.reduce(|left, right| Term::BinOp(Box::new(left), BinaryOp::Comma, Box::new(right)));
    with_check(term, Term::Arr(all.map(Box::new)), CHECK_DEPTH)
}

/// Builds `(of | check) as $__check_result | term`; `term` stays in path position and in tail position.
fn with_check<'s>(term: Term<&'s str>, of: Term<&'s str>, check: &'s str) -> Term<&'s str> {
    let bind = BinaryOp::Pipe(Some(Pattern::Var(CHECK_RESULT)));
    Term::BinOp(Box::new(piped(of, check)), bind, Box::new(term))
}

fn guard_term(term: Term<&str>) -> Term<&str> {
    match term {
        Term::Id | Term::Recurse | Term::Num(_) | Term::Break(_) | Term::Var(_) => term,
        Term::Str(format, parts) => Term::Str(format, parts.into_iter().map(guard_string_part).collect()),
        Term::Arr(items) => Term::Arr(items.map(guard_boxed)),
        Term::Obj(entries) => {
            let entry = |(key, value): (_, Option<_>)| (guard_term(key), value.map(guard_term));
            Term::Obj(entries.into_iter().map(entry).collect())
        }
        Term::Neg(term) => Term::Neg(guard_boxed(term)),
        Term::BinOp(left, op, right) => guard_operation(guard_boxed(left), op, guard_boxed(right)),
        Term::Label(name, body) => Term::Label(name, guard_boxed(body)),
        Term::Fold(kind, items, pattern, rest) => {
            let mut rest = guard_terms(rest);
            // The second term computes the next state from the current one.
            if let Some(update) = rest.get_mut(1) {
                *update = with_depth_check(std::mem::take(update), kind, std::iter::empty());
            }
            Term::Fold(kind, guard_boxed(items), guard_pattern(pattern), rest)
        }
        Term::TryCatch(body, caught) => Term::TryCatch(guard_boxed(body), caught.map(guard_boxed)),
        Term::IfThenElse(branches, otherwise) => {
            let branch = |(condition, then)| (guard_term(condition), guard_term(then));
            Term::IfThenElse(branches.into_iter().map(branch).collect(), otherwise.map(guard_boxed))
        }
        Term::Def(definitions, body) => Term::Def(definitions.into_iter().map(definition).collect(), guard_boxed(body)),
        Term::Call("fromjson", arguments) if arguments.is_empty() => {
            with_check(Term::Call("fromjson", arguments), Term::Id, CHECK_JSON_DEPTH)
        }
        Term::Call(name, arguments) => Term::Call(name, guard_terms(arguments)),
        Term::Path(of, Path(parts)) => {
            let part = |(part, optional)| (guard_path_part(part), optional);
            Term::Path(guard_boxed(of), Path(parts.into_iter().map(part).collect()))
        }
    }
}

fn guard_operation<'s>(left: Box<Term<&'s str>>, op: BinaryOp<&'s str>, right: Box<Term<&'s str>>) -> Term<&'s str> {
    match op {
        BinaryOp::Math(math) => guard_math(math, *left, *right),
        // jq defines this operation as `r as $x | l |= . + $x`.
        BinaryOp::UpdateMath(math) => {
            let result = guard_math(math, Term::Id, Term::Var(OPERAND));
            let update = Term::BinOp(left, BinaryOp::Update, Box::new(result));
            let bind = BinaryOp::Pipe(Some(Pattern::Var(OPERAND)));
            Term::BinOp(right, bind, Box::new(update))
        }
        BinaryOp::Pipe(Some(pattern)) => Term::BinOp(left, BinaryOp::Pipe(Some(guard_pattern(pattern))), right),
        _ => Term::BinOp(left, op, right),
    }
}

/// Guards an arithmetic operation. The size of a product is checked before the operation. A sum can
/// at most double a value, so its size is checked afterwards. As a result, appending to an array
/// does not copy the array, unless it is referenced elsewhere.
fn guard_math<'s>(math: Math, left: Term<&'s str>, right: Term<&'s str>) -> Term<&'s str> {
    if math == Math::Mul {
        return Term::Call(MULTIPLY, vec![left, right]);
    }
    let result = Term::BinOp(Box::new(left), BinaryOp::Math(math), Box::new(right));
    if math != Math::Add {
        return result;
    }
    piped(result, CHECK_SIZE)
}

/// Builds `term | check`.
fn piped<'s>(term: Term<&'s str>, check: &'s str) -> Term<&'s str> {
    let check = Term::Call(check, Vec::new());
    Term::BinOp(Box::new(term), BinaryOp::Pipe(None), Box::new(check))
}

fn guard_path_part(part: Part<Term<&str>>) -> Part<Term<&str>> {
    match part {
        Part::Index(name @ Term::Str(None, _)) => Part::Index(guard_term(name)),
        Part::Index(index) => Part::Index(Term::Call(CHECK_INDEX, vec![guard_term(index)])),
        Part::Range(from, to) => Part::Range(from.map(guard_term), to.map(guard_term)),
    }
}

fn guard_string_part<'s>(part: StrPart<&'s str, Term<&'s str>>) -> StrPart<&'s str, Term<&'s str>> {
    match part {
        StrPart::Term(term) => StrPart::Term(piped(guard_term(term), CHECK_TOTAL_SIZE)),
        plain => plain,
    }
}

fn guard_pattern(pattern: Pattern<&str>) -> Pattern<&str> {
    match pattern {
        Pattern::Var(_) => pattern,
        Pattern::Arr(items) => Pattern::Arr(items.into_iter().map(guard_pattern).collect()),
        Pattern::Obj(entries) => {
            let entry = |(key, value)| (guard_term(key), guard_pattern(value));
            Pattern::Obj(entries.into_iter().map(entry).collect())
        }
    }
}

fn guard_terms(terms: Vec<Term<&str>>) -> Vec<Term<&str>> {
    terms.into_iter().map(guard_term).collect()
}

fn guard_boxed(mut term: Box<Term<&str>>) -> Box<Term<&str>> {
    *term = guard_term(std::mem::take(&mut term));
    term
}
