//! `ListDurableExecutionsByFunction`, as in AWS's corrected documentation: executions of every version if none is named, and newest first
//! unless `ReverseOrder`
//! (<https://docs.aws.amazon.com/lambda/latest/api/API_ListDurableExecutionsByFunction.html>).

use jiff::Timestamp;

use super::{
    Durable,
    store::{self, Execution, ExecutionStatus},
    wire::ListDurableExecutionsByFunctionResponse,
};
use crate::{
    lambda::{functions::Qualified, limits},
    wire::AwsError,
};

/// The default number of executions in one page.
const PAGE: usize = 100;

/// The maximum number of executions in one page.
const LARGEST_PAGE: usize = 1_000;

/// Which executions are requested.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wanted {
    pub(crate) name: Option<String>,
    /// Any, if none is named.
    pub(crate) statuses: Vec<ExecutionStatus>,
    pub(crate) started_after: Option<Timestamp>,
    pub(crate) started_before: Option<Timestamp>,
    pub(crate) newest_first: bool,
    pub(crate) marker: Option<String>,
    pub(crate) max_items: Option<usize>,
}

impl Wanted {
    fn matches(&self, execution: &Execution, version: Option<&str>) -> bool {
        version.is_none_or(|version| version == execution.version)
            && self.name.as_ref().is_none_or(|name| *name == execution.name)
            && (self.statuses.is_empty() || self.statuses.contains(&execution.status))
            && self.started_after.is_none_or(|after| execution.started_at > after)
            && self.started_before.is_none_or(|before| execution.started_at < before)
    }
}

impl Durable {
    /// One page of a function's executions, on one of its versions or on any, in the order of their starts.
    pub(crate) fn list(
        &self,
        of: &Qualified,
        wanted: &Wanted,
    ) -> Result<ListDurableExecutionsByFunctionResponse, AwsError> {
        let from = limits::marker(wanted.marker.as_deref())?;
        let page = wanted.max_items.filter(|items| *items > 0).unwrap_or(PAGE).min(LARGEST_PAGE);
        let version = of.explicit.then_some(of.version.as_str());
        let mut shown = Vec::new();
        let mut last = None;
        let mut more = false;
        self.0.db.transact(|tx| {
            store::walk(tx, of.name(), from, wanted.newest_first, |row, execution| {
                if wanted.matches(&execution, version) {
                    if shown.len() == page {
                        more = true;
                        return false;
                    }
                    shown.push((&execution).into());
                    last = Some(row);
                }
                true
            })
            .map_err(AwsError::from)
        })?;
        let next_marker = last.filter(|_| more).map(|last| last.to_string());
        Ok(ListDurableExecutionsByFunctionResponse { durable_executions: shown, next_marker })
    }
}
