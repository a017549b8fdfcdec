use std::fmt;

/// The exclusive right to move a run, held until the claim is dropped or its process dies.
pub struct Claim(Box<dyn Send + Sync>);

impl Claim {
    /// Returns a claim that is released when `guard` is dropped; for implementations of [`Home`](super::Home).
    #[must_use]
    pub fn new(guard: impl Send + Sync + 'static) -> Self {
        Self(Box::new(guard))
    }
}

impl fmt::Debug for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let _ = &self.0;
        f.write_str("claim of a run")
    }
}
