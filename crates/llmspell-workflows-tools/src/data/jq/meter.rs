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

/// Terms between two looks at the clock and the cancellation token.
const TERMS_PER_LOOK: u64 = 1024;

/// Terms between two looks into a value.
const TERMS_PER_DEPTH: u64 = 30_000;

/// How deep a value may be nested: its end, and more so its text, take a part of the stack for each level.
const VALUE_DEPTH_MAX: usize = 30_000;

/// How many calls may pass filters on to themselves: their end takes a part of the stack too.
const LEVELS_MAX: u64 = 200_000;

/// Why a query was stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// Too many terms.
    Terms,
    /// Too deep a recursion.
    Depth,
    /// Too long.
    Time,
    /// Too many outputs.
    Outputs,
    /// Too much in the outputs.
    OutputSize,
    /// Too deep an output.
    OutputDepth,
    /// Too much made by one operation.
    Operation,
    /// The call was cancelled.
    Cancelled,
}

/// The kind of data that metered programs run on.
pub(super) struct Metered;

impl DataT for Metered {
    type V<'a> = Val;
    type Data<'a> = &'a Meter<'a>;
}

/// Counts what a query uses and stops it.
///
/// The interpreter has no hook for that, but it asks its data for the table of terms before it evaluates one, which is
/// as good: [`HasLut::lut`] counts.
pub(super) struct Meter<'a> {
    lut: &'a Lut<Metered>,
    limits: &'a Limits,
    token: &'a CancellationToken,
    deadline: Instant,
    terms: Cell<u64>,
    outputs: Cell<u64>,
    output_size: Cell<u64>,
    levels: Cell<u64>,
    /// The terms when each place last looked into its values.
    looked: RefCell<HashMap<usize, u64>>,
    stack_top: usize,
}

impl<'a> Meter<'a> {
    /// Starts the clock; the stack is measured from here.
    pub(super) fn start(program: &'a Program, limits: &'a Limits, token: &'a CancellationToken) -> Self {
        Self {
            lut: program.lut(),
            limits,
            token,
            deadline: Instant::now() + limits.time,
            terms: Cell::new(0),
            outputs: Cell::new(0),
            output_size: Cell::new(0),
            levels: Cell::new(0),
            looked: RefCell::new(HashMap::new()),
            stack_top: stack_position(),
        }
    }

    /// Counts one step of work.
    pub(super) fn tick(&self) {
        let terms = self.terms.get() + 1;
        self.terms.set(terms);
        if terms > self.limits.terms {
            stop(Stop::Terms, self.limits);
        }
        if self.stack_top.abs_diff(stack_position()) > self.limits.stack_bytes {
            stop(Stop::Depth, self.limits);
        }
        if terms.is_multiple_of(TERMS_PER_LOOK) {
            if self.token.is_cancelled() {
                stop(Stop::Cancelled, self.limits);
            }
            if Instant::now() > self.deadline {
                stop(Stop::Time, self.limits);
            }
        }
    }

    /// Looks into `values`, which the loop or recursion at `site` goes on with, if there was time to make one deep.
    ///
    /// A level more takes a term at least, so in between no value becomes deeper than the stack bears.
    pub(super) fn nesting(&self, site: usize, values: &[Val]) {
        let terms = self.terms.get();
        let is_soon = match self.looked.borrow_mut().entry(site) {
            Entry::Occupied(entry) if terms - entry.get() < TERMS_PER_DEPTH => true,
            entry => {
                entry.insert_entry(terms);
                false
            }
        };
        if !is_soon && values.iter().any(|value| is_deeper(value, VALUE_DEPTH_MAX)) {
            stop(Stop::Depth, self.limits);
        }
    }

    /// Refuses JSON that is nested too deeply, which reading would take a part of the stack for each level.
    pub(super) fn text(&self, json: &[u8]) {
        let (mut depth, mut is_text, mut is_escaped) = (0_usize, false, false);
        for byte in json {
            match byte {
                _ if is_escaped => is_escaped = false,
                b'\\' => is_escaped = is_text,
                b'"' => is_text = !is_text,
                b'[' | b'{' if !is_text => depth += 1,
                b']' | b'}' if !is_text => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth > VALUE_DEPTH_MAX {
                stop(Stop::Depth, self.limits);
            }
        }
    }

    /// Counts a call whose arguments hold those of the call before.
    pub(super) fn level(&self) {
        self.levels.set(self.levels.get() + 1);
        if self.levels.get() > LEVELS_MAX {
            stop(Stop::Depth, self.limits);
        }
    }

    /// Counts one output.
    pub(super) fn output(&self) {
        self.outputs.set(self.outputs.get() + 1);
        if self.outputs.get() > self.limits.outputs {
            stop(Stop::Outputs, self.limits);
        }
    }

    /// Counts a part of an output: one value and the bytes of its text, `depth` levels down.
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

    /// Refuses an operation that would make a text or an array of `size`.
    pub(super) fn operation(&self, size: usize) {
        if size > self.limits.operation_size {
            stop(Stop::Operation, self.limits);
        }
    }
}

impl<'a> HasLut<'a, Metered> for &'a Meter<'a> {
    fn lut(&self) -> &'a Lut<Metered> {
        self.tick();
        self.lut
    }
}

/// Data that a native function finds the meter in.
pub(super) trait Metering<'a> {
    /// The meter.
    fn meter(&self) -> &'a Meter<'a>;
}

impl<'a> Metering<'a> for &'a Meter<'a> {
    fn meter(&self) -> &'a Meter<'a> {
        self
    }
}

/// Whether collections in `value` are nested deeper than `depth_max`; what it holds many times is looked into again only
/// where it is deeper.
fn is_deeper(value: &Val, depth_max: usize) -> bool {
    let mut seen: HashMap<usize, usize> = HashMap::new();
    let mut is_new = |at: usize, holders: usize, depth: usize| {
        holders == 1 || seen.insert(at, depth).is_none_or(|before| before < depth)
    };
    let mut left = vec![(value, 0)];
    while let Some((value, depth)) = left.pop() {
        if depth > depth_max {
            return true;
        }
        match value {
            Val::Arr(items) if is_new(Rc::as_ptr(items).addr(), Rc::strong_count(items), depth) => {
                left.extend(items.iter().filter(|item| is_collection(item)).map(|item| (item, depth + 1)));
            }
            Val::Obj(entries) if is_new(Rc::as_ptr(entries).addr(), Rc::strong_count(entries), depth) => {
                let parts = entries.iter().flat_map(|(key, item)| [key, item]);
                left.extend(parts.filter(|part| is_collection(part)).map(|part| (part, depth + 1)));
            }
            _ => {}
        }
    }
    false
}

fn is_collection(value: &Val) -> bool {
    matches!(value, Val::Arr(_) | Val::Obj(_))
}

/// Where the stack is now; only differences mean something.
#[inline(never)]
fn stack_position() -> usize {
    let here = 0_u8;
    std::ptr::from_ref(std::hint::black_box(&here)).addr()
}
