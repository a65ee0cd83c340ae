//! The parameters with which a task is started.

use compute::{NewTask, TaskOwner};
use contract::{catalog::Job, environment, files, report};
use domain::{Attempt, Execution, Overrides, Pattern, task::Task};

/// The environment variable that has the task's attempt.
const ATTEMPT: &str = environment::EXECUTION_ATTEMPT;

/// Longest input that is passed to `RunTask`, in characters of its JSON string. All overrides of a call together may have 8,192 characters.
/// The worker reads a longer input from the item.
const INLINE_INPUT: usize = 4_096;

/// Where a task reads and writes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Places<'a> {
    /// The name of the table of executions.
    pub(super) table: &'a str,
    /// The name of the bucket for uploads and artifacts.
    pub(super) bucket: &'a str,
}

/// The task for an attempt. The same execution and attempt always give the same parameters, because ECS compares them when a start is
/// repeated.
pub(super) fn task_for<'a>(execution: &Execution, job: &'a Job, attempt: Attempt, places: &Places<'_>) -> NewTask<'a> {
    let table = places.table;
    let Overrides { cpu, memory, environment: variables } = &execution.request.overrides;
    // Their names cannot be those of the variables that follow: see `domain::variable`.
    let mut environment: Vec<_> = variables.clone().into_iter().collect();
    environment.extend([
        (environment::EXECUTION_ID.to_owned(), execution.id.to_string()),
        (ATTEMPT.to_owned(), attempt.to_string()),
        (environment::EXECUTION_DEADLINE.to_owned(), execution.deadline.to_string()),
    ]);
    // A task that reads or writes the execution's item gets the table's name in its environment, and the job's role for the table if the
    // job has one.
    let mut uses_table = false;
    let input = execution.request.input.text();
    if serde_json::to_string(input).is_ok_and(|quoted| quoted.len() <= INLINE_INPUT) {
        environment.push((environment::EXECUTION_INPUT.to_owned(), input.to_owned()));
    } else {
        environment.push((environment::INPUT_TABLE.to_owned(), table.to_owned()));
        uses_table = true;
    }
    match execution.pattern {
        Pattern::Sync => {}
        // The worker in the task records the outcome.
        Pattern::Callback => {
            environment.push((environment::EXECUTIONS_TABLE.to_owned(), table.to_owned()));
            uses_table = true;
        }
    }
    // The workflow or the reconciler reads the worker's report when it records the outcome. The task needs no role for the table's
    // items for this, only permission to write reports.
    if let Some(key) = report::key(execution, attempt) {
        environment.push((environment::REPORT_TABLE.to_owned(), table.to_owned()));
        environment.push((environment::REPORT_KEY.to_owned(), key));
    }
    // The worker uploads the job's output files there, with the task's own role.
    if let Some(outputs) = files::outputs_of(execution) {
        let name = files::object_name(places.bucket, &outputs);
        environment.push((environment::EXECUTION_OUTPUT_PREFIX.to_owned(), name));
    }
    if let Some(upload) = &execution.request.input_upload {
        let key = files::upload_key(&execution.owner, &upload.id);
        environment.push((environment::EXECUTION_INPUT_OBJECT.to_owned(), files::object_name(places.bucket, &key)));
    }
    NewTask {
        job,
        owner: TaskOwner { started_by: execution.id.to_string(), client_token: execution.id.client_token(attempt) },
        environment,
        cpu: *cpu,
        memory: *memory,
        role: if uses_table { job.table_role.clone() } else { None },
        tags: execution.request.tags.clone(),
    }
}

