//! What the reconciler reads from its environment.

use contract::{
    catalog::{self, Catalog},
    environment,
};
use runtime::{Environment, FromEnvironment};

/// The reconciler's configuration.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    /// `EXECUTIONS_TABLE`: name of the table.
    pub(crate) table: String,
    /// `SYNC_FUNCTION`, `CALLBACK_FUNCTION`: the durable functions by qualified name.
    pub(crate) sync_function: String,
    pub(crate) callback_function: String,
    /// `ECS_CLUSTER`: name or ARN of the cluster.
    pub(crate) cluster: String,
    /// `JOBS`: the jobs that may be run, for the requests of schedules.
    pub(crate) catalog: Catalog,
}

impl FromEnvironment for Config {
    fn read(env: &mut Environment) -> Self {
        Self {
            table: env.required(environment::EXECUTIONS_TABLE),
            sync_function: env.required(environment::SYNC_FUNCTION),
            callback_function: env.required(environment::CALLBACK_FUNCTION),
            cluster: env.required(environment::ECS_CLUSTER),
            catalog: env.parsed_or_file(environment::JOBS, catalog::read),
        }
    }
}
