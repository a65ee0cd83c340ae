//! Every limit of the API, in one place, each with the reason for its size.

use std::time::Duration;

/// Largest request body, in bytes. Its input is limited further, by [`INPUT_BYTES`]: it is stored in a `DynamoDB` item together with a
/// result of up to [`RESULT_BYTES`], and an item has at most 400 KB
/// (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html>).
pub const BODY_BYTES: usize = 256 * 1024;

/// Largest request body of a batch, in bytes. Lambda accepts 6 MB
/// (<https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>), in which the body is a JSON string, so it can take twice its
/// size. Each of its executions has the limits that it has on its own.
pub const BATCH_BODY_BYTES: usize = 2 * 1024 * 1024;

/// Maximum number of executions of a batch. They are stored and their workflows are started within one request, of which Lambda starts at most
/// 300 a second.
pub const BATCH_EXECUTIONS: usize = 1_000;

/// Largest input together with all tags, in bytes of the input's JSON text and of the tags' keys and values. With the largest result and
/// all other attributes, the item stays below 400 KB.
pub const INPUT_BYTES: usize = 180 * 1024;

/// Largest result, in bytes of its JSON text, that is stored in the item. A result file that is larger becomes an artifact; a larger
/// result on stdout makes the execution FAILED with `result-too-large`, and the log still holds it.
pub const RESULT_BYTES: usize = 180 * 1024;

/// Deepest nesting of a result: the same as for an input, for the same reason.
pub const RESULT_DEPTH: usize = INPUT_DEPTH;

/// Deepest nesting of an input. Many parsers of callers and jobs recurse; 64 is deeper than any hand-written document.
pub const INPUT_DEPTH: usize = 64;

/// Maximum number of tags on one execution. ECS allows 50 on a task, some of which Longhaul sets itself.
pub const TAGS: usize = 20;

/// Longest tag key, in characters (ECS's own limit for a tag key).
pub const TAG_KEY_CHARS: usize = 128;

/// Longest tag value, in characters (ECS's own limit for a tag value).
pub const TAG_VALUE_CHARS: usize = 256;

/// Longest `Idempotency-Key`, in characters.
pub const IDEMPOTENCY_KEY_CHARS: usize = 255;

/// Longest job name, in characters.
pub const JOB_NAME_CHARS: usize = 64;

/// Longest name of a schedule, in characters: the same as for a job.
pub const SCHEDULE_NAME_CHARS: usize = 64;

/// Maximum number of schedules of one owner. They are listed in one response, and all of them may be due in the same minute.
pub const SCHEDULES: usize = 100;

/// Shortest and longest catch-up window of a schedule, in seconds. The reconciler sweeps once a minute, so with less than five minutes, a
/// few slow sweeps would lose a time.
pub const CATCH_UP_SECONDS: std::ops::RangeInclusive<u64> = 300..=604_800;

/// The catch-up window of a schedule that does not name one, in seconds.
pub const DEFAULT_CATCH_UP_SECONDS: u64 = 3_600;

/// Longest jitter of a schedule, in seconds.
pub const JITTER_SECONDS: u64 = 3_600;

/// Longest execution id, in characters. A durable execution's name and ECS's `clientToken` may have 64. Longhaul uses the id for both,
/// followed by `-` and the attempt.
pub const ID_CHARS: usize = 60;

/// The timeout of a request without `timeoutSeconds`, unless the job's catalog entry has another. A job that hangs is stopped
/// after a day; a request that needs more has to say so.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_hours(24);

/// Longest job. A durable execution may run 366 days
/// (<https://docs.aws.amazon.com/lambda/latest/api/API_DurableConfig.html>); the last day is for stopping the task and
/// recording how it ended.
pub const TIMEOUT: Duration = Duration::from_hours(365 * 24);

/// Longest delay of a start, from the request to the start time.
pub const DELAY: Duration = Duration::from_hours(366 * 24);

/// Maximum number of attempts of one execution.
pub const ATTEMPTS: u32 = 10;

