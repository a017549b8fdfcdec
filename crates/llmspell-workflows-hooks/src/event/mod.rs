//! Events: what happens in runs, published to subscribers without slowing the runs.
//!
//! An [`EventLayer`] publishes to an [`EventBus`]; a [`Subscription`] receives the events that match its [`Filter`].
//! Its queue is bounded: a subscriber that is too slow loses the oldest events and learns how many, and a run never
//! waits for it. The complete record of a run is its journal.

mod bus;
mod data;
#[expect(clippy::module_inception, reason = "the event's own type has a file like every other")]
mod event;
mod filter;
mod layer;
mod published_by_host;
mod queue;
mod timeline;

pub use bus::{EventBus, HandlerTask, RecordedEvent};
pub use data::{EventData, JoinSummary};
pub use event::{Event, EventKind};
pub use filter::Filter;
pub use layer::EventLayer;
pub use published_by_host::PublishedByHost;
pub use queue::{EVENTS_BUFFERED_MAX, Received, Subscription};
pub use timeline::{Timeline, TimelineSettings};
