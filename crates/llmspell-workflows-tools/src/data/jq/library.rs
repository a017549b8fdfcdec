//! The library of jq without what reaches outside, and with bounds on what one operation can make.

use jaq_core::load::parse::Def;
use jaq_core::native::{Filter, Fun, bome, run, v};
use jaq_core::{Cv, DataT, Error, Exn, RunPtr, ValXs};
use jaq_json::{Num, Val};

use super::meter::{Meter, Metered, Metering};

/// Its input, unless it is huge.
pub(super) const SIZED: &str = "__sized";

/// Its input, unless it is huge with all that is in it; for what is about to become a text.
pub(super) const WHOLE: &str = "__whole";

/// `a * b`, with a bound on the result.
pub(super) const TIMES: &str = "__times";

/// Its argument, unless as an index it would make a huge array.
pub(super) const INDEX: &str = "__index";

/// Null, unless its input, `[site, values...]`, has a value that is nested too deeply; looked at from time to time.
pub(super) const SHALLOW: &str = "__shallow";

/// Null, unless its input is JSON that is nested too deeply.
pub(super) const FLAT: &str = "__flat";

/// Null, unless it was asked too often; for calls whose arguments hold those of the call before.
pub(super) const LEVEL: &str = "__level";

/// What reaches outside or prints; a query that uses one fails and says so.
const REFUSED: &[(&str, usize)] = &[
    ("env", 0),
    ("halt", 1),
    ("now", 0),
    ("localtime", 0),
    ("strflocaltime", 1),
    ("debug_empty", 0),
    ("stderr_empty", 0),
];

const REFUSAL: &str =
    "`env`, `now`, `localtime`, `strflocaltime`, `halt`, `debug` and `stderr` are not available in a query";

/// The definitions of jq's library.
pub(super) fn definitions() -> impl Iterator<Item = Def<&'static str>> {
    jaq_core::defs().chain(jaq_std::defs()).chain(jaq_json::defs())
}

/// Its native functions, with those of this module in place of the ones that are refused or unbounded.
pub(super) fn functions() -> impl Iterator<Item = Fun<Metered>> {
    let replaced = |fun: &Fun<Metered>| {
        let arity = fun.1.len();
        [("range", 3), ("tojson", 0)].contains(&(fun.0, arity)) || REFUSED.contains(&(fun.0, arity))
    };
    let library = jaq_core::funs().chain(jaq_std::funs()).chain(jaq_json::funs());
    library.filter(move |fun| !replaced(fun)).chain(own::<Metered>())
}

// Generic and by closures, since the compiler cannot see through `Metered`'s associated types in a pointer to a function.
fn own<D: for<'a> DataT<V<'a> = Val>>() -> impl Iterator<Item = Fun<D>>
where
    for<'a> D::Data<'a>: Metering<'a>,
{
    bounded().into_vec().into_iter().chain(refused()).map(run)
}

fn bounded<D: for<'a> DataT<V<'a> = Val>>() -> Box<[Filter<RunPtr<D>>]>
where
    for<'a> D::Data<'a>: Metering<'a>,
{
    Box::new([
        ("range", v(3), |cv| range(cv)),
        (SIZED, v(0), |cv| sized(cv)),
        (WHOLE, v(0), |cv| whole(cv)),
        (SHALLOW, v(0), |cv| shallow(cv)),
        (FLAT, v(0), |cv| flat(cv)),
        (LEVEL, v(0), |cv| level(cv)),
        ("tojson", v(0), |cv| to_json(cv)),
        (TIMES, v(2), |cv| times(cv)),
        (INDEX, v(1), |cv| index(cv)),
    ])
}

fn refused<D: for<'a> DataT<V<'a> = Val>>() -> impl Iterator<Item = Filter<RunPtr<D>>> {
    let filter = |(name, arity): &(&'static str, usize)| -> Filter<RunPtr<D>> {
        (name, v(*arity), |_| bome(Err(Error::str(REFUSAL))))
    };
    REFUSED.iter().map(filter)
}

/// Passes its input on, unless it is huge.
fn sized<'a, D: for<'b> DataT<V<'b> = Val>>(cv: Cv<'a, D>) -> ValXs<'a, Val>
where
    for<'b> D::Data<'b>: Metering<'b>,
{
    cv.0.data().meter().operation(size(&cv.1));
    bome(Ok(cv.1))
}

/// Passes its input on, unless it is huge with all that is in it: a small value can hold another many times over.
fn whole<'a, D: for<'b> DataT<V<'b> = Val>>(cv: Cv<'a, D>) -> ValXs<'a, Val>
where
    for<'b> D::Data<'b>: Metering<'b>,
{
    measure(&cv.1, cv.0.data().meter(), &mut 0);
    bome(Ok(cv.1))
}

/// Stops the query where a value of its input is nested too deeply.
fn shallow<'a, D: for<'b> DataT<V<'b> = Val>>(cv: Cv<'a, D>) -> ValXs<'a, Val>
where
    for<'b> D::Data<'b>: Metering<'b>,
{
    if let Val::Arr(parts) = &cv.1
        && let [Val::Num(site), values @ ..] = parts.as_slice()
    {
        cv.0.data().meter().nesting(count(site), values);
    }
    bome(Ok(Val::Null))
}

