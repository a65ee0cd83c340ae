//! What every process of Longhaul needs from its surroundings, apart from AWS: the clock, the environment, and where its log goes.

pub mod clock;
mod environment;
mod logging;
mod needs;

pub use environment::{Environment, FromEnvironment, Misconfigured};
pub use logging::{log_as_json, log_filter};
pub use needs::Needs;
