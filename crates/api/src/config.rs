//! What the API reads from its environment.

use contract::{
    catalog::{self, Catalog},
    environment,
};
use runtime::{Environment, FromEnvironment};

use crate::layers::cors::Origin;

/// The API's configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// `EXECUTIONS_TABLE`: name of the table.
    pub table: String,
    /// `DATA_BUCKET`: name of the bucket for uploads and artifacts.
    pub bucket: String,
    /// `SYNC_FUNCTION`: qualified name of the durable function of the sync pattern, `name:alias`.
    pub sync_function: String,
    /// `CALLBACK_FUNCTION`: the same for the callback pattern.
    pub callback_function: String,
    /// `RECONCILER_FUNCTION`: name of the reconciler's function.
    pub reconciler_function: String,
    /// `JOBS`: the jobs that may be run, as JSON: `{"name": {"taskDefinition": "family:revision"}}`; or `@` and the name of a file that
    /// contains the JSON.
    pub catalog: Catalog,
    /// `CORS_ORIGINS`: web origins whose pages may use the API, comma-separated; none if absent.
    pub cors_origins: Vec<Origin>,
    /// `HELD_REQUESTS`: how many requests of one caller may be held at a time (`Prefer: wait`).
    pub held_requests: u32,
    /// `LOG_READS`: how often one caller may read logs in 10 seconds.
    pub log_reads: u32,
}

/// Default of [`Config::held_requests`]. `make deploy` reserves 400 simultaneous requests for the API.
pub const HELD_REQUESTS: u32 = 20;

/// Default of [`Config::log_reads`]: CloudWatch answers 10 `GetLogEvents` a second for a whole account, more in some Regions, and does not
/// raise that (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/cloudwatch_limits_cwl.html>). The reconciler and the workflows
/// need a share of this quota: they read the logs of jobs whose worker could not report.
pub const LOG_READS: u32 = 30;

impl FromEnvironment for Config {
    fn read(env: &mut Environment) -> Self {
        Self {
            table: env.required(environment::EXECUTIONS_TABLE),
            bucket: env.required(environment::DATA_BUCKET),
            sync_function: env.required(environment::SYNC_FUNCTION),
            callback_function: env.required(environment::CALLBACK_FUNCTION),
            reconciler_function: env.required(environment::RECONCILER_FUNCTION),
            catalog: env.parsed_or_file(environment::JOBS, catalog::read),
            cors_origins: env.parsed_list(environment::CORS_ORIGINS),
            held_requests: env.parsed_or(environment::HELD_REQUESTS, HELD_REQUESTS),
            log_reads: env.parsed_or(environment::LOG_READS, LOG_READS),
        }
    }
}
