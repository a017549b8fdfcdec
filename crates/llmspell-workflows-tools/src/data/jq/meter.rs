use std::cell::Cell;
use std::time::Instant;

use jaq_core::Lut;
use jaq_core::data::{DataT, HasLut};
use jaq_json::Val;
use tokio_util::sync::CancellationToken;

use super::program::Program;
use super::{Limits, stop};

/// Terms between two looks at the clock and the cancellation token.
const TERMS_PER_LOOK: u64 = 1024;

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

/// Where the stack is now; only differences mean something.
#[inline(never)]
fn stack_position() -> usize {
    let here = 0_u8;
    std::ptr::from_ref(std::hint::black_box(&here)).addr()
}
