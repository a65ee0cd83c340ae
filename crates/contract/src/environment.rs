//! The names of environment variables. A task runs for up to a year with the variables that were set by the version that started it, and
//! operators keep their settings across deployments, so no variable may be renamed.

/// The name of the table; for the worker, where it records the outcome.
pub const EXECUTIONS_TABLE: &str = "EXECUTIONS_TABLE";
/// The bucket of uploads and artifacts.
pub const DATA_BUCKET: &str = "DATA_BUCKET";
/// The name or ARN of the cluster.
pub const ECS_CLUSTER: &str = "ECS_CLUSTER";
/// The catalog, as JSON, or `@` and the name of a file in the function's package that contains it: see [`crate::catalog`].
pub const JOBS: &str = "JOBS";
/// The log group that tasks print into.
pub const LOG_GROUP: &str = "LOG_GROUP";
/// The subnets of tasks, comma-separated.
pub const SUBNETS: &str = "SUBNETS";
/// The security groups of tasks, comma-separated.
pub const SECURITY_GROUPS: &str = "SECURITY_GROUPS";
/// `true` if tasks get a public address.
pub const PUBLIC_IP: &str = "PUBLIC_IP";
/// The owner of executions that are started by invoking a function directly.
pub const DIRECT_OWNER: &str = "DIRECT_OWNER";
/// The qualified name of the sync pattern's durable function.
pub const SYNC_FUNCTION: &str = "SYNC_FUNCTION";
/// The qualified name of the callback pattern's durable function.
pub const CALLBACK_FUNCTION: &str = "CALLBACK_FUNCTION";
/// The name of the reconciler's function.
pub const RECONCILER_FUNCTION: &str = "RECONCILER_FUNCTION";
/// Web origins whose pages may use the API, comma-separated.
pub const CORS_ORIGINS: &str = "CORS_ORIGINS";
/// How many requests of one caller may be held at a time.
pub const HELD_REQUESTS: &str = "HELD_REQUESTS";
/// How often one caller may read logs in 10 seconds.
pub const LOG_READS: &str = "LOG_READS";

/// The execution.
pub const EXECUTION_ID: &str = "EXECUTION_ID";
/// The attempt, from 1.
pub const EXECUTION_ATTEMPT: &str = "EXECUTION_ATTEMPT";
/// When the job must have ended, in RFC 3339.
pub const EXECUTION_DEADLINE: &str = "EXECUTION_DEADLINE";
/// How many seconds a task has to end after it was told to stop.
pub const EXECUTION_STOP_TIMEOUT: &str = "EXECUTION_STOP_TIMEOUT";
/// The input, for the worker and its command.
pub const EXECUTION_INPUT: &str = "EXECUTION_INPUT";
/// The file that a job may write its result to.
pub const EXECUTION_RESULT_FILE: &str = "EXECUTION_RESULT_FILE";
/// The path of the request's uploaded file, for the command.
pub const EXECUTION_INPUT_FILE: &str = "EXECUTION_INPUT_FILE";
/// The directory whose files become artifacts, for the command.
pub const EXECUTION_OUTPUT_DIR: &str = "EXECUTION_OUTPUT_DIR";
/// The bucket and the key of the upload, for the worker.
pub const EXECUTION_INPUT_OBJECT: &str = "EXECUTION_INPUT_OBJECT";
/// The bucket and the key prefix of artifacts, for the worker.
pub const EXECUTION_OUTPUT_PREFIX: &str = "EXECUTION_OUTPUT_PREFIX";
/// The table to read the input from.
pub const INPUT_TABLE: &str = "INPUT_TABLE";
/// The table to store a report in.
pub const REPORT_TABLE: &str = "REPORT_TABLE";
/// The key of the report.
pub const REPORT_KEY: &str = "REPORT_KEY";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_ever_changes() {
        let names = [
            EXECUTIONS_TABLE,
            DATA_BUCKET,
            ECS_CLUSTER,
            JOBS,
            LOG_GROUP,
            SUBNETS,
            SECURITY_GROUPS,
            PUBLIC_IP,
            DIRECT_OWNER,
            SYNC_FUNCTION,
            CALLBACK_FUNCTION,
            RECONCILER_FUNCTION,
            CORS_ORIGINS,
            HELD_REQUESTS,
            LOG_READS,
            EXECUTION_ID,
            EXECUTION_ATTEMPT,
            EXECUTION_DEADLINE,
            EXECUTION_STOP_TIMEOUT,
            EXECUTION_INPUT,
            EXECUTION_RESULT_FILE,
            EXECUTION_INPUT_FILE,
            EXECUTION_OUTPUT_DIR,
            EXECUTION_INPUT_OBJECT,
            EXECUTION_OUTPUT_PREFIX,
            INPUT_TABLE,
            REPORT_TABLE,
            REPORT_KEY,
        ];
        let text = "EXECUTIONS_TABLE DATA_BUCKET ECS_CLUSTER JOBS LOG_GROUP SUBNETS SECURITY_GROUPS PUBLIC_IP DIRECT_OWNER SYNC_FUNCTION CALLBACK_FUNCTION RECONCILER_FUNCTION CORS_ORIGINS HELD_REQUESTS LOG_READS EXECUTION_ID EXECUTION_ATTEMPT EXECUTION_DEADLINE EXECUTION_STOP_TIMEOUT EXECUTION_INPUT EXECUTION_RESULT_FILE EXECUTION_INPUT_FILE EXECUTION_OUTPUT_DIR EXECUTION_INPUT_OBJECT EXECUTION_OUTPUT_PREFIX INPUT_TABLE REPORT_TABLE REPORT_KEY";
        assert_eq!(names.join(" "), text);
    }
}
