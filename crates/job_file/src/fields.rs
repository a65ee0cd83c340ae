//! The fields of a job and of `[defaults]`, a module for each group.

mod access;
mod allow;
mod choices;
mod image;
mod input;
mod job;
mod retry;
mod shared;
mod sidecars;
mod size;
mod time;
mod unknown;
mod variables;

pub(crate) use choices::{EPHEMERAL_STORAGE, LOG_RETENTION_DAYS};
pub(crate) use job::job;
pub(crate) use shared::Shared;
pub(crate) use sidecars::{MOST as SIDECARS, RESERVED as CONTAINERS};
pub(crate) use unknown::{Owner, unknown};

/// How messages write a list of things of which one is expected.
fn or(all: &[u32]) -> String {
    let all: Vec<_> = all.iter().map(u32::to_string).collect();
    match all.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => String::new(),
    }
}
