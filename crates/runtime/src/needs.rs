//! What a program needs from its deployment.

use std::collections::BTreeMap;

use serde::Serialize;

/// The environment variables that a program reads, and the AWS calls that it makes. `deploy/tests` checks `template.yaml` against
/// it, and the local stack denies every other AWS call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Needs {
    /// The environment variables that it reads, and whether each is required.
    pub variables: BTreeMap<String, bool>,
    /// The AWS calls that it makes, as `service:Operation`.
    pub calls: Vec<&'static str>,
}
