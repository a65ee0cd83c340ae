//! The table: executions, batches, the reports of workers, and the allowances of callers. Every call of `DynamoDB` is here.
//!
//! **Invariant**: no type of an AWS SDK leaves this crate. Nothing here makes decisions: `domain` does.

mod allowances;
mod batches;
mod executions;
mod reports;

pub use allowances::{Allowances, Place};
pub use batches::Batches;
pub use executions::{AdvanceError, Created, Executions, NextPage, PARTS};
pub use reports::Reports;
