//! Prints the `OpenAPI` document as YAML: `cargo run -p api --bin openapi > openapi.yaml`.

use std::{io::Write as _, process::ExitCode};

fn main() -> ExitCode {
    let printed = api::document().to_yaml().map_err(|why| why.to_string());
    match printed.and_then(|yaml| std::io::stdout().write_all(yaml.as_bytes()).map_err(|why| why.to_string())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("the document cannot be printed: {why}");
            ExitCode::FAILURE
        }
    }
}
