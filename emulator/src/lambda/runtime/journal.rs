//! The log stream of one process: what it prints, between the lines that Lambda writes itself.

use std::time::Duration;

use jiff::Timestamp;
use tokio::process::Child;
use uuid::Uuid;

use crate::{
    clock::Clock,
    lambda::functions::Spec,
    logs::{LogWriter, Logs},
};

/// Where a process prints to.
#[derive(Debug)]
pub(super) struct Journal {
    clock: Clock,
    group: String,
    stream: String,
    writer: LogWriter,
}

/// What an invocation took.
#[derive(Debug, Clone, Copy)]
pub(super) struct Report {
    pub(super) took: Duration,
    /// Of the process's start, if it was started for this.
    pub(super) init: Option<Duration>,
    pub(super) memory: u32,
    pub(super) memory_used: u64,
}

impl Journal {
    /// As Lambda names them: `/aws/lambda/NAME` and `YYYY/MM/DD/[VERSION]` with 32 hexadecimal digits.
    pub(super) fn of(spec: &Spec, logs: &Logs, clock: Clock) -> Self {
        let day = clock.now().strftime("%Y/%m/%d").to_string();
        let id = Uuid::new_v4().simple();
        let (group, stream) = (format!("/aws/lambda/{}", spec.name), format!("{day}/[{}]{id}", spec.version));
        Self { clock, writer: LogWriter::open(logs.clone(), &group, &stream), group, stream }
    }

    pub(super) fn group(&self) -> &str {
        &self.group
    }

    pub(super) fn stream(&self) -> &str {
        &self.stream
    }

    /// Copies what the process prints, until the pipes end.
    pub(super) fn follow(&self, process: &mut Child) {
        let never = std::future::pending;
        if let Some(stdout) = process.stdout.take() {
            let writer = self.writer.clone();
            tokio::spawn(async move { writer.copy(stdout, never()).await });
        }
        if let Some(stderr) = process.stderr.take() {
            let writer = self.writer.clone();
            tokio::spawn(async move { writer.copy(stderr, never()).await });
        }
    }

    pub(super) fn start(&self, request_id: &str, version: &str) {
        let now = self.clock.now();
        self.writer.write(vec![(now, format!("START RequestId: {request_id} Version: {version}"))]);
    }

    /// What Lambda says when an invocation is over; `why` if the function did not say so itself.
    pub(super) fn end(&self, request_id: &str, why: Option<&str>, report: Report) {
        let now = self.clock.now();
        let mut lines: Vec<(Timestamp, String)> = why.map(|why| (now, why.to_owned())).into_iter().collect();
        lines.push((now, format!("END RequestId: {request_id}")));
        lines.push((now, report.line(request_id)));
        self.writer.write(lines);
    }
}

impl Report {
    fn line(&self, request_id: &str) -> String {
        let millis = self.took.as_secs_f64() * 1_000.0;
        let billed = self.took.as_nanos().div_ceil(1_000_000);
        let Self { memory, memory_used, .. } = self;
        let init = self
            .init
            .map_or_else(String::new, |init| format!("Init Duration: {:.2} ms\t", init.as_secs_f64() * 1_000.0));
        format!(
            "REPORT RequestId: {request_id}\tDuration: {millis:.2} ms\tBilled Duration: {billed} ms\t\
             Memory Size: {memory} MB\tMax Memory Used: {memory_used} MB\t{init}"
        )
    }
}
