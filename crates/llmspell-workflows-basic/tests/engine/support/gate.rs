use std::sync::{Arc, Condvar, Mutex};

/// Blocks the threads of those that wait until it is opened.
#[derive(Clone, Default)]
pub(crate) struct Gate(Arc<(Mutex<bool>, Condvar)>);

/// Opens a gate when it goes, also when a test fails: a runtime that goes waits for its threads.
pub(crate) struct Opens(pub(crate) Gate);

impl Drop for Opens {
    fn drop(&mut self) {
        self.0.open();
    }
}

impl Gate {
    pub(crate) fn wait(&self) {
        let (is_open, opened) = &*self.0;
        drop(opened.wait_while(is_open.lock().unwrap(), |open| !*open).unwrap());
    }

    fn open(&self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }
}
