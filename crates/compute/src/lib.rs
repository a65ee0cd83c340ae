//! The services that run executions: ECS tasks and their logs, and Lambda's durable executions.
//!
//! **Invariant**: no type of an AWS SDK leaves this crate. Nothing here makes decisions: `domain` does.

mod history;
mod logs;
mod outcomes;
mod reconciler;
mod tasks;
mod workflows;

pub use history::{Histories, HistoryError, HistoryPage};
pub use logs::{LogError, LogPage, Logs, ReadFrom, Stream};
pub use outcomes::Outcomes;
pub use reconciler::Reconciler;
pub use tasks::{Network, NewTask, RunError, Seen, TaskOwner, Tasks};
pub use workflows::{StartError, WorkflowStatus, Workflows};
