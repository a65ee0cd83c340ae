//! What the worker reads from its environment. The workflow that started the task set most of it; the task definition or ECS set the rest.

use std::{str::FromStr, time::Duration};

use contract::{environment, files};
use domain::{Attempt, ExecutionId, Json};
use jiff::Timestamp;
use runtime::{Environment, FromEnvironment};

/// The variable with the input, for the worker and its command.
pub(crate) const INPUT: &str = environment::EXECUTION_INPUT;
/// The variable that names the file that a job may write its result to.
pub(crate) const RESULT_FILE: &str = environment::EXECUTION_RESULT_FILE;
/// The variable that names the uploaded file.
pub(crate) const INPUT_FILE: &str = environment::EXECUTION_INPUT_FILE;
/// The variable that names the directory for output files.
pub(crate) const OUTPUT_DIR: &str = environment::EXECUTION_OUTPUT_DIR;
/// The variables that name the upload's object, and the key prefix of artifacts.
pub(crate) const INPUT_OBJECT: &str = environment::EXECUTION_INPUT_OBJECT;
pub(crate) const OUTPUT_PREFIX: &str = environment::EXECUTION_OUTPUT_PREFIX;
/// The variable that names the table to read the input from.
pub(crate) const INPUT_TABLE: &str = environment::INPUT_TABLE;
/// The variable that names the table to record the outcome in.
pub(crate) const EXECUTIONS_TABLE: &str = environment::EXECUTIONS_TABLE;

/// The variable that names the table to store a report in, and the one that names its key there.
pub(crate) const REPORT_TABLE: &str = environment::REPORT_TABLE;
pub(crate) const REPORT_KEY: &str = environment::REPORT_KEY;

/// The variables that only the worker needs, not the job: where it reads and writes.
pub(crate) const PRIVATE: [&str; 6] =
    [EXECUTIONS_TABLE, INPUT_TABLE, REPORT_TABLE, REPORT_KEY, INPUT_OBJECT, OUTPUT_PREFIX];

/// The worker's configuration. If all of it is absent, the image was started by hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// `EXECUTION_ID`: the execution.
    pub(crate) id: Option<ExecutionId>,
    /// `EXECUTION_ATTEMPT`: the attempt; the first if absent.
    pub(crate) attempt: Attempt,
    /// `EXECUTION_DEADLINE`: when the job must have ended, in RFC 3339.
    pub(crate) deadline: Option<Timestamp>,
    /// `EXECUTION_STOP_TIMEOUT`: how many seconds the task has to end after it was told to stop, the same as its `stopTimeout`; 30 if
    /// absent, as in ECS (<https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ContainerDefinition.html>).
    pub(crate) stop_timeout: Duration,
    /// `EXECUTION_INPUT` or `INPUT_TABLE`: where the input is.
    pub(crate) input: Source,
    /// `EXECUTION_INPUT_OBJECT`: the upload that the request names, as `BUCKET/KEY`; absent if it names none.
    pub(crate) upload: Option<ObjectName>,
    /// `EXECUTION_OUTPUT_PREFIX`: where to upload the job's output files, as `BUCKET/` and a key prefix. Absent if the task was started
    /// by an older version or by hand; then there are no artifacts.
    pub(crate) outputs: Option<ObjectName>,
    /// `EXECUTIONS_TABLE`: where to record the outcome. Absent if the workflow records it.
    pub(crate) record: Option<Item>,
    /// `REPORT_TABLE` and `REPORT_KEY`: where to report the outcome, for the workflow or the reconciler. Absent if no component reads
    /// reports, because the task was started by an older version or by hand.
    pub(crate) report: Option<ReportPlace>,
    /// `ECS_CONTAINER_METADATA_URI_V4`: the endpoint of the ECS agent that describes the task.
    pub(crate) metadata: Option<String>,
}

/// Where the input is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// This value.
    Given(Json),
    /// In the execution's item, because it is too large for a variable.
    Item(Item),
    /// On the worker's own stdin.
    Stdin,
}

/// Objects in S3.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ObjectName {
    /// The bucket.
    pub(crate) bucket: String,
    /// The key, or a key prefix.
    pub(crate) key: String,
}

