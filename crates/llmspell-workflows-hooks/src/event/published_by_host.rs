/// An extension of a run that marks the run's events as published by its host, from the records.
///
/// The event layer then publishes only the events that are not recorded.
#[derive(Debug, Clone, Copy)]
pub struct PublishedByHost;
