//! Data that outlives a deployment: the items of the table, the messages between functions, the catalog of jobs, the names of the
//! environment variables, and page tokens.
//!
//! **Invariant**: what one version writes, older and newer versions read. Each has a golden test that compares values.

pub mod catalog;
pub mod environment;
pub mod item;
pub mod keys;
pub mod listed;
pub mod messages;
pub mod page_token;
pub mod schema;
