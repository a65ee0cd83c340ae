//! The whole stack: the emulator with Longhaul's functions and jobs on it, and the API.

use std::{io, net::SocketAddr, path::PathBuf};

use api::App;
use aws::Connection;
use axum::middleware;
use emulator::{Clock, Emulator, Place, Prepared, Resources, guard::Hosts, sockets};
use tokio::{net::TcpListener, task::JoinHandle};

use crate::{
    host, job_environment,
    jobs::{self, Jobs},
    options::Options,
    progress, server, setup, table,
};

/// A running stack.
#[derive(Debug)]
pub struct Stack {
    /// Where the API listens.
    pub api: SocketAddr,
    /// Where the AWS endpoints listen.
    pub aws: SocketAddr,
    emulator: Emulator,
    serving: JoinHandle<()>,
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
        let jobs = Jobs::new(&prepared, &options.jobs)?;
        let catalog = jobs.catalog().map_err(other)?;
        let resources = Resources {
            environment: setup::environment(),
            tables: vec![table::table()],
            rules: setup::rules(),
            queues: vec![setup::event_queue()],
            functions: setup::functions(&this, &catalog, &options.functions),
            cluster: setup::CLUSTER.to_owned(),
            task_environment: setup::task_environment(variables),
            task_definitions: jobs::definitions(&this, &options.jobs),
            without_capacity: jobs.without_capacity(),
            permissions: setup::permissions(&options.functions),
            put_items: (!options.json).then(|| progress::print(clock.now())),
        };
        let emulator = prepared.start(resources)?;
        if !jobs.none_disabled() {
            let unfinished = table::unfinished(&emulator).await.map_err(other)?;
            for warning in jobs.warnings(&unfinished) {
                tracing::warn!("{warning}");
            }
        }
        let connection =
            Connection::to_endpoint(&emulator.url(), emulator::REGION, setup::API_KEY).await.for_requests();
        let config = setup::api_config(catalog, options);
        let app = App::new(&connection, config, setup::callers(options.owner_header.clone()));
        let hosts = Hosts::new(api.ip(), &options.allowed_hosts);
        let router = api::router(app).layer(middleware::from_fn_with_state(hosts, host::check));
        let serving = tokio::spawn(server::serve(listener, router));
        Ok(Self { api, aws: emulator.address(), emulator, serving })
    }

    /// Stops everything. Executions that are not over resume after the next start.
    pub async fn shut_down(self) {
        // Stop the API first, so that nothing new begins.
        self.serving.abort();
        self.emulator.shut_down().await;
    }
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