impl FromStr for ObjectName {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (bucket, key) = files::read_object_name(text).ok_or("not a bucket and a key, separated by /")?;
        Ok(Self { bucket: bucket.to_owned(), key: key.to_owned() })
    }
}

/// An execution's item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Item {
    /// The table it is in.
    pub(crate) table: String,
    /// Its key.
    pub(crate) id: ExecutionId,
}

/// Where a report is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ReportPlace {
    /// The table.
    pub(crate) table: String,
    /// Its key there.
    pub(crate) key: String,
}

impl FromEnvironment for Config {
    fn read(env: &mut Environment) -> Self {
        let (input_table, table) = (env.optional(INPUT_TABLE), env.optional(EXECUTIONS_TABLE));
        if input_table.is_some() || table.is_some() {
            env.required(environment::EXECUTION_ID);
        }
        let id: Option<ExecutionId> = given(env, environment::EXECUTION_ID, str::parse);
        let item = |table: Option<String>| table.zip(id.clone()).map(|(table, id)| Item { table, id });
        let attempt = given(env, environment::EXECUTION_ATTEMPT, |text| {
            text.parse().ok().and_then(Attempt::new).ok_or("not a number from 1")
        });
        let stop_timeout = given(env, environment::EXECUTION_STOP_TIMEOUT, str::parse::<u32>);
        Self {
            attempt: attempt.unwrap_or(Attempt::FIRST),
            deadline: given(env, environment::EXECUTION_DEADLINE, str::parse),
            stop_timeout: Duration::from_secs(stop_timeout.unwrap_or(30).into()),
            input: match (given(env, INPUT, Json::parse), item(input_table)) {
                (Some(input), _) => Source::Given(input),
                (None, Some(item)) => Source::Item(item),
                (None, None) => Source::Stdin,
            },
            upload: given(env, INPUT_OBJECT, str::parse),
            outputs: given(env, OUTPUT_PREFIX, str::parse),
            record: item(table),
            report: env
                .optional(REPORT_TABLE)
                .zip(env.optional(REPORT_KEY))
                .map(|(table, key)| ReportPlace { table, key }),
            metadata: env.optional("ECS_CONTAINER_METADATA_URI_V4"),
            id,
        }
    }
}

/// A variable that may be absent, but must be valid.
fn given<T, E: ToString>(env: &mut Environment, name: &str, parse: impl Fn(&str) -> Result<T, E>) -> Option<T> {
    env.optional(name)?;
    env.parsed(name, |text| parse(text).map(Some).map_err(|why| why.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(vars: &[(&str, &str)]) -> Result<Config, String> {
        let vars = vars.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let mut env = Environment::of(vars);
        let config = Config::read(&mut env);
        env.finish(config).map_err(|why| why.to_string())
    }

    #[test]
    fn an_empty_environment_is_valid() {
        let config = read(&[]).unwrap();
        assert_eq!((config.input, config.record, config.attempt), (Source::Stdin, None, Attempt::FIRST));
    }

    #[test]
    fn the_input_in_the_environment_takes_precedence() {
        let item = Item { table: "t".into(), id: "e1".parse().unwrap() };
        let mut vars = vec![("EXECUTION_ID", "e1"), ("INPUT_TABLE", "t"), ("EXECUTIONS_TABLE", "t")];
        let config = read(&vars).unwrap();
        assert_eq!((config.input, config.record), (Source::Item(item.clone()), Some(item)));
        vars.push(("EXECUTION_INPUT", "[1]"));
        assert_eq!(read(&vars).unwrap().input, Source::Given(Json::parse("[1]").unwrap()));
    }

    #[test]
    fn all_configuration_errors_are_reported_at_once() {
        let complaint = read(&[("EXECUTIONS_TABLE", "t"), ("EXECUTION_ATTEMPT", "0"), ("EXECUTION_DEADLINE", "soon")]);
        let complaint = complaint.unwrap_err();
        for name in ["EXECUTION_ID", "EXECUTION_ATTEMPT", "EXECUTION_DEADLINE"] {
            assert!(complaint.contains(name), "{complaint}");
        }
    }
}
