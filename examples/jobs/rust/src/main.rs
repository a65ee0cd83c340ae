//! Adds numbers: a job in Rust.

use std::{error::Error, io, process::ExitCode, time::Duration};

use serde::{Deserialize, Serialize};
use tokio::{
    signal::unix::{SignalKind, signal},
    time::sleep,
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Order {
    numbers: Vec<i64>,
    #[serde(default)]
    seconds_each: f64,
}

#[derive(Default, Serialize)]
struct Done {
    total: i64,
    added: usize,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<ExitCode, Box<dyn Error>> {
    let mut stop = signal(SignalKind::terminate())?;
    let Order { numbers, seconds_each } = match serde_json::from_reader(io::stdin()) {
        Ok(order) => order,
        Err(why) => {
            eprintln!("the input needs a list of whole numbers in `numbers`: {why}");
            return Ok(ExitCode::from(2));
        }
    };
    let pause = Duration::try_from_secs_f64(seconds_each)?;

    let mut done = Done::default();
    for number in &numbers {
        tokio::select! {
            _ = stop.recv() => break,
            () = sleep(pause) => {}
        }
        done.total += number;
        done.added += 1;
        println!("added {} of {}", done.added, numbers.len());
    }

    std::fs::write(std::env::var("EXECUTION_RESULT_FILE")?, serde_json::to_vec(&done)?)?;
    Ok(if done.added == numbers.len() { ExitCode::SUCCESS } else { ExitCode::from(75) })
}
