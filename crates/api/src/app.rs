//! What all handlers share: the services that they call, and the configuration.

use std::{ops::Deref, sync::Arc};

use aws::Connection;
use compute::{Histories, Logs, Reconciler, Workflows};
use contract::catalog::Catalog;
use objects::Objects;
use store::{Allowances, Batches, Executions, Schedules};

use crate::{config::Config, extract::caller::Callers, layers::cors::Origin, schemas::Schemas};

/// What all handlers share. It is cloned several times for each request.
#[derive(Debug, Clone)]
pub struct App(Arc<Services>);

#[derive(Debug)]
pub struct Services {
    pub(crate) executions: Executions,
    pub(crate) schedules: Schedules,
    pub(crate) batches: Batches,
    pub(crate) workflows: Workflows,
    pub(crate) reconciler: Reconciler,
    pub(crate) histories: Histories,
    pub(crate) logs: Logs,
    pub(crate) objects: Objects,
    pub(crate) schemas: Schemas,
    pub(crate) catalog: Catalog,
    pub(crate) callers: Callers,
    pub(crate) cors_origins: Vec<Origin>,
    pub(crate) allowances: Allowances,
    pub(crate) held_requests: u32,
    pub(crate) log_reads: u32,
}

impl App {
    /// An API over these services, for these callers.
    #[must_use]
    pub fn new(connection: &Connection, config: Config, callers: Callers) -> Self {
        Self(Arc::new(Services {
            allowances: Allowances::new(connection, config.table.clone()),
            schedules: Schedules::new(connection, config.table.clone()),
            batches: Batches::new(connection, config.table.clone()),
            executions: Executions::new(connection, config.table),
            histories: Histories::new(connection, &config.sync_function, &config.callback_function),
            logs: Logs::new(connection),
            objects: Objects::new(connection, &config.bucket),
            workflows: Workflows::new(connection, config.sync_function, config.callback_function),
            reconciler: Reconciler::new(connection, config.reconciler_function),
            schemas: Schemas::of(&config.catalog),
            catalog: config.catalog,
            callers,
            cors_origins: config.cors_origins,
            held_requests: config.held_requests,
            log_reads: config.log_reads,
        }))
    }
}

impl Deref for App {
    type Target = Services;

    fn deref(&self) -> &Services {
        &self.0
    }
}
