//! Events: what happens to runs, told to whoever subscribes, and to nobody's cost.
//!
//! An [`EventLayer`] tells an [`EventBus`]; a [`Subscription`] gets what its [`Filter`] lets through. Its queue is
//! bounded: a subscriber that is too slow loses the oldest events and is told how many, and a run never waits for it.
//! The complete record of a run is its journal, not this.

mod bus;
mod data;
#[expect(clippy::module_inception, reason = "the event's own type has a file like every other")]
mod event;
mod filter;
mod hosted;
mod layer;
mod queue;
mod timeline;

pub use bus::{EventBus, Handling, RecordedEvent};
pub use data::{EventData, Joined};
pub use event::{Event, EventKind};
pub use filter::Filter;
pub use hosted::ToldByHost;
pub use layer::EventLayer;
pub use queue::{EVENTS_BUFFERED_MAX, Received, Subscription};
pub use timeline::{Timeline, TimelineSettings};
