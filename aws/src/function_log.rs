//! What the parts log: how much, and what functions print for CloudWatch.

use tracing::{Level, Metadata};
use tracing_subscriber::{
    EnvFilter,
    filter::filter_fn,
    layer::{Layer, SubscriberExt as _},
    registry::LookupSpan,
    util::SubscriberInitExt as _,
};

/// The crates whose lines are written here. They never log payloads, at any level.
const OURS: [&str; 7] = ["api", "aws", "domain", "durable", "local", "reconciler", "worker"];

/// Has this process log as JSON lines on stdout, where Lambda picks them up: what [`log_filter`] lets pass, `info` if
/// `RUST_LOG` is not set.
///
/// A line names the innermost span alone. The list of all of them would repeat it, and make half of a line; CloudWatch takes
/// money by the byte (<https://aws.amazon.com/cloudwatch/pricing/>).
///
/// # Panics
///
/// When the process logs already.
pub fn log_as_json() {
    let lines = tracing_subscriber::fmt::layer().json().flatten_event(true).with_span_list(false);
    tracing_subscriber::registry().with(log_filter("info")).with(lines).init();
}

/// Lets pass what `RUST_LOG` says, or `default` if it is not set or not valid; of other people's crates never more than
/// `info`. Below that, the SDKs, the Lambda runtime and HTTP libraries log requests and answers: inputs, results and tokens.
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
