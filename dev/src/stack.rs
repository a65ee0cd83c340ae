//! The whole stack: starts its components in the order of their dependencies, and stops them in reverse.

use std::{
    fs::File,
    io,
    net::SocketAddr,
    path::PathBuf,
    time::{Duration, Instant},
};

use api::App;
use aws::Connection;
use axum::middleware;
use tokio::{net::TcpListener, task::JoinHandle};

use crate::{
    callers,
    clock::{self, Clock},
    db::Db,
    dynamodb::DynamoDb,
    ecs::{self, Ecs},
    events::{self, Events},
    faults::{Faults, Front},
    gateway::Services,
    guard::{self, Hosts},
    identity::REGION,
    job_environment,
    jobs::{self, Jobs},
    lambda::{self, Lambda},
    logs::{self, Logs},
    options::Options,
    progress::Progress,
    server, setup,
    wire::AwsError,
};

/// How long a previous stack may take to exit.
const LEAVING: Duration = Duration::from_secs(2);

/// A running stack.
#[derive(Debug)]
pub struct Stack {
    /// Where the API listens.
    pub api: SocketAddr,
    /// Where the AWS endpoints listen.
    pub aws: SocketAddr,
    ecs: Ecs,
    lambda: Lambda,
    running: Vec<JoinHandle<()>>,
    /// Held for as long as the stack runs: two stacks with the same directory would destroy each other's work.
    _lock: File,
}

/// Why a stack could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address is in use, or does not belong to this machine.
    #[error("cannot listen on {address}: {why}; choose another with {option}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The option for another one.
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

impl From<AwsError> for StartError {
    fn from(why: AwsError) -> Self {
        Self::Other(why.message)
    }
}

impl Stack {
    /// Starts everything, and takes up what an earlier stack over the same directory left unfinished.
    ///
    /// # Errors
    ///
    /// [`StartError`], in words for the person at the terminal.
    pub async fn start(options: &Options) -> Result<Self, StartError> {
        if let Some(name) = options.job_twice() {
            return Err(StartError::Twice { option: "--job", name: name.to_owned() });
        }
        let variables = job_environment::read(&options.env_files, &options.env)?;
        let aws_listener = listen(options.aws_listen.0, "--aws-listen")?;
        let api_listener = listen(options.listen.0, "--listen")?;
        let (aws_address, api_address) = (address(&aws_listener)?, address(&api_listener)?);
        let this = std::env::current_exe().map_err(other)?;
        let lock = lock(options).await?;
        let data = |why: String| StartError::Data { dir: options.data.clone(), why };

        let aws_url = format!("http://{aws_address}");
        let base = setup::base_environment(&aws_url, &options.data);
        let schemas = [logs::SCHEMA, events::SCHEMA, ecs::SCHEMA, lambda::SCHEMA];
        let db = Db::open(&options.data.join("aws.db"), &schemas).map_err(|why| data(why.to_string()))?;
        let dynamodb =
            DynamoDb::open(&options.data.join("dynamodb.db"), setup::TABLE).map_err(|why| data(why.to_string()))?;

        let clock = Clock;
        let logs = Logs::new(db.clone(), clock);
        let settings = ecs::Settings {
            cluster: setup::CLUSTER.to_owned(),
            base_environment: setup::task_environment(&base, variables),
            metadata_base: format!("{aws_url}/_ecs"),
        };
        let (faults, callers) = (Faults::default(), callers::Callers::default());
        let events = Events::new(db.clone(), clock, faults.clone(), setup::rules())?;
        let ecs = Ecs::new(db.clone(), clock, logs.clone(), events.clone(), callers.clone(), settings);
        ecs.recover()?;
        jobs::register(&ecs, &this, &options.jobs).await?;
        let jobs = Jobs::new(&ecs, &options.jobs)?;
        ecs.set_without_capacity(jobs.without_capacity());
        if !jobs.none_disabled() {
            let unfinished = dynamodb.unfinished(setup::TABLE).map_err(other)?;
            for warning in jobs.warnings(&unfinished) {
                tracing::warn!("{warning}");
            }
        }
        let catalog = jobs.catalog().map_err(other)?;
        let functions = setup::functions(&this, &catalog, &options.functions);
        let lambda = Lambda::new(db, clock, &logs, &events, callers.clone(), base, functions)?;

        let client = client().map_err(other)?;
        let services = Services {
            dynamodb: dynamodb.clone(),
            ecs: ecs.clone(),
            events: events.clone(),
            logs,
            lambda: lambda.clone(),
            progress: if options.json { Progress::default() } else { Progress::printed(clock.now()) },
        };
        let endpoints = services.router().merge(faults.router(callers.clone()));
        let hosts = |address: SocketAddr| Hosts::new(address.ip(), &options.allowed_hosts);
        warn_of_strangers(&[("--listen", api_address), ("--aws-listen", aws_address)]);
        let front = Front::new(hosts(aws_address), endpoints, faults, callers, ecs.clone(), clock);
        let connection = Connection::to_endpoint(&aws_url, REGION, callers::API).await.for_requests();
        let config = setup::api_config(catalog, options);
        let app = App::new(&connection, config, setup::callers(options.owner_header.clone()));
        let api = api::router(app).layer(middleware::from_fn_with_state(hosts(api_address), guard::before_api));
        let driven = lambda.clone();
        let running = vec![
            tokio::spawn(front.serve(aws_listener)),
            tokio::spawn(server::serve(api_listener, api)),
            tokio::spawn(dynamodb.sweep_expired()),
            tokio::spawn(async move { driven.drive().await }),
            tokio::spawn(async move { events.deliver(client, &aws_url, &setup::notices()).await }),
        ];
        if options.movable_clock {
            tokio::spawn(clock::warn_of_python());
        }
        Ok(Self { api: api_address, aws: aws_address, ecs, lambda, running, _lock: lock })
    }

