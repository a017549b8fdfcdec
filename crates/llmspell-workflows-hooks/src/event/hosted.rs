/// Says of a run, among its extensions, that its host tells what happens to it out of its records.
///
/// The event layer then tells only what is on no record.
#[derive(Debug, Clone, Copy)]
pub struct ToldByHost;
