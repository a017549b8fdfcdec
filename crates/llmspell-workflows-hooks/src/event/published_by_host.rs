/// A run extension that marks the run's events as published by the host, which builds them from the records.
///
/// The event layer then publishes only the events that are not recorded.
#[derive(Debug, Clone, Copy)]
pub struct PublishedByHost;
