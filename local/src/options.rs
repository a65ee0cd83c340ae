//! What the local stack is told on its command line.

use std::{net::SocketAddr, path::PathBuf, str::FromStr};

use api::Origin;
use axum::http::HeaderName;

/// Starts the API and the AWS that it needs, on this machine.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Where the API listens; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:8080", value_name = "ADDRESS")]
    pub listen: SocketAddr,

    /// Where the AWS endpoints listen, all services on one port; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:4566", value_name = "ADDRESS")]
    pub aws_listen: SocketAddr,

    /// Where everything is kept. Start again with the same one, and every execution goes on.
    #[arg(long, default_value = ".local", value_name = "DIR")]
    pub data: PathBuf,

    /// Says that it is ready in one line of JSON.
    #[arg(long)]
    pub json: bool,

    /// A job that may be run, and its command, which a shell runs: its input on stdin, its last line of JSON the result.
    /// May be given several times.
    #[arg(long = "task", value_name = "NAME='COMMAND'")]
    pub tasks: Vec<Named>,

    /// Lets the clock be put forward at /_local/clock, for everything that runs here. It needs libfaketime.
    #[arg(long)]
    pub movable_clock: bool,

    /// Functions of one's own.
    #[command(flatten)]
    pub functions: Functions,

    /// A web origin whose pages may use the API, `http://localhost:5173`, or `*` for every one. May be given several times.
    #[arg(long = "cors-origin", value_name = "ORIGIN")]
    pub cors_origins: Vec<Origin>,

    /// Takes callers' names from this header, to try out being several: each sees its own executions only. Requests
    /// without it go on being one and the same other caller's.
    #[arg(long, value_name = "NAME")]
    pub owner_header: Option<HeaderName>,
}

/// Functions of one's own, each a program that speaks Lambda's Runtime API.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Functions {
    /// A Lambda function and the program that is it: anything that speaks the Runtime API. May be given several times.
    #[arg(long = "function", value_name = "NAME='COMMAND'")]
    pub plain: Vec<Named>,

    /// A durable Lambda function and its program: anything on a durable execution SDK. May be given several times.
    #[arg(long = "durable-function", value_name = "NAME='COMMAND'")]
    pub durable: Vec<Named>,
}

/// A command and the name it goes by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// The name.
    pub name: String,
    /// The command.
    pub command: String,
}

impl FromStr for Named {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let (name, command) = text.split_once('=').ok_or("write it as NAME='COMMAND'")?;
        let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        if name.is_empty() || name.len() > domain::limits::TASK_NAME_CHARS || !plain {
            return Err("a name has 1 to 64 letters, digits, '-' and '_'");
        }
        if command.trim().is_empty() {
            return Err("the command is missing");
        }
        Ok(Self { name: name.to_owned(), command: command.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_may_hold_what_its_name_may_not() {
        let named: Named = "count=wc -w --total=only".parse().unwrap();
        assert_eq!((named.name.as_str(), named.command.as_str()), ("count", "wc -w --total=only"));
        for wrong in ["count", "=x", "a b=x", "a=", "a/b=x"] {
            assert!(wrong.parse::<Named>().is_err(), "{wrong}");
        }
    }
}
