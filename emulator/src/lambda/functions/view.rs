//! Functions as the responses of the Lambda API show them, named and formed as in its model
//! (<https://docs.aws.amazon.com/lambda/latest/api/API_Types.html>).

use std::collections::BTreeMap;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::Serialize;
use uuid::Uuid;

use super::{
    LATEST,
    registered::{Alias, Program, Registered},
};
use crate::lambda::arn;

/// The configuration of one version of a function.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct FunctionConfiguration {
    function_name: String,
    pub(super) function_arn: String,
    role: String,
    code_size: u64,
    code_sha256: String,
    description: String,
    timeout: u64,
    memory_size: u32,
    last_modified: String,
    version: String,
    revision_id: Uuid,
    package_type: &'static str,
    architectures: [&'static str; 1],
    ephemeral_storage: EphemeralStorage,
    tracing_config: TracingConfig,
    logging_config: LoggingConfig,
    state: &'static str,
    last_update_status: &'static str,
    /// The environment of a declared function comes from the machine, and is not shown as a setting.
    #[serde(skip_serializing_if = "Option::is_none")]
    environment: Option<Environment>,
    #[serde(skip_serializing_if = "Option::is_none")]
    durable_config: Option<DurableConfig>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct EphemeralStorage {
    size: u32,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct TracingConfig {
    mode: &'static str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct LoggingConfig {
    log_format: &'static str,
    log_group: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Environment {
    variables: BTreeMap<String, String>,
}

/// What makes a function durable.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct DurableConfig {
    execution_timeout: u64,
    retention_period_in_days: u16,
}

/// `GetFunction`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct GetFunctionResponse {
    pub(super) configuration: FunctionConfiguration,
    code: FunctionCodeLocation,
    tags: BTreeMap<String, String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct FunctionCodeLocation {
    repository_type: &'static str,
    image_uri: String,
    resolved_image_uri: String,
}

/// An alias.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct AliasConfiguration {
    alias_arn: String,
    name: String,
    function_version: String,
    description: String,
    revision_id: Uuid,
}

/// `ListFunctions`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ListFunctionsResponse {
    pub(super) functions: Vec<FunctionConfiguration>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) next_marker: Option<String>,
}

/// `ListVersionsByFunction`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ListVersionsByFunctionResponse {
    pub(super) versions: Vec<FunctionConfiguration>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) next_marker: Option<String>,
}

/// `ListAliases`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ListAliasesResponse {
    pub(super) aliases: Vec<AliasConfiguration>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) next_marker: Option<String>,
}

/// The configuration of one version. `qualified` says whether its ARN ends with the version.
pub(super) fn configuration(
    function: &Registered,
    version: &str,
    program: &Program,
    qualified: bool,
) -> FunctionConfiguration {
    let arn = arn::function(&function.name);
    let environment = Some(&program.environment).filter(|variables| !function.declared && !variables.is_empty());
    FunctionConfiguration {
        function_name: function.name.clone(),
        function_arn: if qualified { format!("{arn}:{version}") } else { arn },
        role: program.role.clone().unwrap_or_else(|| "arn:aws:iam::000000000000:role/local".to_owned()),
        code_size: 0,
        code_sha256: fingerprint(program),
        description: program.description.clone(),
        timeout: program.timeout_seconds,
        memory_size: program.memory,
        last_modified: program.modified_at.strftime("%Y-%m-%dT%H:%M:%S.%3f+0000").to_string(),
        version: version.to_owned(),
        revision_id: program.revision,
        package_type: "Image",
        architectures: [if cfg!(target_arch = "aarch64") { "arm64" } else { "x86_64" }],
        ephemeral_storage: EphemeralStorage { size: 512 },
        tracing_config: TracingConfig { mode: "PassThrough" },
        logging_config: LoggingConfig { log_format: "Text", log_group: format!("/aws/lambda/{}", function.name) },
        state: "Active",
        last_update_status: "Successful",
        environment: environment.map(|variables| Environment { variables: variables.clone() }),
        durable_config: program.durable.as_ref().map(|durable| DurableConfig {
            execution_timeout: durable.execution_timeout.as_secs(),
            retention_period_in_days: durable.retention_days,
        }),
    }
}

/// The response of `GetFunction`.
pub(super) fn function(
    function: &Registered,
    version: &str,
    program: &Program,
    qualified: bool,
) -> GetFunctionResponse {
    let command = program.image_uri.clone().unwrap_or_else(|| format!("local:{}", program.command.join(" ")));
    GetFunctionResponse {
        configuration: configuration(function, version, program, qualified),
        code: FunctionCodeLocation { repository_type: "ECR", image_uri: command.clone(), resolved_image_uri: command },
        tags: BTreeMap::new(),
    }
}

/// An alias of a function.
pub(super) fn alias(function: &Registered, name: &str, alias: &Alias) -> AliasConfiguration {
    AliasConfiguration {
        alias_arn: format!("{}:{name}", arn::function(&function.name)),
        name: name.to_owned(),
        function_version: alias.version.clone(),
        description: alias.description.clone(),
        revision_id: alias.revision,
    }
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
pub(super) fn versions(function: &Registered) -> impl Iterator<Item = FunctionConfiguration> {
    let published = function.versions.iter().map(|(number, program)| (number.to_string(), program));
    std::iter::once((LATEST.to_owned(), &function.latest))
        .chain(published)
        .map(|(version, program)| configuration(function, &version, program, true))
}
