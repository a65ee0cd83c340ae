//! The table: executions, batches, schedules, the reports of workers, and the allowances of callers. Every call of `DynamoDB` is here.
//!
//! **Invariant**: no type of an AWS SDK leaves this crate. Nothing here makes decisions: `domain` does.

mod allowances;
mod batches;
mod executions;
mod reports;
mod schedules;

pub use allowances::{Allowances, Place};
pub use batches::Batches;
pub use executions::{AdvanceError, Created, Due, Executions, NextPage, PARTS};
pub use reports::Reports;
pub use schedules::{Schedules, Stored};
