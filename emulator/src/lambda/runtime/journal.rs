//! The log stream of one process: its output, and the lines that Lambda adds (START, END, REPORT).

use std::time::Duration;

use jiff::Timestamp;
use tokio::process::Child;
use uuid::Uuid;

use crate::{
    clock::Clock,
    lambda::functions::Spec,
    logs::{LogWriter, Logs},
};

/// The log stream of a process.
#[derive(Debug)]
pub(super) struct Journal {
    clock: Clock,
    group: String,
    stream: String,
    writer: LogWriter,
}

/// The time and memory that an invocation took.
#[derive(Debug, Clone, Copy)]
pub(super) struct Report {
    pub(super) took: Duration,
    /// How long the start of the process took, if it was started for this invocation.
    pub(super) init: Option<Duration>,
    pub(super) memory: u32,
    pub(super) memory_used: u64,
}

impl Journal {
    /// Names the group and the stream as Lambda does: `/aws/lambda/NAME` and `YYYY/MM/DD/[VERSION]` with 32 hexadecimal digits.
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

    /// Copies the output of the process until its pipes are closed.
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

    /// Writes Lambda's lines for the end of an invocation, with the error `why` if the function did not report one itself.
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
