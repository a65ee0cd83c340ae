//! The whole emulator: starts the services in the order of their dependencies, and stops them in reverse.

use std::{
    fs::File,
    io,
    net::SocketAddr,
    path::PathBuf,
    time::{Duration, Instant},
};

use axum::body::Bytes;
use serde_json::Value;
use tokio::{net::TcpListener, task::JoinHandle};

use crate::{
    callers::{ACCESS_KEY, Callers},
    clock::{self, Clock},
    db::Db,
    dynamodb::DynamoDb,
    ecs::{self, Ecs},
    events::{self, Events},
    faults::{Endpoints, Faults},
    gateway,
    guard::Hosts,
    identity::{REGION, SECRET},
    lambda::{self, Lambda},
    leftovers,
    logs::{self, Logs},
    resources::{Change, Resources},
    s3::{self, S3},
    service::Service,
    sockets,
    wire::AwsError,
};

/// How long a previous emulator may take to exit.
const LEAVING: Duration = Duration::from_secs(2);

/// Where an emulator listens and keeps its data, and its clock.
#[derive(Debug, Clone)]
pub struct Place {
    /// The directory where everything is kept. An emulator that is started again with the same directory resumes all work.
    pub data: PathBuf,
    /// The address of the one port; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Additional host names for which the port answers. It always answers to localhost and the address that it listens on.
    pub allowed_hosts: Vec<String>,
    /// The clock.
    pub clock: Clock,
}

/// Why an emulator could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address is in use, or does not belong to this machine.
    #[error("cannot listen on {address}: {why}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the operating system says.
        why: io::Error,
    },
    /// The data directory cannot be used.
    #[error("cannot use the data directory {}: {why}", dir.display())]
    Data {
        /// The directory.
        dir: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Anything else, for example a resource that is not valid.
    #[error("cannot start: {0}")]
    Other(String),
}

impl From<AwsError> for StartError {
    fn from(why: AwsError) -> Self {
        Self::Other(why.message)
    }
}

/// An emulator that has its port and its data, and no resources yet. Resources may depend on both.
#[derive(Debug)]
pub struct Prepared {
    place: Place,
    listener: TcpListener,
    address: SocketAddr,
    db: Db,
    dynamodb: DynamoDb,
    lock: File,
}

impl Prepared {
    /// Takes the port, and opens the data directory, which is created if it does not exist.
    ///
    /// # Errors
    ///
    /// [`StartError::Listen`] and [`StartError::Data`].
    pub async fn open(place: Place) -> Result<Self, StartError> {
        let unusable = |why| StartError::Listen { address: place.listen, why };
        let listener = sockets::listen(place.listen).map_err(unusable)?;
        let address = listener.local_addr().map_err(unusable)?;
        let lock = lock(&place).await?;
        let data = |why: String| StartError::Data { dir: place.data.clone(), why };
        let schemas = [logs::SCHEMA, events::SCHEMA, ecs::SCHEMA, lambda::SCHEMA, s3::SCHEMA];
        let db = Db::open(&place.data.join("aws.db"), &schemas).map_err(|why| data(why.to_string()))?;
        let dynamodb = DynamoDb::open(&place.data.join("dynamodb.db")).map_err(|why| data(why.to_string()))?;
        Ok(Self { place, listener, address, db, dynamodb, lock })
    }

    /// Where the port listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The families of active task definitions whose newest revision has a container of this image.
    ///
    /// # Errors
    ///
    /// If they cannot be read.
    pub fn task_families(&self, image: &str) -> Result<Vec<String>, StartError> {
        Ok(ecs::families_of_image(&self.db, image)?)
    }

    /// Creates the resources, starts everything, and resumes what an earlier emulator with the same directory left unfinished. Call it
    /// in a Tokio runtime.
    ///
    /// # Errors
    ///
    /// A resource is not valid, or the data cannot be used.
    pub fn start(self, resources: Resources) -> Result<Emulator, StartError> {
        let Self { place, listener, address, db, dynamodb, lock } = self;
        let url = format!("http://{address}");
        let environment = base_environment(&resources, &place, &url);
        let clock = place.clock;
        let kept = db.clone();
        for table in &resources.tables {
            dynamodb.ensure_table(table).map_err(other)?;
        }
        let logs = Logs::new(db.clone(), clock.clone());
        let (faults, callers) = (Faults::default(), Callers::default());
        let events = Events::new(db.clone(), clock.clone(), faults.clone(), resources.rules)?;
        let named = Some(resources.cluster).filter(|name| !name.is_empty());
        let settings = ecs::Settings {
            cluster: named.unwrap_or_else(|| "default".to_owned()),
            base_environment: environment.iter().cloned().chain(resources.task_environment).collect(),
            metadata_base: format!("{url}/_ecs"),
        };
        let ecs = Ecs::new(db.clone(), clock.clone(), logs.clone(), events.clone(), callers.clone(), settings);
        ecs.recover()?;
        ecs.change(ecs::Changeable { without_capacity: resources.without_capacity, secrets: resources.secrets });
        for definition in &resources.task_definitions {
            ecs.ensure_definition(definition)?;
        }
        let s3 = S3::open(db.clone(), &place.data.join("s3"), clock.clone(), resources.buckets).map_err(other)?;
        let functions = resources.functions;
        let lambda = Lambda::new(db, clock.clone(), &logs, &events, callers.clone(), environment, functions)?;
        let services: Vec<Box<dyn Service>> = vec![
            Box::new(dynamodb.clone().with_listener(resources.put_items)),
            Box::new(ecs.clone()),
            Box::new(events::Api::new(events.clone(), lambda.clone())),
            Box::new(lambda::Api::new(lambda.clone())),
            Box::new(logs),
            Box::new(s3.clone()),
        ];
        let endpoints = gateway::router(services, ecs.clone()).merge(faults.router(callers.clone(), clock.clone()));
        let hosts = Hosts::new(address.ip(), &place.allowed_hosts);
        let front =
            Endpoints::new(hosts, endpoints, faults, callers, ecs.clone(), clock.clone(), resources.permissions);
        let client = client().map_err(other)?;
        let driven = lambda.clone();
        let mut running = vec![
            tokio::spawn(dynamodb.clone().sweep_expired(clock.clone())),
            tokio::spawn(s3.keep_expiring(clock.clone())),
            tokio::spawn(async move { driven.drive().await }),
            tokio::spawn(async move { events.deliver(client, &url, resources.queues).await }),
        ];
        if clock.is_movable() {
            running.push(tokio::spawn(clock::warn_of_python()));
        }
        let serving = tokio::spawn(front.serve(listener));
        Ok(Emulator { address, db: kept, dynamodb, ecs, lambda, serving, running, _lock: lock })
    }
}

