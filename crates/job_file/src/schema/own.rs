//! The fields that only a job has.

use domain::limits;
use serde_json::json;

use super::{Fields, fields, variables};
use crate::fields::{CONTAINERS, SIDECARS};

pub(super) fn all() -> Fields {
    let strings = json!({ "type": "string" });
    fields([
        (
            "description",
            json!({
                "description": "What the job does, for people.",
                "type": "string",
                "maxLength": limits::DESCRIPTION_CHARS,
            }),
        ),
        (
            "command",
            json!({
                "description": "The program and its arguments. No shell runs it; for one, write [\"sh\", \"-c\", \"…\"].",
                "type": "array",
                "minItems": 1,
                "items": strings,
                "examples": [["python3", "wordcount.py"]],
            }),
        ),
        (
            "permissions",
            json!({
                "description": "What the job may do in AWS. Each entry is \"ACTION[,ACTION…] ARN [ARN…]\". `*` is allowed as the resource \
                                only of actions that have none.",
                "type": "array",
                "items": {
                    "type": "string",
                    "pattern": r"^\s*[a-z0-9-]+:[A-Za-z][A-Za-z0-9]*\*?(,[a-z0-9-]+:[A-Za-z][A-Za-z0-9]*\*?)*(\s+arn:\S+)+\s*$|^\s*[a-z0-9:,A-Z-]+\s+\*\s*$",
                    "examples": ["s3:GetObject,s3:PutObject arn:aws:s3:::orders/*", "cloudwatch:PutMetricData *"],
                },
            }),
        ),
        (
            "taskRole",
            json!({
                "description": "The ARN of an existing role that the job's tasks use, instead of a role with `permissions`.",
                "type": "string",
                "pattern": r"^arn:[a-z0-9-]+:iam:[^:]*:[0-9]{12}:role/[^*?]+$",
                "examples": ["arn:aws:iam::123456789012:role/job"],
            }),
        ),
        (
            "sidecars",
            json!({
                "description": "Other containers of the job's task.",
                "type": "array",
                "maxItems": SIDECARS,
                "items": {
                    "type": "object",
                    "additionalProperties": false,
                    "required": ["name", "image"],
                    "properties": {
                        "name": {
                            "description": "Its name in the task. The names of Longhaul's own containers are taken.",
                            "type": "string",
                            "pattern": "^[A-Za-z0-9_-]{1,255}$",
                            "not": { "enum": CONTAINERS },
                        },
                        "image": {
                            "description": "The reference of an image in a registry.",
                            "type": "string",
                            "pattern": "^[A-Za-z0-9._/:@-]{1,255}$",
                            "not": { "pattern": "^build:" },
                        },
                        "command": {
                            "description": "Its command. Default: that of the image.",
                            "type": "array",
                            "items": strings,
                        },
                        "environment": variables("Its environment variables.", &strings),
                    },
                },
            }),
        ),
        (
            "input",
            json!({
                "description": "The path of a JSON Schema, relative to this file. The API refuses an input that it does not allow. \
                                References to other documents are not followed.",
                "type": "string",
                "minLength": 1,
                "examples": ["schemas/order.json"],
            }),
        ),
        (
            "allow",
            json!({
                "description": "What a request may override: \"cpu\", \"memory\" and \"environment.NAME\".",
                "type": "array",
                "uniqueItems": true,
                "items": {
                    "anyOf": [
                        { "enum": ["cpu", "memory"] },
                        { "type": "string", "pattern": r"^environment\.[A-Za-z_][A-Za-z0-9_]*$" },
                    ],
                },
            }),
        ),
    ])
}
