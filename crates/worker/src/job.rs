//! A job that is a future in this process. It ends in the same way as a command that does the same work.

use std::{fmt::Display, future::Future, io::Write as _, time::Duration};

use domain::{
    Json,
    output::{Exit, Output, ResultSource},
};
use runtime::clock;
use serde::{Serialize, de::DeserializeOwned};
use tokio::{
    task::{JoinError, JoinSet},
    time::{Instant, sleep_until},
};

use crate::{finished::Finished, stops::Stops};

/// How long to wait for a job that has to end. A job that never awaits does not notice that it was cancelled.
const GRACE: Duration = Duration::from_secs(10);

/// Exit code for an error that the job returned.
const FAILED: i32 = 1;

/// Exit code for an input that the job cannot read.
pub(crate) const BAD_INPUT: u8 = 2;

/// Exit code of a Rust program that panicked.
const PANICKED: i32 = 101;

/// Runs a job to its end and prints its result as the last line of stdout, or its error on stderr.
pub(crate) async fn run<I, F, O, E>(job: impl FnOnce(I) -> F, input: &Json, stops: &mut Stops) -> Finished
where
    I: DeserializeOwned,
    F: Future<Output = Result<O, E>> + Send + 'static,
    O: Serialize,
    E: Display,
{
    let input = match serde_json::from_str(input.text()) {
        Ok(input) => input,
        Err(why) => return failed(i32::from(BAD_INPUT), format!("cannot read the input: {why}")),
    };
    let future = job(input);
    let mut running = JoinSet::new();
    running.spawn(async move {
        let result = future.await.map_err(|error| error.to_string())?;
        serde_json::to_string(&result).map_err(|why| format!("the result is not valid JSON: {why}"))
    });
    let (mut stop, mut give_up_at) = (None, None);
    let joined = loop {
        tokio::select! {
            joined = running.join_next() => break joined,
            next = stops.next() => {
                stop = stop.or(Some(next));
                running.abort_all();
                give_up_at = give_up_at.or_else(|| Some(Instant::now() + GRACE));
            }
            // A job that never awaits does not notice that it is cancelled; it ends with the process.
            () = sleep_until(give_up_at.unwrap_or_else(Instant::now)), if give_up_at.is_some() => break None,
        }
    };
    let finished = match joined {
        Some(Ok(Ok(result))) => completed(&result),
        Some(Ok(Err(message))) => failed(FAILED, message),
        Some(Err(error)) if error.is_panic() => failed(PANICKED, panic_message(error)),
        Some(Err(_)) | None => {
            let exit =
                stop.map_or(Exit::Lost("the job was dropped".to_owned()), |stop| Exit::Signal(stop.signal().as_raw()));
            ended(exit, Output::None, String::new())
        }
    };
    Finished { stop, ..finished }
}

fn completed(result: &str) -> Finished {
    // If the log is closed, the result must still not be lost.
    let _ = writeln!(std::io::stdout(), "{result}");
    // It is known to be the result, so any JSON value is allowed, as in a file.
    ended(Exit::Code(0), Output::of_file(result.as_bytes()), String::new())
}

fn failed(code: i32, message: String) -> Finished {
    let _ = writeln!(std::io::stderr(), "{message}");
    ended(Exit::Code(code), Output::None, message)
}

fn ended(exit: Exit, output: Output, tail: String) -> Finished {
    Finished { output, source: ResultSource::Stdout, tail, ..Finished::of(exit, clock::now()) }
}

fn panic_message(error: JoinError) -> String {
    let Ok(payload) = error.try_into_panic() else { return "the job panicked".to_owned() };
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| payload.downcast_ref::<String>().cloned());
    text.map_or_else(|| "the job panicked".to_owned(), |text| format!("the job panicked: {text}"))
}

#[cfg(test)]
mod tests {
    use domain::{ErrorKind, OutcomeKind};
    use jiff::Timestamp;
    use serde_json::{Value, json};

    use super::*;

    async fn outcome<F>(input: &str, deadline: Option<Timestamp>, job: impl FnOnce(u32) -> F) -> Finished
    where
        F: Future<Output = Result<Value, String>> + Send + 'static,
    {
        run(job, &Json::parse(input).unwrap(), &mut Stops::until(deadline).unwrap()).await
    }

    #[tokio::test]
    async fn the_value_that_a_job_returns_is_its_result() {
        let done = outcome("20", None, |n| async move { Ok(json!({"twice": 2 * n})) }).await;
        let outcome = done.report().outcome(false, Duration::from_secs(1));
        assert_eq!((done.exit_code(false), outcome.kind), (0, OutcomeKind::Completed));
        assert_eq!(outcome.result.unwrap().text(), r#"{"twice":40}"#);
    }

    #[tokio::test]
    async fn errors_panics_and_invalid_inputs_fail_the_job() {
        let error = outcome("1", None, |_| async { Err("no luck".to_owned()) }).await;
        let panic =
            outcome("1", None, |n| async move { if n == 1 { panic!("at {n}") } else { Ok(Value::Null) } }).await;
        let input = outcome("\"x\"", None, |_| async { Ok(Value::Null) }).await;
        for (finished, code, message) in [
            (error, 1, "no luck"),
            (panic, 101, "the job panicked: at 1"),
            (input, 2, "cannot read the input: invalid type"),
        ] {
            let OutcomeKind::Failed(error) = finished.report().outcome(false, Duration::from_secs(1)).kind else {
                panic!("{finished:?}")
            };
            assert_eq!((finished.exit_code(false), error.kind.clone()), (code, ErrorKind::ExitCode));
            assert_eq!(error.message, format!("exited with code {code}"));
            assert!(error.log_tail.as_ref().unwrap().starts_with(message), "{error:?}");
        }
    }

    #[tokio::test]
    async fn the_deadline_cancels_a_job() {
        let late = outcome("1", Some(Timestamp::UNIX_EPOCH), |_| std::future::pending()).await;
        let OutcomeKind::TimedOut(error) = late.report().outcome(false, Duration::from_secs(1)).kind else {
            panic!("{late:?}")
        };
        assert_eq!((late.exit_code(false), error.kind), (143, ErrorKind::TimedOut));
    }
}
