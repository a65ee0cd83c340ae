//! Every AWS call of the project, one file per concern.
//!
//! **Invariant**: no type of an AWS SDK leaves this crate, except for the configuration that the durable execution SDK shares. Nothing
//! here makes decisions: `domain` does.

mod allowances;
pub mod clock;
pub mod config;
mod connection;
mod error;
mod executions;
mod function_log;
mod history;
mod http;
mod logs;
mod outcomes;
mod reconciler;
mod reports;
mod tasks;
mod workflows;

pub use allowances::{Allowances, Place};
pub use connection::Connection;
pub use error::{CallFailed, Cause, Phase, with_causes};
pub use executions::{AdvanceError, Created, Executions, NextPage, PARTS};
pub use function_log::{log_as_json, log_filter};
pub use history::{Histories, HistoryError, HistoryPage};
pub use logs::{LogError, LogPage, Logs, ReadFrom, Stream};
pub use outcomes::Outcomes;
pub use reconciler::{Reconciler, Visit};
pub use reports::Reports;
pub use tasks::{Catalog, Job, Network, NewTask, RunError, Seen, TaskOwner, Tasks, offered};
pub use workflows::{StartError, StoredStart, WakeUp, WorkflowStatus, Workflows};
