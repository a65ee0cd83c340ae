//! What functions print for CloudWatch.

use tracing_subscriber::EnvFilter;

/// Has this process log as JSON lines on stdout, where Lambda picks them up: what `RUST_LOG` says, `info` if it says nothing.
///
/// A line names the innermost span alone. The list of all of them would repeat it, and make half of a line; CloudWatch takes
/// money by the byte (<https://aws.amazon.com/cloudwatch/pricing/>).
///
/// # Panics
///
/// When the process logs already.
pub fn log_as_json() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().json().flatten_event(true).with_span_list(false).with_env_filter(filter).init();
}
