//! jq's library without access to the outside world, and with limits on the size of values created
//! by a single operation.

use jaq_core::load::parse::Def;
use jaq_core::native::{Filter, Fun, bome, run, v};
use jaq_core::{Cv, DataT, Error, Exn, RunPtr, ValXs};
use jaq_json::{Num, Val};

use super::meter::{HasMeter, Meter, MeteredData};

/// Returns its input; stops the query if the input is huge.
pub(super) const CHECK_SIZE: &str = "__check_size";

/// Returns its input; stops the query if the input, including all nested values, is huge. Used for values that are
/// about to be converted to text.
pub(super) const CHECK_TOTAL_SIZE: &str = "__check_total_size";

/// Computes `a * b`; stops the query if the result would be huge.
pub(super) const MULTIPLY: &str = "__multiply";

/// Returns its argument; stops the query if using it as an index would create a huge array.
pub(super) const CHECK_INDEX: &str = "__check_index";

/// Returns null; stops the query if one of the values in its input `[site, values...]` is nested too deeply. The check
/// is skipped if the last check was recent.
pub(super) const CHECK_DEPTH: &str = "__check_depth";

/// Returns null; stops the query if its input is JSON nested too deeply.
pub(super) const CHECK_JSON_DEPTH: &str = "__check_json_depth";

/// Returns null; stops the query if this function is called too often. Used for calls whose arguments contain the
/// arguments of the previous call.
pub(super) const COUNT_CALL: &str = "__count_call";

/// Functions that print, or that read data from outside the query. A query that uses any of these
/// functions fails with [`UNAVAILABLE_MESSAGE`].
const UNAVAILABLE: &[(&str, usize)] = &[
    ("env", 0),
    ("halt", 1),
    ("now", 0),
    ("localtime", 0),
    ("strflocaltime", 1),
    ("debug_empty", 0),
    ("stderr_empty", 0),
];

const UNAVAILABLE_MESSAGE: &str =
    "`env`, `now`, `localtime`, `strflocaltime`, `halt`, `debug` and `stderr` are not available in a query";

/// Returns the definitions of jq's library.
pub(super) fn definitions() -> impl Iterator<Item = Def<&'static str>> {
    jaq_core::defs().chain(jaq_std::defs()).chain(jaq_json::defs())
}

/// Returns the native functions of jq's library, with replacements for unavailable and unbounded functions.
pub(super) fn functions() -> impl Iterator<Item = Fun<MeteredData>> {
    let replaced = |fun: &Fun<MeteredData>| {
        let arity = fun.1.len();
        [("range", 3), ("tojson", 0)].contains(&(fun.0, arity)) || UNAVAILABLE.contains(&(fun.0, arity))
    };
    let library = jaq_core::funs().chain(jaq_std::funs()).chain(jaq_json::funs());
    library.filter(move |fun| !replaced(fun)).chain(own_functions::<MeteredData>())
}

// These functions are generic and passed as closures, because the compiler cannot resolve `MeteredData`'s associated
// types in a function pointer.
fn own_functions<D: for<'a> DataT<V<'a> = Val>>() -> impl Iterator<Item = Fun<D>>
where
    for<'a> D::Data<'a>: HasMeter<'a>,
{
    limited_functions().into_vec().into_iter().chain(unavailable_functions()).map(run)
}

fn limited_functions<D: for<'a> DataT<V<'a> = Val>>() -> Box<[Filter<RunPtr<D>>]>
where
    for<'a> D::Data<'a>: HasMeter<'a>,
{
    Box::new([
        ("range", v(3), |cv| range(cv)),
        (CHECK_SIZE, v(0), |cv| check_size(cv)),
        (CHECK_TOTAL_SIZE, v(0), |cv| check_total_size(cv)),
        (CHECK_DEPTH, v(0), |cv| check_depth(cv)),
        (CHECK_JSON_DEPTH, v(0), |cv| check_json_depth(cv)),
        (COUNT_CALL, v(0), |cv| count_call(cv)),
        ("tojson", v(0), |cv| to_json(cv)),
        (MULTIPLY, v(2), |cv| multiply(cv)),
        (CHECK_INDEX, v(1), |cv| check_index(cv)),
    ])
}

fn unavailable_functions<D: for<'a> DataT<V<'a> = Val>>() -> impl Iterator<Item = Filter<RunPtr<D>>> {
    let filter = |(name, arity): &(&'static str, usize)| -> Filter<RunPtr<D>> {
        (name, v(*arity), |_| bome(Err(Error::str(UNAVAILABLE_MESSAGE))))
    };
    UNAVAILABLE.iter().map(filter)
}

/// Returns the input; stops the query if the input is huge.
fn check_size<'a, D: for<'b> DataT<V<'b> = Val>>(cv: Cv<'a, D>) -> ValXs<'a, Val>
where
    for<'b> D::Data<'b>: HasMeter<'b>,
{
    cv.0.data().meter().check_operation_size(size(&cv.1));
    bome(Ok(cv.1))
}

