//! The handlers, one file per resource. `router` says which path leads to which.

pub(crate) mod batches;
pub(crate) mod cancel;
pub(crate) mod change;
pub(crate) mod executions;
pub(crate) mod health;
pub(crate) mod history;
pub(crate) mod index;
pub(crate) mod jobs;
pub(crate) mod listing;
pub(crate) mod logs;
pub(crate) mod schedules;
pub(crate) mod start;
pub(crate) mod uploads;
