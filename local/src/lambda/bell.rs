//! Who waits for what: rung after a transaction, so that nobody sleeps over news.

use tokio::sync::{Notify, watch};

/// Wakes the parts of Lambda.
#[derive(Debug)]
pub(crate) struct Bell {
    /// A durable execution may have something to do.
    pub(crate) durable: Notify,
    /// The queue of asynchronous invocations may have.
    pub(crate) queue: Notify,
    /// A durable execution may have ended.
    pub(crate) ended: watch::Sender<()>,
}

impl Bell {
    pub(crate) fn new() -> Self {
        Self { durable: Notify::new(), queue: Notify::new(), ended: watch::Sender::new(()) }
    }

    /// Something changed: everybody looks.
    pub(crate) fn ring(&self) {
        self.durable.notify_one();
        self.queue.notify_one();
        self.ended.send_replace(());
    }
}
