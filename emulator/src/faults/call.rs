//! What faults can hit: calls of services, and events.

use std::fmt;

use axum::http::request::Parts;

use crate::{
    callers,
    service::{self, Facts},
};

/// The word that stands for events where a fault would otherwise name a service.
pub(super) const EVENTS: &str = "events";

/// A call, or an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Call {
    pub(super) of: Of,
    /// The access key that signed it; empty if none did.
    pub(super) by: String,
}

/// An operation of a service, or an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Of {
    /// A call of this service's operation.
    Operation(&'static Facts, String),
    /// An event on its way to its targets, with this detail type. It is not a call: it can be lost, duplicated and delayed.
    Event(String),
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.of {
            Of::Operation(service, operation) => write!(f, "{}:{operation}", service.name),
            Of::Event(detail_type) => write!(f, "{EVENTS}:{detail_type}"),
        }
    }
}

impl Call {
    /// The call that a request makes, and its service; `None` if it is not an AWS call.
    pub(super) fn of(request: &Parts) -> Option<(Self, &'static Facts)> {
        let by = callers::key_of_request(request).unwrap_or_default();
        let (service, operation) = service::called(request)?;
        Some((Self { of: Of::Operation(service, operation), by }, service))
    }

    /// An event.
    pub(super) fn event(detail_type: &str) -> Self {
        Self { of: Of::Event(detail_type.to_owned()), by: String::new() }
    }
}