/// The task of `attempt`, among the tasks that an execution started.
pub(super) fn task_of_attempt(tasks: &[Task], attempt: Attempt) -> Option<String> {
    let works_on_it =
        |task: &&Task| task.environment.iter().any(|(name, value)| name == ATTEMPT && *value == attempt.to_string());
    tasks.iter().find(works_on_it).map(|task| task.arn.clone())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use domain::{Json, Owner, Request, Unknown, Upload, UploadId, limits, upload::Keep};
    use serde_json::json;

    use super::*;

    fn execution(input: &str, pattern: Pattern) -> Execution {
        let request = Request { timeout: Duration::from_mins(1), ..Request::of(Json::parse(input).unwrap()) };
        let now = jiff::Timestamp::UNIX_EPOCH;
        let new = Execution::new("e1".parse().unwrap(), pattern, Owner::new("ada"), request, now);
        Execution { creation: Some("0b9f8a3e-5d1c-4f67-9a3b-0d8f4a1c2e77".to_owned()), ..new }
    }

    const PLACES: Places<'_> = Places { table: "table", bucket: "bucket" };

    const LARGE: usize = INLINE_INPUT + 1;

    #[test]
    fn only_a_task_that_uses_the_table_gets_the_role_for_it() {
        let small = r#"{"a":1}"#.to_owned();
        let large = format!("\"{}\"", "x".repeat(LARGE));
        let cases = [
            (&small, Pattern::Sync, false),
            (&large, Pattern::Sync, true),
            (&small, Pattern::Callback, true),
            (&large, Pattern::Callback, true),
        ];
        let with: Job = serde_json::from_str(r#"{"taskDefinition":"demo","tableRole":"arn:role"}"#).unwrap();
        let without: Job = serde_json::from_str(r#"{"taskDefinition":"demo"}"#).unwrap();
        for (input, pattern, uses_table) in cases {
            let execution = execution(input, pattern);
            let task = task_for(&execution, &with, Attempt::FIRST, &PLACES);
            assert_eq!(task.role.as_deref(), uses_table.then_some("arn:role"), "{pattern:?}, {} bytes", input.len());
            let names_table = |(name, value): &(String, String)| name != "REPORT_TABLE" && value == "table";
            assert_eq!(task.environment.iter().any(names_table), uses_table);
            assert_eq!(task_for(&execution, &without, Attempt::FIRST, &PLACES).role, None);
        }
    }

    fn environment(input: &str, pattern: Pattern) -> Vec<(String, String)> {
        let job: Job = serde_json::from_str(r#"{"taskDefinition":"demo"}"#).unwrap();
        task_for(&execution(input, pattern), &job, Attempt::FIRST, &PLACES).environment
    }

    #[test]
    fn a_small_input_is_passed_inline_and_a_large_one_is_read_from_the_item() {
        let small = environment(r#"{"a":1}"#, Pattern::Sync);
        assert!(small.contains(&("EXECUTION_INPUT".into(), r#"{"a":1}"#.into())));
        // The JSON string of 2,100 quotes has more than 4,200 characters.
        let large = environment(&format!("\"{}\"", "\\\"".repeat(2_100)), Pattern::Sync);
        assert!(large.contains(&("INPUT_TABLE".into(), "table".into())));
        assert!(!large.iter().any(|(name, _)| name == "EXECUTION_INPUT"));
    }

    #[test]
    fn only_the_worker_of_a_callback_execution_records_the_outcome() {
        let reports = |pattern| environment("1", pattern).contains(&("EXECUTIONS_TABLE".into(), "table".into()));
        assert!(reports(Pattern::Callback) && !reports(Pattern::Sync));
    }

    /// ECS refuses a repeated start with other parameters, so old and new versions of the workflow must name the same key.
    #[test]
    fn every_attempt_has_its_own_report_key() {
        let key = |attempt| {
            let (execution, job) =
                (execution("1", Pattern::Sync), serde_json::from_str(r#"{"taskDefinition":"demo"}"#));
            let environment = task_for(&execution, &job.unwrap(), attempt, &PLACES).environment;
            environment.into_iter().find(|(name, _)| name == "REPORT_KEY").unwrap().1
        };
        assert_eq!(key(Attempt::FIRST), "report/0b9f8a3e-5d1c-4f67-9a3b-0d8f4a1c2e77/1");
        assert_eq!(key(Attempt::FIRST.next()), "report/0b9f8a3e-5d1c-4f67-9a3b-0d8f4a1c2e77/2");
    }

    #[test]
    fn the_task_has_what_the_request_overrides() {
        let mut execution = execution("1", Pattern::Sync);
        let variables = [("DEBUG".to_owned(), "1".to_owned())];
        execution.request.overrides =
            Overrides { cpu: Some(512), memory: Some(1_024), environment: variables.clone().into() };
        let job: Job = serde_json::from_str(r#"{"taskDefinition":"demo"}"#).unwrap();
        let task = task_for(&execution, &job, Attempt::FIRST, &PLACES);
        assert_eq!((task.cpu, task.memory), (Some(512), Some(1_024)));
        assert!(task.environment.starts_with(&variables), "{:?}", task.environment);
        assert_eq!(task, task_for(&execution, &job, Attempt::FIRST, &PLACES), "ECS compares the parameters");
    }

    /// "A total of 8192 characters are allowed for overrides. This includes the JSON formatting characters of the override structure."
    /// (<https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_RunTask.html>, `overrides`)
    #[test]
    fn the_largest_overrides_fit_the_limit_of_ecs() {
        let input = format!("\"{}\"", "x".repeat(INLINE_INPUT - 6));
        let mut execution = execution(&input, Pattern::Callback);
        execution.id = "x".repeat(limits::ID_CHARS).parse().unwrap();
        let mut variables: std::collections::BTreeMap<_, _> =
            (0..limits::VARIABLES).map(|n| (format!("V{n:02}"), String::new())).collect();
        let bytes = serde_json::to_string(&variables).unwrap().len();
        variables.insert("V00".to_owned(), "x".repeat(limits::VARIABLES_BYTES - bytes));
        execution.request.overrides = Overrides { cpu: Some(16_384), memory: Some(122_880), environment: variables };
        let id = UploadId::new(Keep::Long, [0; 16]);
        execution.request.input_upload =
            Some(Upload { id, bytes: 1, sha256: [0; 32].into(), unknown: Unknown::default() });
        assert_eq!(execution.request.violations(), []);
        // The longest names that IAM, ECS and DynamoDB allow.
        let role = format!("arn:aws-us-gov:iam::123456789012:role/{}/{}", "p".repeat(510), "r".repeat(64));
        let job = json!({ "taskDefinition": "demo", "container": "c".repeat(255), "tableRole": role });
        let job: Job = serde_json::from_value(job).unwrap();
        let (table, bucket) = ("t".repeat(255), "b".repeat(63));
        let places = Places { table: &table, bucket: &bucket };
        let task = task_for(&execution, &job, Attempt::new(99).unwrap(), &places);
        let environment: Vec<_> =
            task.environment.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect();
        let overrides = json!({
            "containerOverrides": [{ "name": job.container, "environment": environment }],
            "cpu": task.cpu.unwrap().to_string(),
            "memory": task.memory.unwrap().to_string(),
            "taskRoleArn": task.role.unwrap(),
        });
        let all = overrides.to_string();
        assert!(all.contains("EXECUTION_INPUT") && all.len() <= 8_192, "{}", all.len());
    }
}
