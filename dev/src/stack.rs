//! The whole stack: the emulator with Longhaul's functions and jobs on it, and the API.

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use api::App;
use aws::Connection;
use axum::{Router, middleware};
use contract::catalog::Catalog;
use emulator::{Change, Clock, Emulator, Place, Prepared, Resources, guard::Hosts, sockets};
use tokio::{net::TcpListener, task::JoinHandle};

use crate::{
    host, job_environment,
    jobs::{self, Configured, Difference, Jobs},
    options::Options,
    progress,
    server::{self, Current},
    setup, table,
    watch::Files,
};

/// A running stack.
#[derive(Debug)]
pub struct Stack {
    /// Where the API listens.
    pub api: SocketAddr,
    /// Where the AWS endpoints listen.
    pub aws: SocketAddr,
    options: Options,
    this: PathBuf,
    hosts: Hosts,
    connection: Connection,
    emulator: Emulator,
    current: Current,
    serving: JoinHandle<()>,
    configured: Configured,
    files: Files,
}

/// Why a stack could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address is in use, or does not belong to this machine.
    #[error("cannot listen on {address}: {why}; choose another with {option}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The option that sets another address.
        option: &'static str,
        /// What the operating system says.
        why: io::Error,
    },
    /// The data directory cannot be used.
    #[error("cannot use the data directory {}: {why}; choose another with --data", dir.display())]
    Data {
        /// The directory.
        dir: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A name is given to two programs.
    #[error("{option} gives the name `{name}` twice; give each program its own name")]
    Twice {
        /// The option.
        option: &'static str,
        /// The name.
        name: String,
    },
    /// The job file cannot be read, or has mistakes.
    #[error("{0}")]
    Jobs(String),
    /// A variable for jobs cannot be used.
    #[error(transparent)]
    Variable(#[from] job_environment::Refused),
    /// Anything else.
    #[error("cannot start: {0}")]
    Other(String),
}

impl From<emulator::StartError> for StartError {
    fn from(why: emulator::StartError) -> Self {
        match why {
            emulator::StartError::Listen { address, why } => Self::Listen { address, option: "--aws-listen", why },
            emulator::StartError::Data { dir, why } => Self::Data { dir, why },
            emulator::StartError::Other(why) => Self::Other(why),
        }
    }
}

impl Stack {
    /// Starts everything, and resumes what an earlier stack with the same directory left unfinished.
    ///
    /// # Errors
    ///
    /// [`StartError`], whose message is for the person at the terminal.
    pub async fn start(options: &Options) -> Result<Self, StartError> {
        if let Some(name) = options.job_twice() {
            return Err(StartError::Twice { option: "--job", name: name.to_owned() });
        }
        let (configured, files) = Configured::read(options);
        let configured = configured?;
        let variables = job_environment::read(&options.env_files, &options.env)?;
        let clock = Clock::of_process();
        let prepared = Prepared::open(Place {
            data: options.data.clone(),
            listen: options.aws_listen.0,
            allowed_hosts: options.allowed_hosts.clone(),
            clock: clock.clone(),
        })
        .await?;
        let listener = listen(options.listen.0)?;
        let api = listener.local_addr().map_err(other)?;
        warn_if_public(&[("--listen", api), ("--aws-listen", prepared.address())]);

        let this = std::env::current_exe().map_err(other)?;
        let jobs = Jobs::new(&prepared.task_families(jobs::IMAGE)?, &configured.jobs);
        let catalog = jobs.catalog(&configured.jobs).map_err(other)?;
        let Change { functions, task_definitions, without_capacity, secrets } =
            change(options, &this, &configured, &jobs, &catalog);
        let resources = Resources {
            environment: setup::environment(),
            tables: vec![table::table()],
            rules: setup::rules(),
            queues: vec![setup::event_queue()],
            buckets: vec![setup::bucket()],
            functions,
            cluster: setup::CLUSTER.to_owned(),
            task_environment: setup::task_environment(variables),
            task_definitions,
            without_capacity,
            secrets,
            permissions: setup::permissions(&options.functions),
            put_items: (!options.json).then(|| progress::print(clock.now())),
        };
        let emulator = prepared.start(resources)?;
        let connection =
            Connection::to_endpoint(&emulator.url(), emulator::REGION, setup::API_KEY).await.for_requests();
        let hosts = Hosts::new(api.ip(), &options.allowed_hosts);
        let current = Current::new(router(options, &connection, &hosts, catalog));
        let serving = tokio::spawn(server::serve(listener, current.clone()));
        let stack = Self {
            api,
            aws: emulator.address(),
            options: options.clone(),
            this,
            hosts,
            connection,
            emulator,
            current,
            serving,
            files: Files::new(files),
            configured,
        };
        stack.warn(&jobs).await?;
        Ok(stack)
    }

    /// The jobs of the job file and the command line.
    #[must_use]
    pub fn jobs(&self) -> &job_file::Jobs {
        &self.configured.jobs
    }

    /// The job that comes first in the job file, or else on the command line, and its name.
    #[must_use]
    pub fn first_job(&self) -> Option<(&str, &job_file::Job)> {
        self.configured.first()
    }

    /// Waits until the job file, or a file that it uses, has changed. Then deploys its jobs, and returns what is different. Work that has
    /// begun continues as it began. If this is cancelled, call it again.
    ///
    /// # Errors
    ///
    /// If the file cannot be used. Nothing has changed then.
    pub async fn jobs_changed(&mut self) -> Result<Difference, StartError> {
        self.files.changed().await;
        let (configured, files) = self.configured.read_again(&self.options);
        self.files.also(files);
        let configured = configured?;
        let jobs = Jobs::new(&self.emulator.task_families(jobs::IMAGE)?, &configured.jobs);
        let catalog = jobs.catalog(&configured.jobs).map_err(other)?;
        self.emulator.change(change(&self.options, &self.this, &configured, &jobs, &catalog))?;
        self.current.replace(router(&self.options, &self.connection, &self.hosts, catalog));
        let difference = Difference::between(&self.configured.jobs, &configured.jobs);
        self.configured = configured;
        self.warn(&jobs).await?;
        Ok(difference)
    }

    /// Warns about what keeps jobs from running: secrets without a value, and jobs that executions wait for and that are not configured.
    async fn warn(&self, jobs: &Jobs) -> Result<(), StartError> {
        for warning in self.configured.warnings() {
            tracing::warn!("{warning}");
        }
        if !jobs.none_disabled() {
            let unfinished = table::unfinished(&self.emulator).await.map_err(other)?;
            for warning in jobs.warnings(&unfinished) {
                tracing::warn!("{warning}");
            }
        }
        Ok(())
    }

    /// Stops everything. Executions that are not over resume after the next start.
    pub async fn shut_down(self) {
        // Stop the API first, so that nothing new begins.
        self.serving.abort();
        self.emulator.shut_down().await;
    }
}

/// What the emulator needs to know about the jobs.
fn change(options: &Options, this: &Path, configured: &Configured, jobs: &Jobs, catalog: &Catalog) -> Change {
    Change {
        functions: setup::functions(this, catalog, &options.functions),
        task_definitions: jobs::definitions(this, &configured.jobs),
        without_capacity: jobs.without_capacity(),
        secrets: configured.secrets(),
    }
}

/// The API with this catalog.
fn router(options: &Options, connection: &Connection, hosts: &Hosts, catalog: Catalog) -> Router {
    let config = setup::api_config(catalog, options);
    let app = App::new(connection, config, setup::callers(options.owner_header.clone()));
    api::router(app).layer(middleware::from_fn_with_state(hosts.clone(), host::check))
}

fn listen(address: SocketAddr) -> Result<TcpListener, StartError> {
    sockets::listen(address).map_err(|why| StartError::Listen { address, option: "--listen", why })
}

/// Warns about addresses that other machines can reach: anyone who connects there can do whatever the person at the terminal can.
fn warn_if_public(listeners: &[(&str, SocketAddr)]) {
    for (option, address) in listeners.iter().filter(|(_, address)| !address.ip().is_loopback()) {
        tracing::warn!(
            "{option} {address} is reachable from other machines, and nobody is authenticated there: \
             anyone who can connect can run commands as you. Use a loopback address unless you trust everyone on the network"
        );
    }
}

fn other(why: impl std::fmt::Display) -> StartError {
    StartError::Other(why.to_string())
}
