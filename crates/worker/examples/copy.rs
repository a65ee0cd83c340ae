//! A job in a Rust program, which needs no other worker: it leaves a copy of the file that the caller uploaded.

use std::{fs, io, process::ExitCode};

fn main() -> ExitCode {
    worker::run(|_: serde_json::Value| async {
        let upload = worker::input_file().ok_or_else(|| io::Error::other("the request has no upload"))?;
        let directory = worker::output_dir().ok_or_else(|| io::Error::other("the task has no artifacts"))?;
        let bytes = fs::copy(upload, directory.join("copy"))?;
        Ok::<_, io::Error>(serde_json::json!({ "bytes": bytes }))
    })
}
