//! The demonstration job: takes a message, works on it for as long as it is told, and prints its progress.
//!
//! **Invariant**: it knows nothing about the worker. The worker runs it like any command.

use std::{
    io::{self, Write as _},
    process::ExitCode,
    time::Duration,
};

use domain::limits;
use jiff::Timestamp;
use runtime::clock;
use serde::{Deserialize, Serialize};
use serde_json::Number;

use crate::job::BAD_INPUT;

/// How many times progress is printed.
const PARTS: u32 = 4;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Input {
    #[serde(default)]
    message: String,
    /// In seconds. Kept as it was written, because it is part of the result.
    #[serde(default = "zero")]
    processing_time: Number,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Output {
    message: String,
    processed_at: Timestamp,
    processing_time: Number,
}

#[derive(Debug, thiserror::Error)]
enum BadInput {
    #[error("cannot read stdin: {0}")]
    Stdin(#[from] io::Error),
    #[error("the input must be like {{\"message\": \"hello\", \"processingTime\": 10}}: {0}")]
    Shape(#[from] serde_json::Error),
    #[error("processingTime must be a number of seconds from 0 to {}", limits::TIMEOUT.as_secs())]
    Time,
}

/// Runs the demonstration job in this process: input on stdin, progress and result on stdout. It does not handle signals, so a
/// signal ends it.
pub async fn demo() -> ExitCode {
    let read = io::read_to_string(io::stdin()).map_err(BadInput::from).and_then(|text| read(&text));
    let (input, time) = match read {
        Ok(read) => read,
        Err(why) => {
            let _ = writeln!(io::stderr(), "{why}");
            return ExitCode::from(BAD_INPUT);
        }
    };
    match work(input, time).await {
        Ok(()) => ExitCode::SUCCESS,
        // stdout is closed, so there is nothing left to do.
        Err(_) => ExitCode::FAILURE,
    }
}

async fn work(input: Input, time: Duration) -> io::Result<()> {
    let mut stdout = io::stdout();
    writeln!(stdout, "processing for {} seconds: {}", input.processing_time, input.message)?;
    for part in 1..=PARTS {
        tokio::time::sleep(time / PARTS).await;
        writeln!(stdout, "{} % done", 100 * part / PARTS)?;
    }
    let output = Output { message: input.message, processed_at: clock::now(), processing_time: input.processing_time };
    writeln!(stdout, "{}", serde_json::to_string(&output)?)
}

/// Reads the input; `null` means that there is none.
fn read(text: &str) -> Result<(Input, Duration), BadInput> {
    let input: Option<Input> = serde_json::from_str(text)?;
    let input = input.unwrap_or_else(|| Input { message: String::new(), processing_time: zero() });
    let time = input.processing_time.as_f64().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let time = time.filter(|time| *time <= limits::TIMEOUT).ok_or(BadInput::Time)?;
    Ok((input, time))
}

fn zero() -> Number {
    Number::from(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_of_the_demo_input_is_optional() {
        for text in ["null", "{}", r#"{"message": "", "processingTime": 0, "more": 1}"#] {
            let (input, time) = read(text).unwrap();
            assert_eq!((&*input.message, input.processing_time, time), ("", zero(), Duration::ZERO), "{text}");
        }
        assert_eq!(read(r#"{"processingTime": 0.5}"#).unwrap().1, Duration::from_millis(500));
    }

    #[test]
    fn invalid_demo_input_is_refused() {
        for text in ["", "1", r#"{"message": 1}"#, r#"{"processingTime": -1}"#, r#"{"processingTime": 1e9}"#] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
