//! What all AWS calls share: the connection, and how failures are classified.
//!
//! **Invariant**: nothing here makes decisions about executions: `domain` does. The calls themselves are in `store` (`DynamoDB`) and in
//! `compute` (ECS, Lambda, CloudWatch Logs), so that a program links only the services that it calls.

mod connection;
mod error;
mod http;

pub use connection::Connection;
pub use error::{CallFailed, Cause, Phase, with_causes};
pub use http::CERTIFICATES;
