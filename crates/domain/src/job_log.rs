//! Where the tasks of an execution print to.

use crate::{Execution, StartedTask, Unknown};

/// The log of a job's tasks, and the container that prints into it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobLog {
    /// The log group.
    pub group: String,
    /// `awslogs-stream-prefix` of the container.
    pub stream_prefix: String,
    /// Name of the container that runs the job; its exit code is the job's.
    pub container: String,
    /// Attributes that a newer version of this code stored.
    pub unknown: Unknown,
}

impl JobLog {
    /// Name of the log stream of a task: `prefix/container/task-id`
    /// (<https://docs.aws.amazon.com/AmazonECS/latest/developerguide/specify-log-config.html>).
    #[must_use]
    pub fn stream(&self, task_arn: &str) -> String {
        let task_id = task_arn.rsplit('/').next().unwrap_or(task_arn);
        format!("{}/{}/{task_id}", self.stream_prefix, self.container)
    }
}

impl Execution {
    /// Where one of its tasks prints to; `None` if no workflow has recorded it.
    #[must_use]
    pub fn log_of(&self, task_arn: &str) -> Option<&JobLog> {
        let started = self.started_tasks().find(|started| started.task_arn == task_arn);
        started.and_then(|started| started.log.as_ref()).or(self.log.as_ref())
    }

    /// Name of the container that runs the job in a task; empty if no workflow has recorded it.
    pub(crate) fn container_of(&self, task_arn: &str) -> &str {
        self.log_of(task_arn).map_or("", |log| &log.container)
    }

    /// New tasks print to `log` from now on; existing tasks keep their log.
    pub(crate) fn print_to(&mut self, log: &JobLog) {
        let before = self.log.replace(log.clone());
        let keep = |started: &mut StartedTask| {
            if started.log.is_none() {
                started.log.clone_from(&before);
            }
        };
        self.earlier.iter_mut().for_each(keep);
        self.state.started_task_mut().into_iter().for_each(keep);
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::{Attempt, Event, Json, Moment, Owner, Pattern, Request};

    fn log(container: &str) -> JobLog {
        JobLog {
            group: "/ecs/jobs".into(),
            stream_prefix: "task".into(),
            container: container.into(),
            unknown: Unknown::default(),
        }
    }

    #[test]
    fn the_log_stream_has_the_name_that_ecs_gives_it() {
        let arn = "arn:aws:ecs:eu-west-1:123456789012:task/longhaul/0f9de17a6465404e8b1b2356dc13c2f8";
        assert_eq!(log("job").stream(arn), "task/job/0f9de17a6465404e8b1b2356dc13c2f8");
    }

    #[test]
    fn a_task_keeps_its_log_when_the_job_s_log_changes() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let began = |arn: &str, container: Option<&str>| Event::WorkflowStarted {
            durable_execution_arn: arn.into(),
            log: container.map(log),
        };
        let started =
            |number| Event::TaskStarted { attempt: Attempt::new(number).unwrap(), task_arn: format!("t{number}") };
        let request = Request { max_attempts: 3, ..Request::of(Json::null()) };
        let mut execution = Execution::new("e1".parse().unwrap(), Pattern::Callback, Owner::new("ada"), request, at(0));
        assert_eq!((execution.log_of("t1"), execution.container_of("t1")), (None, ""));
        // The workflow of the third attempt knows another version of the job.
        let events = [began("d1", Some("old")), started(1), started(2), began("d2", Some("new")), started(3)];
        for event in &events {
            execution = execution.after(event, at(1)).unwrap().unwrap();
            assert_eq!(execution.after(event, at(1)), Ok(None), "{event:?}");
        }
        assert_eq!(execution.after(&began("d3", None), at(1)), Ok(None), "its workflow does not know the job");
        assert_eq!(["t1", "t2", "t3"].map(|arn| execution.container_of(arn)), ["old", "old", "new"]);
        assert_eq!(execution.durable_execution_arn.as_deref(), Some("d1"));
        let told = execution.timeline.entries().iter().filter(|entry| entry.what == Moment::WorkflowStarted);
        assert_eq!(told.count(), 1);
    }
}
