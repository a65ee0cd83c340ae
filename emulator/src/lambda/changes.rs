//! Notifications after a transaction, so that no part of Lambda misses a change.

use tokio::sync::{Notify, watch};

/// Wakes the parts of Lambda.
#[derive(Debug)]
pub(crate) struct Changes {
    /// A durable execution may have something to do.
    pub(crate) durable: Notify,
    /// The queue of asynchronous invocations may have something to do.
    pub(crate) queue: Notify,
    /// A durable execution may have ended.
    pub(crate) ended: watch::Sender<()>,
}

impl Changes {
    pub(crate) fn new() -> Self {
        Self { durable: Notify::new(), queue: Notify::new(), ended: watch::Sender::new(()) }
    }

    /// Something changed: wakes all parts.
    pub(crate) fn notify(&self) {
        self.durable.notify_one();
        self.queue.notify_one();
        self.ended.send_replace(());
    }
}
