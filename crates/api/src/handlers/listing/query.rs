//! The query of a list.

use domain::{Pattern, Status, listing::Filter};

use crate::{answers::problem::Problem, extract::parameters::Parameters};

const STATUSES: [(&str, Status); 9] = [
    ("SCHEDULED", Status::Scheduled),
    ("PENDING", Status::Pending),
    ("RUNNING", Status::Running),
    ("CANCELLING", Status::Cancelling),
    ("COMPLETED", Status::Completed),
    ("FAILED", Status::Failed),
    ("TIMED_OUT", Status::TimedOut),
    ("CANCELLED", Status::Cancelled),
    ("EXPIRED", Status::Expired),
];

const PATTERNS: [(&str, Pattern); 2] = [("sync", Pattern::Sync), ("callback", Pattern::Callback)];

/// Takes the filters from the query.
pub(super) fn filter(parameters: &mut Parameters) -> Result<Filter, Problem> {
    let text = |text: &str| Some(text.to_owned());
    let tag = |text: &str| match text.split_once('=') {
        Some((key, value)) => Some((key.to_owned(), Some(value.to_owned()))),
        None => Some((text.to_owned(), None)),
    };
    Ok(Filter {
        status: parameters.choice("status", &STATUSES)?,
        pattern: parameters.choice("pattern", &PATTERNS)?,
        job: parameters.take("job", "the name of a job", text)?,
        tag: parameters.take("tag", "a tag's key, or key=value", tag)?,
        schedule: parameters.take("schedule", "the name of a schedule", text)?,
        batch: parameters.take("batch", "the id of a batch", |text| text.parse().ok())?,
        created_after: parameters.time("createdAfter")?,
        created_before: parameters.time("createdBefore")?,
    })
}