/// Stops the query where its input is JSON that is nested too deeply.
fn flat<'a, D: for<'b> DataT<V<'b> = Val>>(cv: Cv<'a, D>) -> ValXs<'a, Val>
where
    for<'b> D::Data<'b>: Metering<'b>,
{
    if let Val::TStr(text) | Val::BStr(text) = &cv.1 {
        cv.0.data().meter().text(text);
    }
    bome(Ok(Val::Null))
}

/// Stops the query where it was asked too often.
fn level<'a, D: for<'b> DataT<V<'b> = Val>>(cv: Cv<'a, D>) -> ValXs<'a, Val>
where
    for<'b> D::Data<'b>: Metering<'b>,
{
    cv.0.data().meter().level();
    bome(Ok(Val::Null))
}

/// jq's `tojson`, bounded.
fn to_json<'a, D: for<'b> DataT<V<'b> = Val>>(cv: Cv<'a, D>) -> ValXs<'a, Val>
where
    for<'b> D::Data<'b>: Metering<'b>,
{
    measure(&cv.1, cv.0.data().meter(), &mut 0);
    bome(Ok(Val::utf8_str(cv.1.to_string())))
}

/// `$a * $b`, bounded.
fn times<'a, D: for<'b> DataT<V<'b> = Val>>(mut cv: Cv<'a, D>) -> ValXs<'a, Val>
where
    for<'b> D::Data<'b>: Metering<'b>,
{
    let right = cv.0.pop_var();
    let left = cv.0.pop_var();
    let meter = cv.0.data().meter();
    match (&left, &right) {
        (Val::TStr(text) | Val::BStr(text), Val::Num(times)) | (Val::Num(times), Val::TStr(text) | Val::BStr(text)) => {
            meter.operation(text.len().saturating_mul(count(times)));
        }
        _ => meter.operation(size(&left).saturating_add(size(&right))),
    }
    bome(left * right)
}

/// Passes an index on, unless it would make a huge array.
fn index<'a, D: for<'b> DataT<V<'b> = Val>>(mut cv: Cv<'a, D>) -> ValXs<'a, Val>
where
    for<'b> D::Data<'b>: Metering<'b>,
{
    let index = cv.0.pop_var();
    if let Val::Num(at) = &index {
        cv.0.data().meter().operation(count(at));
    }
    bome(Ok(index))
}

/// jq's `range($from; $to; $by)`, where each number counts.
fn range<'a, D: for<'b> DataT<V<'b> = Val>>(mut cv: Cv<'a, D>) -> ValXs<'a, Val>
where
    for<'b> D::Data<'b>: Metering<'b>,
{
    let by = cv.0.pop_var();
    let to = cv.0.pop_var();
    let mut next = Some(cv.0.pop_var());
    let meter = cv.0.data().meter();
    let direction = by.cmp(&Val::from(0_isize));
    Box::new(std::iter::from_fn(move || {
        meter.tick();
        let current = next.take()?;
        let inside = match direction {
            std::cmp::Ordering::Greater => current < to,
            std::cmp::Ordering::Less => current > to,
            std::cmp::Ordering::Equal => current != to,
        };
        if !inside {
            return None;
        }
        match current.clone() + by.clone() {
            Ok(following) => {
                next = Some(following);
                Some(Ok(current))
            }
            Err(error) => Some(Err(Exn::from(error))),
        }
    }))
}

/// Adds up what a value holds, and stops the query where that is too much.
fn measure(value: &Val, meter: &Meter<'_>, total: &mut usize) {
    *total = total.saturating_add(1 + size(value));
    meter.operation(*total);
    match value {
        Val::Arr(items) => items.iter().for_each(|item| measure(item, meter, total)),
        Val::Obj(object) => object.iter().for_each(|(key, item)| {
            measure(key, meter, total);
            measure(item, meter, total);
        }),
        _ => {}
    }
}

/// Items, bytes or digits that a copy of the value itself has.
fn size(value: &Val) -> usize {
    match value {
        Val::Null | Val::Bool(_) => 0,
        Val::Num(Num::BigInt(integer)) => usize::try_from(integer.bits() / 8).unwrap_or(usize::MAX),
        Val::Num(_) => 0,
        Val::TStr(text) | Val::BStr(text) => text.len(),
        Val::Arr(items) => items.len(),
        Val::Obj(object) => object.len(),
    }
}

/// A number as a count; what is negative counts nothing.
fn count(number: &Num) -> usize {
    match number {
        Num::Int(integer) => usize::try_from(*integer).unwrap_or(0),
        Num::BigInt(integer) if integer.to_string().starts_with('-') => 0,
        Num::BigInt(_) => usize::MAX,
        // A fraction is no count to jq, which refuses it.
        Num::Float(_) | Num::Dec(_) => 0,
    }
}
