//! The jobs of a file as JSON, with everything that the file leaves out: what `longhaul jobs resolved` prints, and a deployment reads.

use serde_json::{Value, json};

use crate::{
    Job, Jobs, Places,
    job::{Allow, Architecture, Backoff, Capacity, Image, Permission, Retry, Secret, Sidecar},
};

/// The jobs, and where the file has them, for messages. Every member is always there; what is not said is null.
#[must_use]
pub fn resolved(jobs: &Jobs, places: &Places) -> Value {
    let jobs: serde_json::Map<_, _> = jobs.iter().map(|(name, job)| (name.clone(), resolved_job(job))).collect();
    let places: serde_json::Map<_, _> =
        places.iter().map(|(name, place)| (name.clone(), place.to_string().into())).collect();
    json!({ "jobs": jobs, "places": places })
}

fn resolved_job(job: &Job) -> Value {
    let Job {
        description,
        command,
        image,
        size,
        ephemeral_storage,
        capacity,
        architecture,
        user,
        readonly_root_filesystem,
        environment,
        secrets,
        permissions,
        task_role,
        sidecars,
        log_retention_days,
        timeout,
        stop_timeout,
        retry: Retry { max_attempts, on_exit_codes, backoff },
        input,
        allow: Allow { environment: allowed, cpu, memory },
    } = job;
    let secrets: serde_json::Map<_, _> =
        secrets.iter().map(|(name, secret)| (name.clone(), Secret::to_string(secret).into())).collect();
    json!({
        "description": description,
        "command": command,
        "image": image.as_ref().map(resolved_image),
        "cpu": size.cpu,
        "memory": size.memory,
        "ephemeralStorageGiB": ephemeral_storage,
        "capacity": capacity.map(Capacity::name),
        "architecture": architecture.map(Architecture::name),
        "user": user,
        "readonlyRootFilesystem": readonly_root_filesystem,
        "environment": environment,
        "secrets": secrets,
        "permissions": permissions.iter().map(resolved_permission).collect::<Vec<_>>(),
        "taskRole": task_role,
        "sidecars": sidecars.iter().map(resolved_sidecar).collect::<Vec<_>>(),
        "logRetentionDays": log_retention_days,
        "timeoutSeconds": timeout.as_secs(),
        "stopTimeoutSeconds": stop_timeout.as_secs(),
        "retry": {
            "maxAttempts": max_attempts,
            "onExitCodes": on_exit_codes,
            "backoffSeconds": backoff.map(|Backoff { first, longest }| {
                json!({ "first": first.as_secs(), "longest": longest.as_secs() })
            }),
        },
        "input": input,
        "allow": { "environment": allowed, "cpu": cpu, "memory": memory },
    })
}

fn resolved_image(image: &Image) -> Value {
    match image {
        Image::Build(folder) => json!({ "build": folder }),
        Image::Reference(reference) => json!({ "reference": reference }),
    }
}

fn resolved_permission(Permission { actions, resources }: &Permission) -> Value {
    json!({ "actions": actions, "resources": resources })
}

fn resolved_sidecar(Sidecar { name, image, command, environment }: &Sidecar) -> Value {
    json!({ "name": name, "image": image, "command": command, "environment": environment })
}
