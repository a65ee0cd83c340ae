//! What the durable functions read from their environment.

use compute::Network;
use contract::{
    catalog::{self, Catalog},
    environment,
};
use domain::Owner;
use runtime::{Environment, FromEnvironment};

/// The configuration of both durable functions.
#[derive(Debug, Clone)]
pub struct Config {
    /// `EXECUTIONS_TABLE`: name of the table.
    pub table: String,
    /// `DATA_BUCKET`: name of the bucket for uploads and artifacts, which is passed on to tasks.
    pub bucket: String,
    /// `ECS_CLUSTER`: name or ARN of the cluster.
    pub cluster: String,
    /// `JOBS`: the jobs that may be run, as JSON: `{"name": {"taskDefinition": "family:revision"}}`; or `@` and the name of a file that
    /// contains the JSON.
    pub catalog: Catalog,
    /// `LOG_GROUP`: the log group that tasks print into.
    pub log_group: String,
    /// `SUBNETS`, `SECURITY_GROUPS` (comma-separated) and `PUBLIC_IP` (`true`): where tasks are placed in a VPC.
    pub network: Network,
    /// `DIRECT_OWNER`: the owner of executions that are started by invoking a function directly; `direct` if absent.
    pub direct_owner: Owner,
}

impl FromEnvironment for Config {
    fn read(env: &mut Environment) -> Self {
        Self {
            table: env.required(environment::EXECUTIONS_TABLE),
            bucket: env.required(environment::DATA_BUCKET),
            cluster: env.required(environment::ECS_CLUSTER),
            catalog: env.parsed_or_file(environment::JOBS, catalog::read),
            log_group: env.required(environment::LOG_GROUP),
            network: Network {
                subnets: env.list(environment::SUBNETS),
                security_groups: env.list(environment::SECURITY_GROUPS),
                public_ip: env.optional(environment::PUBLIC_IP).is_some_and(|value| value == "true"),
            },
            direct_owner: Owner::new(env.optional(environment::DIRECT_OWNER).unwrap_or_else(|| "direct".into())),
        }
    }
}
