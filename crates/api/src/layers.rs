//! What happens to every request before and after its handler.

pub(crate) mod cors;
pub(crate) mod cross_site;
pub(crate) mod deadline;
pub(crate) mod request_id;
pub(crate) mod security;
