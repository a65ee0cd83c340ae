//! Functions as the responses of the Lambda API show them.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

use super::{
    LATEST,
    registered::{Alias, Program, Registered},
};
use crate::lambda::{arn, json};

/// The configuration of one version. `qualified` says whether its ARN ends with the version.
pub(super) fn configuration(function: &Registered, version: &str, program: &Program, qualified: bool) -> Value {
    let arn = arn::function(&function.name);
    let mut shown = json!({
        "FunctionName": function.name,
        "FunctionArn": if qualified { format!("{arn}:{version}") } else { arn },
        "Role": program.role.as_deref().unwrap_or("arn:aws:iam::000000000000:role/local"),
        "CodeSize": 0,
        "CodeSha256": fingerprint(program),
        "Description": program.description,
        "Timeout": program.timeout_seconds,
        "MemorySize": program.memory,
        "LastModified": program.modified_at.strftime("%Y-%m-%dT%H:%M:%S.%3f+0000").to_string(),
        "Version": version,
        "RevisionId": program.revision,
        "PackageType": "Image",
        "Architectures": [if cfg!(target_arch = "aarch64") { "arm64" } else { "x86_64" }],
        "EphemeralStorage": { "Size": 512 },
        "TracingConfig": { "Mode": "PassThrough" },
        "LoggingConfig": { "LogFormat": "Text", "LogGroup": format!("/aws/lambda/{}", function.name) },
        "State": "Active",
        "LastUpdateStatus": "Successful",
    });
    // The environment of a declared function comes from the machine, and is not shown as a setting.
    if !function.declared && !program.environment.is_empty() {
        json::set(&mut shown, "Environment", json!({ "Variables": program.environment }));
    }
    if let Some(durable) = &program.durable {
        let timeout = durable.execution_timeout.as_secs();
        json::set(
            &mut shown,
            "DurableConfig",
            json!({ "ExecutionTimeout": timeout, "RetentionPeriodInDays": durable.retention_days }),
        );
    }
    shown
}

/// The response of `GetFunction`.
pub(super) fn function(function: &Registered, version: &str, program: &Program, qualified: bool) -> Value {
    let command = program.image_uri.clone().unwrap_or_else(|| format!("local:{}", program.command.join(" ")));
    json!({
        "Configuration": configuration(function, version, program, qualified),
        "Code": { "RepositoryType": "ECR", "ImageUri": command, "ResolvedImageUri": command },
        "Tags": {},
    })
}

pub(super) fn alias(function: &Registered, name: &str, alias: &Alias) -> Value {
    json!({
        "AliasArn": format!("{}:{name}", arn::function(&function.name)),
        "Name": name,
        "FunctionVersion": alias.version,
        "Description": alias.description,
        "RevisionId": alias.revision,
    })
}

/// `CodeSha256`: there is no package, so it is the hash of the command. Different programs have different hashes.
fn fingerprint(program: &Program) -> String {
    let mut bytes = [0_u8; 32];
    for (place, byte) in program.command.join("\0").bytes().enumerate() {
        if let Some(slot) = bytes.get_mut(place % 32) {
            *slot = slot.wrapping_mul(31).wrapping_add(byte);
        }
    }
    BASE64_STANDARD.encode(bytes)
}

/// Every version, `$LATEST` first.
pub(super) fn versions(function: &Registered) -> impl Iterator<Item = Value> {
    let published = function.versions.iter().map(|(number, program)| (number.to_string(), program));
    std::iter::once((LATEST.to_owned(), &function.latest))
        .chain(published)
        .map(|(version, program)| configuration(function, &version, program, true))
}