/// Returns the input; stops the query if the input, including all nested values, is huge. A small value can contain
/// another value many times.
fn check_total_size<'a, D: for<'b> DataT<V<'b> = Val>>(cv: Cv<'a, D>) -> ValXs<'a, Val>
where
    for<'b> D::Data<'b>: HasMeter<'b>,
{
    measure(&cv.1, cv.0.data().meter(), &mut 0);
    bome(Ok(cv.1))
}

/// Stops the query if a value in the input is nested too deeply.
fn check_depth<'a, D: for<'b> DataT<V<'b> = Val>>(cv: Cv<'a, D>) -> ValXs<'a, Val>
where
    for<'b> D::Data<'b>: HasMeter<'b>,
{
    if let Val::Arr(parts) = &cv.1
        && let [Val::Num(site), values @ ..] = parts.as_slice()
    {
        cv.0.data().meter().check_depth(count(site), values);
    }
    bome(Ok(Val::Null))
}

/// Stops the query if the input is JSON nested too deeply.
fn check_json_depth<'a, D: for<'b> DataT<V<'b> = Val>>(cv: Cv<'a, D>) -> ValXs<'a, Val>
where
    for<'b> D::Data<'b>: HasMeter<'b>,
{
    if let Val::TStr(text) | Val::BStr(text) = &cv.1 {
        cv.0.data().meter().check_json_depth(text);
    }
    bome(Ok(Val::Null))
}

/// Stops the query if this function is called too often.
fn count_call<'a, D: for<'b> DataT<V<'b> = Val>>(cv: Cv<'a, D>) -> ValXs<'a, Val>
where
    for<'b> D::Data<'b>: HasMeter<'b>,
{
    cv.0.data().meter().count_nested_call();
    bome(Ok(Val::Null))
}

/// Implements jq's `tojson` with a size limit.
fn to_json<'a, D: for<'b> DataT<V<'b> = Val>>(cv: Cv<'a, D>) -> ValXs<'a, Val>
where
    for<'b> D::Data<'b>: HasMeter<'b>,
{
    measure(&cv.1, cv.0.data().meter(), &mut 0);
    bome(Ok(Val::utf8_str(cv.1.to_string())))
}

/// Implements `$a * $b` with a size limit.
fn multiply<'a, D: for<'b> DataT<V<'b> = Val>>(mut cv: Cv<'a, D>) -> ValXs<'a, Val>
where
    for<'b> D::Data<'b>: HasMeter<'b>,
{
    let right = cv.0.pop_var();
    let left = cv.0.pop_var();
    let meter = cv.0.data().meter();
    match (&left, &right) {
        (Val::TStr(text) | Val::BStr(text), Val::Num(times)) | (Val::Num(times), Val::TStr(text) | Val::BStr(text)) => {
            meter.check_operation_size(text.len().saturating_mul(count(times)));
        }
        _ => meter.check_operation_size(size(&left).saturating_add(size(&right))),
    }
    bome(left * right)
}

/// Returns an index; stops the query if using the index would create a huge array.
fn check_index<'a, D: for<'b> DataT<V<'b> = Val>>(mut cv: Cv<'a, D>) -> ValXs<'a, Val>
where
    for<'b> D::Data<'b>: HasMeter<'b>,
{
    let index = cv.0.pop_var();
    if let Val::Num(at) = &index {
        cv.0.data().meter().check_operation_size(count(at));
    }
    bome(Ok(index))
}

/// Implements jq's `range($from; $to; $by)`, and counts every number as an evaluated term.
fn range<'a, D: for<'b> DataT<V<'b> = Val>>(mut cv: Cv<'a, D>) -> ValXs<'a, Val>
where
    for<'b> D::Data<'b>: HasMeter<'b>,
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

/// Adds up the sizes of a value and everything nested in it; stops the query if the total is too large.
fn measure(value: &Val, meter: &Meter<'_>, total: &mut usize) {
    *total = total.saturating_add(1 + size(value));
    meter.check_operation_size(*total);
    match value {
        Val::Arr(items) => items.iter().for_each(|item| measure(item, meter, total)),
        Val::Obj(object) => object.iter().for_each(|(key, item)| {
            measure(key, meter, total);
            measure(item, meter, total);
        }),
        _ => {}
    }
}

/// Returns the number of items, bytes or digits in a shallow copy of the value.
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

/// Converts a number to a count; negative numbers become zero.
fn count(number: &Num) -> usize {
    match number {
        Num::Int(integer) => usize::try_from(*integer).unwrap_or(0),
        Num::BigInt(integer) if integer.to_string().starts_with('-') => 0,
        Num::BigInt(_) => usize::MAX,
        // jq itself refuses fractional counts.
        Num::Float(_) | Num::Dec(_) => 0,
    }
}
