use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::rc::Rc;
use std::time::Instant;

use jaq_core::Lut;
use jaq_core::data::{DataT, HasLut};
use jaq_json::Val;
use tokio_util::sync::CancellationToken;

use super::program::Program;
use super::{Limits, stop};

/// The number of terms evaluated between two checks of the clock and the cancellation token.
const TERMS_PER_CLOCK_CHECK: u64 = 1024;

/// The number of terms evaluated between two checks of a value's nesting depth.
const TERMS_PER_DEPTH_CHECK: u64 = 30_000;

/// The maximum nesting depth of a value. Dropping a value takes some stack per level, and printing it takes even more.
const VALUE_DEPTH_MAX: usize = 30_000;

/// The maximum number of recursive calls that pass filters; dropping their nested arguments takes stack too.
const NESTED_CALLS_MAX: u64 = 200_000;

/// The reason why a query was stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// Too many terms were evaluated.
    Terms,
    /// The recursion is too deep.
    Depth,
    /// The query ran for too long.
    Time,
    /// There are too many outputs.
    Outputs,
    /// The outputs are too large.
    OutputSize,
    /// An output is nested too deeply.
    OutputDepth,
    /// A single operation would create too large a value.
    Operation,
    /// The call was cancelled.
    Cancelled,
}

/// The data type of metered programs.
pub(super) struct MeteredData;

impl DataT for MeteredData {
    type V<'a> = Val;
    type Data<'a> = &'a Meter<'a>;
}

/// Counts the work and the outputs of a query, and stops the query when it reaches a limit.
///
/// The interpreter has no hook for counting terms, but it calls [`HasLut::lut`] for the table of
/// terms before it evaluates a term. The terms are therefore counted in that method.
pub(super) struct Meter<'a> {
    lut: &'a Lut<MeteredData>,
    limits: &'a Limits,
    token: &'a CancellationToken,
    deadline: Instant,
    terms: Cell<u64>,
    outputs: Cell<u64>,
    output_size: Cell<u64>,
    nested_calls: Cell<u64>,
    /// For each site, the number of evaluated terms at its last check.
    last_checks: RefCell<HashMap<usize, u64>>,
    stack_top: usize,
}

impl<'a> Meter<'a> {
    /// Creates a meter and starts its clock; stack use is measured relative to this call.
    pub(super) fn start(program: &'a Program, limits: &'a Limits, token: &'a CancellationToken) -> Self {
        Self {
            lut: program.lut(),
            limits,
            token,
            deadline: Instant::now() + limits.time,
            terms: Cell::new(0),
            outputs: Cell::new(0),
            output_size: Cell::new(0),
            nested_calls: Cell::new(0),
            last_checks: RefCell::new(HashMap::new()),
            stack_top: stack_position(),
        }
    }

    /// Counts an evaluated term.
    pub(super) fn tick(&self) {
        let terms = self.terms.get() + 1;
        self.terms.set(terms);
        if terms > self.limits.terms {
            stop(Stop::Terms, self.limits);
        }
        if self.stack_top.abs_diff(stack_position()) > self.limits.stack_bytes {
            stop(Stop::Depth, self.limits);
        }
        if terms.is_multiple_of(TERMS_PER_CLOCK_CHECK) {
            if self.token.is_cancelled() {
                stop(Stop::Cancelled, self.limits);
            }
            if Instant::now() > self.deadline {
                stop(Stop::Time, self.limits);
            }
        }
    }

    /// Stops the query if any of `values`, which the loop or recursion at `site` carries over, is
    /// nested too deeply. The check is skipped if the last check at `site` was recent.
    ///
    /// Each further level takes at least one term, so no value can become too deep for the stack between two checks.
    pub(super) fn check_depth(&self, site: usize, values: &[Val]) {
        let terms = self.terms.get();
        let is_recent = match self.last_checks.borrow_mut().entry(site) {
            Entry::Occupied(entry) if terms - entry.get() < TERMS_PER_DEPTH_CHECK => true,
            entry => {
                entry.insert_entry(terms);
                false
            }
        };
        if !is_recent && values.iter().any(|value| is_deeper(value, VALUE_DEPTH_MAX)) {
            stop(Stop::Depth, self.limits);
        }
    }

