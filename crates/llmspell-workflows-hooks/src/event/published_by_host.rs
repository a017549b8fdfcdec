/// Marks a run, as one of its extensions, whose host publishes its events from its records.
///
/// The event layer then publishes only events without a record.
#[derive(Debug, Clone, Copy)]
pub struct PublishedByHost;
