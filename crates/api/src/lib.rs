//! The HTTP API: one router, served by the local stack directly and by Lambda through `lambda_http`.
//!
//! **Invariant**: a route that is not in the `OpenAPI` document cannot be served, except for the document itself, the documentation page
//! and the index.

mod answers;
mod app;
pub mod config;
mod docs;
mod document;
mod extract;
mod gateway;
mod handlers;
mod held;
mod lambda;
mod layers;
mod needs;
mod random;
mod rate;
mod router;
mod schemas;
mod starting;

pub use app::App;
pub use document::document;
pub use extract::caller::Callers;
pub use gateway::Gateway;
pub use lambda::run;
pub use layers::cors::{InvalidOrigin, Origin};
pub use needs::needs;
pub use router::router;