    /// Stops everything. Executions that are not over go on after the next start.
    pub async fn shut_down(self) {
        // The API and the driver first: nothing new begins. The AWS endpoints last: what ends wants to say so.
        for part in self.running.iter().skip(1) {
            part.abort();
        }
        self.lambda.shut_down().await;
        self.ecs.shut_down().await;
        for part in self.running {
            part.abort();
        }
    }
}

fn listen(address: SocketAddr, option: &'static str) -> Result<TcpListener, StartError> {
    server::listen(address).map_err(|why| StartError::Listen { address, option, why })
}

fn address(listener: &TcpListener) -> Result<SocketAddr, StartError> {
    listener.local_addr().map_err(other)
}

/// Who can connect to these can do all that the person at the terminal can.
fn warn_of_strangers(listeners: &[(&str, SocketAddr)]) {
    for (option, address) in listeners.iter().filter(|(_, address)| !address.ip().is_loopback()) {
        tracing::warn!(
            "{option} {address} is reachable from other machines, and nobody is authenticated there: \
             whoever can connect can run commands as you. Use a loopback address unless the network is yours alone"
        );
    }
}

/// What the stack's parts reach each other with: straight, whatever proxy the environment names.
fn client() -> reqwest::Result<reqwest::Client> {
    reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build()
}

fn other(why: impl std::fmt::Display) -> StartError {
    StartError::Other(why.to_string())
}

/// A stack that was killed a moment ago may still be on its way out.
async fn lock(options: &Options) -> Result<File, StartError> {
    let data = |why: String| StartError::Data { dir: options.data.clone(), why };
    std::fs::create_dir_all(&options.data).map_err(|why| data(why.to_string()))?;
    let file = File::create(options.data.join("lock")).map_err(|why| data(why.to_string()))?;
    let deadline = Instant::now() + LEAVING;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(std::fs::TryLockError::WouldBlock) if Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Err(std::fs::TryLockError::WouldBlock) => return Err(data("another local stack uses it".into())),
            Err(std::fs::TryLockError::Error(why)) => return Err(data(why.to_string())),
        }
    }
}
