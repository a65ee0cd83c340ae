//! Starts the process of a function, with the environment that Lambda documents
//! (<https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html#configuration-envvars-runtime>).

use std::process::Stdio;

use tokio::process::{Child, Command};

use super::journal::Journal;
use crate::{callers::ACCESS_KEY, lambda::functions::Spec};

pub(super) fn spawn(spec: &Spec, runtime_api: &str, journal: &Journal, key: &str) -> Result<Child, String> {
    let (program, arguments) = spec.command.split_first().ok_or("the function has no command")?;
    Command::new(program)
        .args(arguments)
        .env_clear()
        .env("TZ", ":UTC")
        .env("AWS_XRAY_CONTEXT_MISSING", "LOG_ERROR")
        .env("LAMBDA_TASK_ROOT", ".")
        .envs(spec.environment.iter().map(|(name, value)| (name, value)))
        .env(ACCESS_KEY, key)
        .env("_HANDLER", &spec.handler)
        .env("AWS_LAMBDA_RUNTIME_API", runtime_api)
        .env("AWS_LAMBDA_FUNCTION_NAME", &spec.name)
        .env("AWS_LAMBDA_FUNCTION_VERSION", &spec.version)
        .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", spec.memory.to_string())
        .env("AWS_LAMBDA_LOG_GROUP_NAME", journal.group())
        .env("AWS_LAMBDA_LOG_STREAM_NAME", journal.stream())
        .env("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand")
        .env("AWS_EXECUTION_ENV", "AWS_Lambda_provided.al2023")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .process_group(0)
        .spawn()
        .map_err(|why| format!("{program} cannot be started: {why}"))
}

/// Resident memory of a process in MB; 0 if the process has ended, or if this is not Linux.
pub(super) fn resident_megabytes(process: &Child) -> u64 {
    let status = process.id().and_then(|id| std::fs::read_to_string(format!("/proc/{id}/status")).ok());
    let line = status.as_deref().and_then(|status| status.lines().find(|line| line.starts_with("VmHWM:")));
    let kilobytes = line.and_then(|line| line.split_whitespace().nth(1)).and_then(|number| number.parse::<u64>().ok());
    kilobytes.map_or(0, |kilobytes| kilobytes.div_ceil(1024))
}
