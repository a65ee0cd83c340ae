//! What the components log, and the format of functions' logs for CloudWatch.

use tracing::{Level, Metadata};
use tracing_subscriber::{
    EnvFilter,
    filter::filter_fn,
    layer::{Layer, SubscriberExt as _},
    registry::LookupSpan,
    util::SubscriberInitExt as _,
};

/// Our own crates. They never log payloads, at any level.
const OURS: [&str; 12] = [
    "api",
    "aws",
    "compute",
    "contract",
    "dev",
    "domain",
    "durable",
    "emulator",
    "reconciler",
    "runtime",
    "store",
    "worker",
];

/// Makes this process log JSON lines to stdout, where Lambda picks them up: what passes [`log_filter`], with `info` if `RUST_LOG` is
/// not set.
///
/// A line names only the innermost span. A list of all spans would repeat it and make up half of the line, and CloudWatch charges by the
/// byte (<https://aws.amazon.com/cloudwatch/pricing/>).
///
/// # Panics
///
/// If the process has already set up logging.
pub fn log_as_json() {
    let lines = tracing_subscriber::fmt::layer().json().flatten_event(true).with_span_list(false);
    tracing_subscriber::registry().with(log_filter("info")).with(lines).init();
}

/// Lets through what `RUST_LOG` says, or `default` if it is not set or not valid, but from third-party crates never more than `info`.
/// Below `info`, the SDKs, the Lambda runtime and HTTP libraries log requests and responses: inputs, results and tokens.
pub fn log_filter<S>(default: &str) -> impl Layer<S>
where
    S: tracing::Subscriber + for<'span> LookupSpan<'span>,
{
    let wanted = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    wanted.and_then(filter_fn(holds_no_payload))
}

fn holds_no_payload(line: &Metadata<'_>) -> bool {
    let from = line.target().split("::").next().unwrap_or_default();
    *line.level() <= Level::INFO || OURS.contains(&from)
}
