//! What an execution is: its identity, its request, its states and what may change them.
//!
//! **Invariant**: pure. No async, no AWS, no HTTP, no clock and no randomness: the time of an event is a value that is passed in, so the
//! same calls always return the same results. This crate does not know how its types are stored or recorded: `crates/contract` does.

pub mod artifacts;
mod attempts;
pub mod batch;
mod changes;
pub mod collect;
mod digest;
mod error_kind;
mod execution;
pub mod history;
mod id;
mod job_log;
mod json;
pub mod judge;
pub mod limits;
pub mod listing;
pub mod output;
mod overrides;
mod report;
mod request;
mod retry_rule;
pub mod schedule;
mod state;
pub mod task;
mod task_size;
mod timeline;
mod unknown;
pub mod upload;
pub mod variable;
mod waiting;

pub use artifacts::{Artifact, Artifacts};
pub use attempts::{FailedAttempts, Next, Retry, may_retry};
pub use batch::{Batch, BatchId};
pub use changes::{Changes, LatestStart};
pub use digest::{Digest, NotADigest};
pub use error_kind::ErrorKind;
pub use execution::{Execution, NEVER, Pattern};
pub use id::{ExecutionId, InvalidId, Owner};
pub use job_log::JobLog;
pub use json::{Json, NotJson};
pub use overrides::{Allowed, OVERRIDE_NOT_ALLOWED, Overrides, TASK_SIZE};
pub use report::{Report, Told, Unusable};
pub use request::{DEFAULT_JOB, Request, Start, Violation, pointer_to};
pub use retry_rule::RetryRule;
pub use state::{Attempt, Event, JobError, Outcome, OutcomeKind, Refused, StartedTask, State, Status, UnknownName};
pub use task_size::TaskSize;
pub use timeline::{Entry, Moment, Timeline};
pub use unknown::Unknown;
pub use upload::{Upload, UploadId};
pub use waiting::{Denied, Waiting};
