//! Events report to subscribers what happens in runs, without slowing the runs down.
//!
//! An [`EventLayer`] publishes to an [`EventBus`]; a [`Subscription`] receives the events that match its [`Filter`].
//! The queue of a subscription is bounded. If a subscriber is too slow, the oldest events are dropped and the
//! subscriber receives their number; a run never waits for a subscriber. The complete record of a run is its journal.

mod bus;
mod data;
#[expect(clippy::module_inception, reason = "like every other type, `Event` has its own file")]
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