    /// Stops the query if `json` is nested too deeply; parsing takes some stack per level.
    pub(super) fn check_json_depth(&self, json: &[u8]) {
        let (mut depth, mut in_string, mut is_escaped) = (0_usize, false, false);
        for byte in json {
            match byte {
                _ if is_escaped => is_escaped = false,
                b'\\' => is_escaped = in_string,
                b'"' => in_string = !in_string,
                b'[' | b'{' if !in_string => depth += 1,
                b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth > VALUE_DEPTH_MAX {
                stop(Stop::Depth, self.limits);
            }
        }
    }

    /// Counts a call whose arguments contain the arguments of the previous call.
    pub(super) fn count_nested_call(&self) {
        self.nested_calls.set(self.nested_calls.get() + 1);
        if self.nested_calls.get() > NESTED_CALLS_MAX {
            stop(Stop::Depth, self.limits);
        }
    }

    /// Counts an output.
    pub(super) fn output(&self) {
        self.outputs.set(self.outputs.get() + 1);
        if self.outputs.get() > self.limits.outputs {
            stop(Stop::Outputs, self.limits);
        }
    }

    /// Counts a part of an output at `depth`: a value and the bytes of its text.
    pub(super) fn output_part(&self, bytes: usize, depth: usize) {
        let size = self.output_size.get() + 1 + bytes as u64;
        self.output_size.set(size);
        if size > self.limits.output_size {
            stop(Stop::OutputSize, self.limits);
        }
        if depth > super::value::DEPTH_MAX {
            stop(Stop::OutputDepth, self.limits);
        }
    }

    /// Stops the query if an operation would create a value with `size` items, bytes or digits.
    pub(super) fn check_operation_size(&self, size: usize) {
        if size > self.limits.operation_size {
            stop(Stop::Operation, self.limits);
        }
    }
}

impl<'a> HasLut<'a, MeteredData> for &'a Meter<'a> {
    fn lut(&self) -> &'a Lut<MeteredData> {
        self.tick();
        self.lut
    }
}

/// Gives native functions access to the meter.
pub(super) trait HasMeter<'a> {
    /// Returns the meter.
    fn meter(&self) -> &'a Meter<'a>;
}

impl<'a> HasMeter<'a> for &'a Meter<'a> {
    fn meter(&self) -> &'a Meter<'a> {
        self
    }
}

/// Returns whether collections in `value` are nested deeper than `depth_max`. A shared value is visited again only at a
/// greater depth.
fn is_deeper(value: &Val, depth_max: usize) -> bool {
    let mut seen: HashMap<usize, usize> = HashMap::new();
    let mut is_new = |at: usize, owners: usize, depth: usize| {
        owners == 1 || seen.insert(at, depth).is_none_or(|before| before < depth)
    };
    let mut stack = vec![(value, 0)];
    while let Some((value, depth)) = stack.pop() {
        if depth > depth_max {
            return true;
        }
        match value {
            Val::Arr(items) if is_new(Rc::as_ptr(items).addr(), Rc::strong_count(items), depth) => {
                stack.extend(items.iter().filter(|item| is_collection(item)).map(|item| (item, depth + 1)));
            }
            Val::Obj(entries) if is_new(Rc::as_ptr(entries).addr(), Rc::strong_count(entries), depth) => {
                let parts = entries.iter().flat_map(|(key, item)| [key, item]);
                stack.extend(parts.filter(|part| is_collection(part)).map(|part| (part, depth + 1)));
            }
            _ => {}
        }
    }
    false
}

fn is_collection(value: &Val) -> bool {
    matches!(value, Val::Arr(_) | Val::Obj(_))
}

/// Returns the current position of the stack; only differences are meaningful.
#[inline(never)]
fn stack_position() -> usize {
    let here = 0_u8;
    std::ptr::from_ref(std::hint::black_box(&here)).addr()
}
