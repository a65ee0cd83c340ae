//! The HTTP API: one router, served by the local stack directly and by Lambda through `lambda_http`.
//!
//! **Invariant**: a route that is not in the `OpenAPI` document cannot be served, except for the document itself.

mod answer_size;
mod body;
mod caller;
mod cancel;
pub mod config;
mod cors;
mod cross_site;
mod deadline;
mod docs;
mod document;
mod executions;
mod health;
mod held;
mod hint;
mod history;
mod index;
mod jobs;
mod lambda;
mod listing;
mod logs;
mod model;
mod needs;
mod object;
mod page_token;
mod parameters;
mod path;
mod prefer;
mod problem;
mod random;
mod rate;
mod request_id;
mod router;
mod security;
mod start;
mod time;

pub use caller::Callers;
pub use cors::{InvalidOrigin, Origin};
pub use document::document;
pub use lambda::run;
pub use needs::needs;
pub use router::{App, router};
