//! The tasks that are running now, and the orders for their containers.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

/// What the containers of a task have to do. An order is only ever replaced by a stricter one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Order {
    /// Continue.
    Run,
    /// End: `SIGTERM`, then `SIGKILL` after the container's `stopTimeout`.
    Stop,
    /// End before the emulator does.
    StopSoon,
}

/// Supervised tasks by id.
#[derive(Debug, Default)]
pub(super) struct Running(Mutex<Tasks>);

#[derive(Debug, Default)]
struct Tasks {
    orders: HashMap<String, watch::Sender<Order>>,
    closed: bool,
}

impl Running {
    /// Registers a task. Returns the channel of the orders for its supervisor, which is open until [`Running::leave`]; `None` if no more
    /// tasks may be started.
    pub(super) fn enter(&self, id: &str) -> Option<watch::Receiver<Order>> {
        let mut tasks = self.lock();
        if tasks.closed {
            return None;
        }
        let (orders, heard) = watch::channel(Order::Run);
        tasks.orders.insert(id.to_owned(), orders);
        Some(heard)
    }

    /// Forgets a task that is over.
    pub(super) fn leave(&self, id: &str) {
        self.lock().orders.remove(id);
    }

    /// Tells the containers of a task to end, if it is still running.
    pub(super) fn stop(&self, id: &str) {
        if let Some(orders) = self.lock().orders.get(id) {
            give(orders, Order::Stop);
        }
    }

    /// Accepts no more tasks, and returns those that are running.
    pub(super) fn close(&self) -> Vec<(String, watch::Sender<Order>)> {
        let mut tasks = self.lock();
        tasks.closed = true;
        tasks.orders.iter().map(|(id, orders)| (id.clone(), orders.clone())).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Tasks> {
        // Code that holds the lock cannot leave it in an inconsistent state.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Gives an order, unless a stricter one is in effect.
pub(super) fn give(orders: &watch::Sender<Order>, order: Order) {
    orders.send_if_modified(|standing| {
        let stricter = order > *standing;
        if stricter {
            *standing = order;
        }
        stricter
    });
}
