//! What the file says of a job, checked and with the file's defaults applied.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Duration,
};

use domain::{TaskSize, limits};
use serde_json::Value;

/// How long a task has to end after SIGTERM if its job does not say, ECS's own default
/// (<https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ContainerDefinition.html>, `stopTimeout`).
pub const STOP_TIMEOUT: Duration = Duration::from_secs(30);

/// The jobs of a file, by name.
pub type Jobs = BTreeMap<String, Job>;

/// A job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// What it does, for people.
    pub description: Option<String>,
    /// The program and its arguments. Not run by a shell.
    pub command: Vec<String>,
    /// The container image. A job without one runs only on the local stack.
    pub image: Option<Image>,
    /// The processor and the memory of its task.
    pub size: TaskSize,
    /// The disk of its task in GiB, if it is not Fargate's default.
    pub ephemeral_storage: Option<u32>,
    /// The capacity that its tasks use, if it is not the installation's.
    pub capacity: Option<Capacity>,
    /// The processor architecture that its image needs.
    pub architecture: Option<Architecture>,
    /// The user that its container runs as, if it is not the image's.
    pub user: Option<String>,
    /// Whether its container cannot write to its own disk.
    pub readonly_root_filesystem: bool,
    /// Its environment variables.
    pub environment: BTreeMap<String, String>,
    /// Environment variables with secret values, by name. None of them is also in `environment`.
    pub secrets: BTreeMap<String, Secret>,
    /// What it may do in AWS.
    pub permissions: Vec<Permission>,
    /// The ARN of an existing role that its tasks use instead of one with `permissions`.
    pub task_role: Option<String>,
    /// Other containers of its task.
    pub sidecars: Vec<Sidecar>,
    /// How many days CloudWatch keeps its log, if it is not the installation's number.
    pub log_retention_days: Option<u32>,
    /// How long an execution may take if its request does not say.
    pub timeout: Duration,
    /// How long its task has to end after SIGTERM.
    pub stop_timeout: Duration,
    /// When a failed attempt is repeated.
    pub retry: Retry,
    /// The JSON Schema of its input.
    pub input: Option<Value>,
    /// What a request may override.
    pub allow: Allow,
}

impl Job {
    /// A job with this command and what a job has that says nothing else.
    #[must_use]
    pub fn of_command(command: Vec<String>) -> Self {
        Self {
            description: None,
            command,
            image: None,
            size: TaskSize::SMALLEST,
            ephemeral_storage: None,
            capacity: None,
            architecture: None,
            user: None,
            readonly_root_filesystem: false,
            environment: BTreeMap::new(),
            secrets: BTreeMap::new(),
            permissions: Vec::new(),
            task_role: None,
            sidecars: Vec::new(),
            log_retention_days: None,
            timeout: limits::DEFAULT_TIMEOUT,
            stop_timeout: STOP_TIMEOUT,
            retry: Retry::default(),
            input: None,
            allow: Allow::default(),
        }
    }
}

/// A container image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Image {
    /// Built from the Dockerfile in this folder, relative to the folder of the job file.
    Build(String),
    /// In a registry.
    Reference(String),
}

/// The capacity that tasks use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Capacity {
    /// Fargate Spot: cheaper, and AWS may take it back.
    Spot,
    /// Fargate.
    OnDemand,
}

impl Capacity {
    pub(crate) const ALL: [Self; 2] = [Self::Spot, Self::OnDemand];

    /// How the file names it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Spot => "spot",
            Self::OnDemand => "on-demand",
        }
    }
}

/// A processor architecture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Architecture {
    /// ARM with 64 bits, AWS Graviton.
    Arm64,
    /// Intel and AMD with 64 bits.
    X86_64,
}

impl Architecture {
    pub(crate) const ALL: [Self; 2] = [Self::Arm64, Self::X86_64];

    /// How the file names it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Arm64 => "arm64",
            Self::X86_64 => "x86_64",
        }
    }
}

/// Where the value of a secret is. Its text form is that of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Secret {
    /// A parameter of the Systems Manager Parameter Store.
    Parameter(String),
    /// A secret of the Secrets Manager.
    SecretsManager {
        /// Its name.
        name: String,
        /// The key whose value is used, if the secret is a JSON object.
        key: Option<String>,
    },
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Parameter(name) => write!(f, "ssm:{name}"),
            Self::SecretsManager { name, key: None } => write!(f, "secretsmanager:{name}"),
            Self::SecretsManager { name, key: Some(key) } => write!(f, "secretsmanager:{name}#{key}"),
        }
    }
}

/// Actions that a job may do, and with which resources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permission {
    /// IAM actions, such as `s3:GetObject`.
    pub actions: Vec<String>,
    /// ARNs, or `*` alone for actions that have no resources.
    pub resources: Vec<String>,
}

/// Another container of a job's task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sidecar {
    /// Its name in the task.
    pub name: String,
    /// Its image, in a registry.
    pub image: String,
    /// Its command; the image's own if this is empty.
    pub command: Vec<String>,
    /// Its environment variables.
    pub environment: BTreeMap<String, String>,
}

/// When a failed attempt is repeated. What is absent is as the request or Longhaul has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Retry {
    /// How many attempts an execution has.
    pub max_attempts: Option<u32>,
    /// The exit codes after which another attempt makes sense.
    pub on_exit_codes: Option<BTreeSet<u8>>,
    /// How long to wait between attempts.
    pub backoff: Option<Backoff>,
}

/// How long to wait between attempts. The wait doubles from the first to the longest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// Before the second attempt.
    pub first: Duration,
    /// At most.
    pub longest: Duration,
}

/// What a request may override.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Allow {
    /// The names of environment variables.
    pub environment: BTreeSet<String>,
    /// The CPU units.
    pub cpu: bool,
    /// The memory.
    pub memory: bool,
}
