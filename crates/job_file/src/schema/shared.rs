//! The fields that both a job and `[defaults]` may have.

use domain::{TaskSize, limits};
use serde_json::json;

use super::{Fields, fields, variables};
use crate::{
    fields::{EPHEMERAL_STORAGE, LOG_RETENTION_DAYS},
    job::{Architecture, Capacity},
};

/// What a duration looks like, such as `90s` or `2h 30m`.
const DURATION: &str = r"[0-9]+ ?[a-z]+(,? ?[0-9]+ ?[a-z]+)*";

pub(super) fn all() -> Fields {
    let mut all = container();
    all.extend(time());
    all
}

/// How the container of a task is made.
fn container() -> Fields {
    let (least, most) = EPHEMERAL_STORAGE;
    let secret = json!({
        "type": "string",
        "pattern": r"^(ssm:/?[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*|secretsmanager:[A-Za-z0-9/_+=.@-]{1,512}(#[^:#]+)?)$",
        "examples": ["ssm:/app/key", "secretsmanager:app/db", "secretsmanager:app/db#password"],
    });
    fields([
        (
            "image",
            json!({
                "description": "The container image: \"build:FOLDER\" for the Dockerfile in a folder relative to this file, or the reference \
                                of an image in a registry. The local stack runs the command as a process, without the image. A job without \
                                an image runs only there.",
                "type": "string",
                "minLength": 1,
                "maxLength": 255,
                "pattern": "^(build:.+|[A-Za-z0-9._/:@-]+)$",
                "examples": ["build:jobs/wordcount", "public.ecr.aws/docker/library/python:3.14"],
            }),
        ),
        (
            "cpu",
            json!({
                "description": "CPU units; 1024 is one vCPU. Default: 256.",
                "enum": TaskSize::CPUS,
                "default": TaskSize::SMALLEST.cpu,
            }),
        ),
        (
            "memory",
            json!({
                "description": "Memory in MiB. Fargate has several sizes for each `cpu`, for example 512, 1024 and 2048 for 256. Default: 512.",
                "type": "integer",
                "minimum": 512,
                "maximum": 122_880,
                "multipleOf": 512,
                "default": TaskSize::SMALLEST.memory,
            }),
        ),
        (
            "ephemeralStorage",
            json!({
                "description": "The disk of a task, in GiB. Default: Fargate's 20.",
                "type": "integer",
                "minimum": least,
                "maximum": most,
            }),
        ),
        (
            "capacity",
            json!({
                "description": "\"spot\" is cheaper, and AWS may stop a task, which is then started again. Default: that of the installation.",
                "enum": Capacity::ALL.map(Capacity::name),
            }),
        ),
        (
            "architecture",
            json!({
                "description": "The processor architecture of the image. It must be that of the installation, which is the default.",
                "enum": Architecture::ALL.map(Architecture::name),
            }),
        ),
        (
            "user",
            json!({
                "description": "The user that the container runs as, USER or USER:GROUP, by names or numbers. Default: that of the image.",
                "type": "string",
                "pattern": "^[A-Za-z0-9_][A-Za-z0-9_.-]*(:[A-Za-z0-9_][A-Za-z0-9_.-]*)?$",
                "examples": ["65532:65532"],
            }),
        ),
        (
            "readonlyRootFilesystem",
            json!({
                "description": "Whether the container cannot write to its own disk. Default: false.",
                "type": "boolean",
                "default": false,
            }),
        ),
        ("environment", variables("Environment variables.", &json!({ "type": "string" }))),
        (
            "secrets",
            variables(
                "Environment variables whose values are secrets, and where the values are: \"ssm:/path\" in the Parameter Store, \
                 \"secretsmanager:NAME\" or, for a value of a JSON object, \"secretsmanager:NAME#key\" in the Secrets Manager.",
                &secret,
            ),
        ),
        (
            "logRetentionDays",
            json!({
                "description": "How many days CloudWatch keeps the log. Default: that of the installation.",
                "enum": LOG_RETENTION_DAYS,
            }),
        ),
    ])
}

/// How long executions and their attempts take.
fn time() -> Fields {
    let duration = format!("^{DURATION}$");
    fields([
        (
            "timeout",
            json!({
                "description": "How long an execution may take if its request does not say, for example \"90s\" or \"2h 30m\". At most a \
                                year. Default: 24h.",
                "type": "string",
                "pattern": duration,
                "default": "24h",
            }),
        ),
        (
            "stopTimeout",
            json!({
                "description": "How long a task has to end after SIGTERM: whole seconds, from 2s to 120s. Default: 30s.",
                "type": "string",
                "pattern": duration,
                "default": "30s",
            }),
        ),
        (
            "retry",
            json!({
                "description": "When a failed attempt is repeated.",
                "type": "object",
                "additionalProperties": false,
                "properties": {
                    "maxAttempts": {
                        "description": "How many attempts an execution has if its request does not say.",
                        "type": "integer",
                        "minimum": 1,
                        "maximum": limits::ATTEMPTS,
                    },
                    "onExitCodes": {
                        "description": "Another attempt is made only after these exit codes. Default: after every failure.",
                        "type": "array",
                        "minItems": 1,
                        "maxItems": limits::EXIT_CODES,
                        "uniqueItems": true,
                        "items": { "type": "integer", "minimum": 1, "maximum": 255 },
                    },
                    "backoff": {
                        "description": "The first and the longest wait between attempts, each from 1s to 24h. The wait doubles after each \
                                        attempt. Default: 5s..5m.",
                        "type": "string",
                        "pattern": format!("^{DURATION} ?\\.\\. ?{DURATION}$"),
                        "examples": ["5s..5m"],
                    },
                },
            }),
        ),
    ])
}