/// Maximum number of exit codes of a rule for retries.
pub const EXIT_CODES: usize = 50;

/// Highest exit code of a process on Linux.
pub const HIGHEST_EXIT_CODE: i32 = 255;

/// Longest wait between two attempts: see [`RetryRule`](crate::RetryRule).
pub const BACKOFF: Duration = Duration::from_hours(24);

/// Maximum number of environment variables of a request. With [`VARIABLES_BYTES`], they fit into `RunTask`'s overrides together with an
/// input of 4 KB: see `crates/durable/src/aws_activities/launch.rs`.
pub const VARIABLES: usize = 20;

/// Largest environment of a request, in bytes of its JSON text.
pub const VARIABLES_BYTES: usize = 1_536;

/// Longest description of a job, in characters.
pub const DESCRIPTION_CHARS: usize = 500;

/// Maximum number of attempts that are not counted among a job's own because the platform failed: a Spot interruption, a lost host, a
/// task that could not be started. More failures than this are unlikely to be a coincidence.
pub const EXCUSED: u32 = 3;

/// Maximum number of attempts that are not counted because AWS retired the platform of their task. Retirements are expected for a job
/// that runs for weeks, so they count neither among the job's own attempts nor towards [`EXCUSED`]. The limit allows one for each week of
/// the longest timeout.
pub const RETIRED: u32 = 53;

/// How many tasks of earlier attempts an execution remembers, the newest ones. Everything that it stores must fit into an item of
/// 400 KB.
pub const EARLIER_TASKS: usize = 15;

/// How long an execution stays readable after its end.
pub const RETENTION: Duration = Duration::from_hours(30 * 24);

/// Maximum number of entries of a timeline; the first one and the newest are kept.
pub const TIMELINE_ENTRIES: usize = 50;

/// Longest detail of a timeline's entry, in bytes. Of a longer one, the beginning and the end are kept, with a `…` between them.
pub const DETAIL_BYTES: usize = 200;

/// Largest timeline, in bytes of its details. If an entry does not fit, earlier ones are dropped, but not the first.
pub const TIMELINE_BYTES: usize = 5_000;

/// Longest error message that is kept, in bytes. If a message is longer, only its end is kept, after a `…`.
pub const ERROR_MESSAGE_BYTES: usize = 2 * 1024;

/// Longest end of a job's output that is kept with its error, in bytes; the rest is replaced with a `…`.
pub const LOG_TAIL_BYTES: usize = 4 * 1024;

/// Largest file that is uploaded, in bytes, by a caller or by a worker: what one `PutObject` takes
/// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/upload-objects.html>).
pub const FILE_BYTES: u64 = 5 * 1024 * 1024 * 1024;

/// Maximum number of artifacts of one execution. With their names, they must fit into the item.
pub const ARTIFACTS: usize = 100;

/// Longest name of an artifact, in bytes.
pub const ARTIFACT_NAME_BYTES: usize = 255;

/// Longest names of all artifacts of one execution together, in bytes.
pub const ARTIFACT_NAMES_BYTES: usize = 4 * 1024;

/// How long the artifacts of an execution are kept. They are uploaded before the outcome is recorded, which can take up to a day, and
/// must be readable for [`RETENTION`] after that.
pub const ARTIFACTS_KEPT: Duration = Duration::from_hours(32 * 24);

#[cfg(test)]
mod tests {
    use super::*;

    /// Callers rely on what the documentation promises. A limit may grow, but never shrink.
    #[test]
    fn the_limits_are_those_that_are_documented() {
        let bytes = [BODY_BYTES, INPUT_BYTES, RESULT_BYTES, ERROR_MESSAGE_BYTES, LOG_TAIL_BYTES];
        assert_eq!(bytes, [262_144, 184_320, 184_320, 2_048, 4_096]);
        let days = [DEFAULT_TIMEOUT, TIMEOUT, RETENTION].map(|time| time.as_secs() / 86_400);
        assert_eq!(days, [1, 365, 30]);
    }
}
