//! Example executions for the `OpenAPI` document.

use domain::Status;
use serde_json::{Value, json};

use super::Links;

fn links(can_be_stopped: bool) -> Value {
    let id = "0199a3c4-9f3e-7c11-b5a8-3d6f0e7a1b2c".parse();
    let status = if can_be_stopped { Status::Pending } else { Status::Completed };
    id.ok().and_then(|id| serde_json::to_value(Links::of(&id, status)).ok()).unwrap_or_default()
}

pub(crate) fn pending() -> Value {
    json!({
        "status": "PENDING",
        "executionId": "0199a3c4-9f3e-7c11-b5a8-3d6f0e7a1b2c",
        "pattern": "sync",
        "done": false,
        "job": "demo",
        "input": {"message": "Hello", "processingTime": 3},
        "maxAttempts": 1,
        "createdAt": "2026-03-02T09:00:00.000Z",
        "deadline": "2026-03-03T09:00:00.000Z",
        "expiresAt": "2026-04-02T09:00:00.000Z",
        "tags": {},
        "timeline": [{"at": "2026-03-02T09:00:00.000Z", "what": "created"}],
        "links": links(true),
    })
}

pub(crate) fn completed() -> Value {
    json!({
        "status": "COMPLETED",
        "executionId": "0199a3c4-9f3e-7c11-b5a8-3d6f0e7a1b2c",
        "pattern": "sync",
        "done": true,
        "job": "demo",
        "input": {"message": "Hello", "processingTime": 3},
        "attempt": 1,
        "maxAttempts": 1,
        "taskArn": "arn:aws:ecs:us-east-1:123456789012:task/longhaul/4f1c0c1f2a9e4d7e8a52b6d0c3e9f817",
        "createdAt": "2026-03-02T09:00:00.000Z",
        "startedAt": "2026-03-02T09:00:01.000Z",
        "finishedAt": "2026-03-02T09:00:31.000Z",
        "durationMs": 30_000,
        "deadline": "2026-03-03T09:00:00.000Z",
        "expiresAt": "2026-04-01T09:00:31.000Z",
        "tags": {},
        "timeline": [
            {"at": "2026-03-02T09:00:00.000Z", "what": "created"},
            {"at": "2026-03-02T09:00:00.000Z", "what": "workflowStarted"},
            {"at": "2026-03-02T09:00:01.000Z", "what": "taskStarted", "detail": "attempt 1"},
            {"at": "2026-03-02T09:00:32.000Z", "what": "ended", "detail": "COMPLETED"},
        ],
        "links": links(false),
        "exitCode": 0,
        "resultSource": "stdout",
        "result": {"message": "Hello", "processedAt": "2026-03-02T09:00:31.000Z", "processingTime": 3},
    })
}