/// A running emulator. Dropping it leaves its processes running, as a crash would: call [`Emulator::shut_down`].
#[derive(Debug)]
pub struct Emulator {
    address: SocketAddr,
    db: Db,
    dynamodb: DynamoDb,
    ecs: Ecs,
    lambda: Lambda,
    serving: JoinHandle<()>,
    running: Vec<JoinHandle<()>>,
    /// Held for as long as the emulator runs: two with the same directory would destroy each other's work.
    _lock: File,
}

impl Emulator {
    /// Where the port listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What programs use as `AWS_ENDPOINT_URL`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The families of active task definitions whose newest revision has a container of this image.
    ///
    /// # Errors
    ///
    /// If they cannot be read.
    pub fn task_families(&self, image: &str) -> Result<Vec<String>, StartError> {
        Ok(ecs::families_of_image(&self.db, image)?)
    }

    /// Changes what is deployed. Tasks and invocations that have begun are not affected. First the task definitions are registered, then the
    /// functions replaced, so that a function never names a definition that does not exist.
    ///
    /// # Errors
    ///
    /// A task definition is not valid, or cannot be written. Those before it are registered, and nothing else is changed.
    pub fn change(&self, change: Change) -> Result<(), StartError> {
        for definition in &change.task_definitions {
            self.ecs.ensure_definition(definition)?;
        }
        self.ecs.change(ecs::Changeable { without_capacity: change.without_capacity, secrets: change.secrets });
        self.lambda.replace(change.functions);
        Ok(())
    }

    /// Its ECS, for tests in this process.
    pub(crate) fn ecs(&self) -> Ecs {
        self.ecs.clone()
    }

    /// Calls DynamoDB within this process, so that no fault can affect the call.
    ///
    /// # Errors
    ///
    /// The body of the error that DynamoDB answers.
    pub async fn dynamodb(&self, operation: &str, request: &Value) -> Result<Value, String> {
        self.dynamodb.call(operation, Bytes::from(request.to_string())).await
    }

    /// Stops everything. The next emulator with the same directory resumes what is not finished.
    pub async fn shut_down(self) {
        // First stop what drives the work, so that nothing new begins. Close the port last, because processes report their end through it.
        for part in self.running {
            part.abort();
        }
        self.lambda.shut_down().await;
        self.ecs.shut_down().await;
        self.serving.abort();
    }
}

/// The environment of every function and every container: how to reach this emulator, its mark, its clock, and the variables from the
/// resources. A function's or container's own variables come after these.
fn base_environment(resources: &Resources, place: &Place, url: &str) -> Vec<(String, String)> {
    let aws = [
        ("AWS_ENDPOINT_URL", url),
        ("AWS_REGION", REGION),
        ("AWS_DEFAULT_REGION", REGION),
        (ACCESS_KEY, "local"),
        ("AWS_SECRET_ACCESS_KEY", SECRET),
        ("AWS_EC2_METADATA_DISABLED", "true"),
    ];
    let aws = aws.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let given = resources.environment.clone().into_iter();
    given.chain(place.clock.variables()).chain(aws).chain([leftovers::mark(&place.data)]).collect()
}

/// The client that delivers events. It connects directly, even if the environment configures a proxy.
fn client() -> reqwest::Result<reqwest::Client> {
    reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build()
}

fn other(why: impl std::fmt::Display) -> StartError {
    StartError::Other(why.to_string())
}

/// An emulator that was killed a moment ago may still be exiting.
async fn lock(place: &Place) -> Result<File, StartError> {
    let data = |why: String| StartError::Data { dir: place.data.clone(), why };
    std::fs::create_dir_all(&place.data).map_err(|why| data(why.to_string()))?;
    let file = File::create(place.data.join("lock")).map_err(|why| data(why.to_string()))?;
    let deadline = Instant::now() + LEAVING;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(std::fs::TryLockError::WouldBlock) if Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Err(std::fs::TryLockError::WouldBlock) => return Err(data("another process uses it".into())),
            Err(std::fs::TryLockError::Error(why)) => return Err(data(why.to_string())),
        }
    }
}
