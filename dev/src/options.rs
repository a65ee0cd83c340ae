//! The command line of the local stack.

use std::{
    collections::HashSet,
    net::{Ipv4Addr, SocketAddr, ToSocketAddrs as _},
    path::PathBuf,
    str::FromStr,
};

use api::{
    Origin,
    config::{HELD_REQUESTS, LOG_READS},
};
use axum::http::HeaderName;
use clap::builder::TypedValueParser as _;

use crate::job_environment::Variable;

/// Starts the API, and the AWS services that it needs, on this machine.
#[derive(Debug, Clone, clap::Args)]
pub struct Options {
    /// Where the API listens: a port, or a host and a port; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:8080", value_name = "[HOST:]PORT")]
    pub listen: Listen,

    /// Where the AWS endpoints listen, all services on one port: a port, or a host and a port; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:4566", value_name = "[HOST:]PORT")]
    pub aws_listen: Listen,

    /// An additional host name for which the API and the AWS endpoints answer, for example `host.docker.internal`. They always answer
    /// to localhost and the addresses they listen on. May be given several times.
    #[arg(long = "allow-host", value_name = "NAME", value_parser = host_name)]
    pub allowed_hosts: Vec<String>,

    /// The directory where everything is kept. If the stack is started again with the same directory, every execution resumes.
    #[arg(long, default_value = ".local", value_name = "DIR")]
    pub data: PathBuf,

    /// Prints one line of JSON when the stack is ready, and nothing about executions.
    #[arg(long)]
    pub json: bool,

    /// A job that may be run, and its command, which a shell runs. It gets its input on stdin; its result is the JSON in the file
    /// `EXECUTION_RESULT_FILE`, or else the last JSON object or array on its stdout. May be given several times.
    #[arg(long = "job", value_name = "NAME='COMMAND'")]
    pub jobs: Vec<Named>,

    /// An environment variable for jobs, which otherwise get only PATH, HOME, LANG, TMPDIR and `RUST_LOG` from this shell. Without
    /// =VALUE, the value comes from this shell. May be given several times.
    #[arg(long = "env", value_name = "NAME[=VALUE]", value_parser = clap::builder::StringValueParser::new().map(Variable::from))]
    pub env: Vec<Variable>,

    /// A file of environment variables for jobs, one per line. May be given several times; --env takes precedence.
    #[arg(long = "env-file", value_name = "PATH")]
    pub env_files: Vec<PathBuf>,

    /// Lets the clock be moved forward at /_local/clock, for everything that runs here. Needs libfaketime.
    #[arg(long)]
    pub movable_clock: bool,

    /// Your own functions.
    #[command(flatten)]
    pub functions: Functions,

    /// A web origin whose pages may use the API, for example `http://localhost:5173`, or `*` for every origin. May be given several
    /// times.
    #[arg(long = "cors-origin", value_name = "ORIGIN")]
    pub cors_origins: Vec<Origin>,

    /// How many requests of one caller may be held at a time (`Prefer: wait`).
    #[arg(long, default_value_t = HELD_REQUESTS, value_name = "NUMBER")]
    pub held_requests: u32,

    /// How often one caller may read logs in 10 seconds.
    #[arg(long, default_value_t = LOG_READS, value_name = "NUMBER")]
    pub log_reads: u32,

    /// Takes the caller's name from this header, to try out several callers: each sees only its own executions. All requests without
    /// the header belong to one other caller.
    #[arg(long, value_name = "NAME")]
    pub owner_header: Option<HeaderName>,
}

impl Options {
    /// A name that is given to two jobs, if there is one.
    pub(crate) fn job_twice(&self) -> Option<&str> {
        let mut seen = HashSet::new();
        self.jobs.iter().map(|job| job.name.as_str()).find(|name| !seen.insert(*name))
    }
}

/// Your own functions, each a program that speaks Lambda's Runtime API.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Functions {
    /// A Lambda function and its program: anything that speaks the Runtime API. May be given several times.
    #[arg(long = "function", value_name = "NAME='COMMAND'")]
    pub plain: Vec<Named>,

    /// A durable Lambda function and its program: anything that uses a durable execution SDK. May be given several times.
    #[arg(long = "durable-function", value_name = "NAME='COMMAND'")]
    pub durable: Vec<Named>,
}

/// Where to listen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listen(pub SocketAddr);

impl FromStr for Listen {
    type Err = String;

    /// A port alone means 127.0.0.1. If a name has several addresses, the first one is used, IPv4 before IPv6.
    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(port) = text.parse::<u16>() {
            return Ok(Self((Ipv4Addr::LOCALHOST, port).into()));
        }
        if let Ok(address) = text.parse() {
            return Ok(Self(address));
        }
        let form = "use PORT or HOST:PORT, for example 8080, localhost:8080, 127.0.0.1:8080 or [::1]:8080";
        let named = text
            .rsplit_once(':')
            .filter(|(host, port)| !host.is_empty() && !host.contains([':', '/']) && port.parse::<u16>().is_ok());
        if named.is_none() {
            return Err(format!("not an address to listen on; {form}"));
        }
        let found: Vec<_> = text.to_socket_addrs().map_err(|why| format!("{why}; {form}"))?.collect();
        let address = found.iter().find(|address| address.is_ipv4()).or(found.first());
        address.copied().map(Self).ok_or_else(|| format!("the host has no address; {form}"))
    }
}

/// A host name, without a port: the name allows every port.
fn host_name(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if text.is_empty() || !text.chars().all(plain) {
        return Err("use a host name without scheme and port, for example host.docker.internal".to_owned());
    }
    Ok(text.to_owned())
}

/// A named command.
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
        if name.is_empty() || name.len() > domain::limits::JOB_NAME_CHARS || !plain {
            return Err("a name must have 1 to 64 letters, digits, '-' and '_'");
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
    fn an_address_may_be_a_port_or_have_a_host_name() {
        for (text, address) in [
            ("8090", "127.0.0.1:8090"),
            ("0", "127.0.0.1:0"),
            ("localhost:8090", "127.0.0.1:8090"),
            ("0.0.0.0:80", "0.0.0.0:80"),
            ("[::1]:8090", "[::1]:8090"),
        ] {
            assert_eq!(text.parse(), Ok(Listen(address.parse().unwrap())), "{text}");
        }
        for text in ["", "localhost", "70000", "localhost:70000", "http://localhost:80", ":8090", "::1:8090x", "a:b"] {
            let refused = text.parse::<Listen>().unwrap_err();
            assert!(refused.contains("for example 8080, localhost:8080"), "{text}: {refused}");
        }
    }

    #[test]
    fn a_command_may_contain_characters_that_are_invalid_in_a_name() {
        let named: Named = "count=wc -w --total=only".parse().unwrap();
        assert_eq!((named.name.as_str(), named.command.as_str()), ("count", "wc -w --total=only"));
        for wrong in ["count", "=x", "a b=x", "a=", "a/b=x"] {
            assert!(wrong.parse::<Named>().is_err(), "{wrong}");
        }
    }
}
