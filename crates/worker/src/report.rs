//! Reports how the job ended, for the workflow of the sync pattern or the reconciler, which record the outcome.

use std::time::Duration;

use aws::{CallFailed, Cause, Connection};
use runtime::clock;
use store::Reports;

use crate::{command::MARGIN, config::ReportPlace, finished::Finished, retry::Backoff};

/// How long storing a report is retried. Without a report, ECS and the log show almost as much, so storing one must not delay the task's
/// end.
const PATIENCE: Duration = Duration::from_secs(10);

/// Stores the report, and returns whether that succeeded.
///
/// If the worker crashes before that, or cannot store it, the exit code comes from ECS and the result from the log. If it crashes
/// afterwards, ECS reports that the task has stopped, and the report says how.
pub(crate) async fn store(place: &ReportPlace, finished: &Finished) -> bool {
    // A job that was stopped may have used its stop timeout up to this margin.
    let patience = if finished.stop.is_some() { MARGIN * 3 / 4 } else { PATIENCE };
    let stored = tokio::time::timeout(patience, async {
        let reports = Reports::new(&Connection::from_env().await, &place.table);
        let report = finished.report();
        let mut backoff = Backoff::default();
        loop {
            match reports.put(&place.key, &report, clock::now()).await {
                Ok(()) => return Ok(()),
                Err(why) if is_transient(&why) => backoff.wait().await,
                Err(why) => return Err(why),
            }
        }
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

/// A denial is not retried here: a role without the permission is a valid configuration, and must not delay each of its jobs.
fn is_transient(why: &CallFailed) -> bool {
    why.retryable() && why.cause != Cause::Denied
}
