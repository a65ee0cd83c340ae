//! The tasks that are running now, and what their containers are told.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::watch;

/// What the containers of a task are to do. A stricter order is never taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Order {
    /// Go on.
    Run,
    /// End: `SIGTERM`, then `SIGKILL` after the container's `stopTimeout`.
    Stop,
    /// End before the stack does.
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
    /// Where a task's supervisor hears its orders, until [`Running::leave`]; `None` if no more tasks are to be started.
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

    /// Tells the containers of a task to end. One that is not running any more needs no telling.
    pub(super) fn stop(&self, id: &str) {
        if let Some(orders) = self.lock().orders.get(id) {
            give(orders, Order::Stop);
        }
    }

    /// Takes no more tasks, and gives those that are running.
    pub(super) fn close(&self) -> Vec<(String, watch::Sender<Order>)> {
        let mut tasks = self.lock();
        tasks.closed = true;
        tasks.orders.iter().map(|(id, orders)| (id.clone(), orders.clone())).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Tasks> {
        // Nothing that holds the lock can stop halfway.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Gives an order, unless a stricter one stands.
pub(super) fn give(orders: &watch::Sender<Order>, order: Order) {
    orders.send_if_modified(|standing| {
        let stricter = order > *standing;
        if stricter {
            *standing = order;
        }
        stricter
    });
}
