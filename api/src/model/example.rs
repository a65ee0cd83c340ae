//! Executions to look at in the document.

use serde_json::{Value, json};

pub(crate) fn pending() -> Value {
    json!({
        "status": "PENDING",
        "executionId": "0199a3c4-9f3e-7c11-b5a8-3d6f0e7a1b2c",
        "pattern": "sync",
        "done": false,
        "task": "demo",
        "input": {"message": "Hello", "processingTime": 3},
        "maxAttempts": 1,
        "createdAt": "2026-03-02T09:00:00.000Z",
        "deadline": "2027-03-02T09:00:00.000Z",
        "expiresAt": "2027-04-01T09:00:00.000Z",
        "tags": {},
        "timeline": [{"at": "2026-03-02T09:00:00.000Z", "what": "created"}],
        "links": {"self": "/executions/0199a3c4-9f3e-7c11-b5a8-3d6f0e7a1b2c"},
    })
}

pub(crate) fn completed() -> Value {
    json!({
        "status": "COMPLETED",
        "executionId": "0199a3c4-9f3e-7c11-b5a8-3d6f0e7a1b2c",
        "pattern": "sync",
        "done": true,
        "task": "demo",
        "input": {"message": "Hello", "processingTime": 3},
        "attempt": 1,
        "maxAttempts": 1,
        "taskArn": "arn:aws:ecs:us-east-1:123456789012:task/longhaul/4f1c0c1f2a9e4d7e8a52b6d0c3e9f817",
        "createdAt": "2026-03-02T09:00:00.000Z",
        "startedAt": "2026-03-02T09:00:01.000Z",
        "finishedAt": "2026-03-02T09:00:31.000Z",
        "deadline": "2027-03-02T09:00:00.000Z",
        "expiresAt": "2026-04-01T09:00:31.000Z",
        "tags": {},
        "timeline": [
            {"at": "2026-03-02T09:00:00.000Z", "what": "created"},
            {"at": "2026-03-02T09:00:00.000Z", "what": "workflowStarted"},
            {"at": "2026-03-02T09:00:01.000Z", "what": "taskStarted", "detail": "attempt 1"},
            {"at": "2026-03-02T09:00:32.000Z", "what": "ended", "detail": "COMPLETED"},
        ],
        "links": {"self": "/executions/0199a3c4-9f3e-7c11-b5a8-3d6f0e7a1b2c"},
        "exitCode": 0,
        "result": {"message": "Hello", "processedAt": "2026-03-02T09:00:31.000Z", "processingTime": 3},
    })
}
