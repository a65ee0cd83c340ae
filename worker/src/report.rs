//! Reports what the job came to, for somebody else to record: the sync pattern's workflow, or the reconciler.

use std::time::Duration;

use aws::{CallFailed, Connection, Reports, clock};

use crate::{config::ReportPlace, finished::Finished, retry::Backoff};

/// How long a report is tried. ECS and the log tell almost as much, so nobody's end is delayed for it.
const PATIENCE: Duration = Duration::from_secs(10);

/// Stores the report of an end, and says whether that could be done.
///
/// Dies before it is stored, or it cannot be: ECS tells the exit code, the log the result. Dies after it: ECS tells that the task
/// is over, and the report how.
pub(crate) async fn store(place: &ReportPlace, finished: &Finished) -> bool {
    let stored = tokio::time::timeout(PATIENCE, async {
        let reports = Reports::new(&Connection::from_env().await, &place.table);
        let mut backoff = Backoff::default();
        loop {
            match reports.put(&place.key, &finished.report(), clock::now()).await {
                Ok(()) => return Ok(()),
                Err(why) if may_pass(&why) => backoff.wait().await,
                Err(why) => return Err(why),
            }
        }
    });
    match stored.await {
        Ok(Ok(())) => true,
        Ok(Err(why)) => {
            tracing::warn!(error = &why as &dyn std::error::Error, "cannot report the end");
            false
        }
        Err(_) => {
            tracing::warn!("could not report the end in time");
            false
        }
    }
}

/// A denial may pass too. But a job whose role may write no reports ends well without one, and so without delay.
fn may_pass(why: &CallFailed) -> bool {
    why.retryable() && why.cause != aws::Cause::Denied
}
