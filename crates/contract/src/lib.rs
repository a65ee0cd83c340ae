//! Data that outlives a deployment: the items of the table, the messages between functions, the catalog of jobs, the names of the
//! environment variables, and page tokens.
//!
//! **Invariant**: what one version writes, older and newer versions read. Each format has a golden test that compares values.

pub mod allowances;
pub mod batch;
pub mod catalog;
pub mod checkpoint;
pub mod environment;
pub mod files;
pub mod item;
pub mod keys;
pub mod listed;
pub mod messages;
mod outcome;
pub mod page_token;
mod parts;
pub mod report;
pub mod schedule;
pub mod schema;
pub mod text;
pub mod written;
