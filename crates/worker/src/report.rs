//! Reports how the job ended, for the workflow of the sync pattern or the reconciler, which record the outcome.

use std::time::Duration;

use aws::{Cause, Connection, Phase};
use runtime::clock;
use store::Reports;

use crate::{
    command::MARGIN,
    config::ReportPlace,
    finished::Finished,
    retry::{for_files, patiently},
};

/// How long storing a report is retried. Without a report, ECS and the log show almost as much, so storing one must not delay the task's
/// end.
const PATIENCE: Duration = Duration::from_secs(10);

/// Stores the report, and returns whether that succeeded.
///
/// If the worker crashes before that, or cannot store it, the exit code comes from ECS and the result from the log. If it crashes
/// afterwards, ECS reports that the task has stopped, and the report says how. Only the report names output files.
pub(crate) async fn store(place: &ReportPlace, finished: &Finished) -> bool {
    let longest = match finished.stop {
        // A job that was stopped may have used its stop timeout up to this margin.
        Some(_) => MARGIN * 3 / 4,
        None if finished.has_files() => Duration::MAX,
        None => PATIENCE,
    };
    let patience = |cause| match cause {
        _ if finished.has_files() => for_files(cause),
        // A role without the permission is a valid configuration, and must not delay each of its jobs.
        Cause::Denied => Duration::ZERO,
        Cause::Throttled | Cause::Unavailable | Cause::Rejected => cause.patience(Phase::TaskStarted),
    };
    let stored = tokio::time::timeout(longest, async {
        let reports = Reports::new(&Connection::from_env().await, &place.table);
        let report = finished.report();
        patiently(patience, "store the report of the outcome", async || {
            reports.put(&place.key, &report, clock::now()).await
        })
        .await
    });
    match stored.await {
        Ok(Ok(())) => true,
        Ok(Err(why)) => {
            tracing::warn!(error = &why as &dyn std::error::Error, "cannot store the report of the outcome");
            false
        }
        Err(_) => {
            tracing::warn!("storing the report of the outcome timed out");
            false
        }
    }
}
