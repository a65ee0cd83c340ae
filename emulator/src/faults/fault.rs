//! A fault as it is armed: which calls it hits, and what happens to them.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use super::call::{Call, EVENTS, Of};
use crate::service::{self, Facts};

/// The longest delay: a year.
const LONGEST_DELAY_SECONDS: f64 = 366.0 * 24.0 * 3_600.0;

/// Which calls are hit, and what happens to them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Fault {
    pub(crate) on: On,
    pub(crate) does: Does,
    /// Only calls of this caller: `longhaul-sync`, `task`, `api`, or an access key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) by: Option<String>,
    /// Only calls that are about this execution.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) execution: Option<String>,
    /// How many of these calls pass first.
    #[serde(default)]
    pub(crate) skip: u64,
    /// How many are hit after that.
    #[serde(default)]
    pub(crate) times: Times,
    /// How likely one of those is hit, from 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) chance: Option<f64>,
    /// The same seed makes the same choices.
    #[serde(default)]
    pub(crate) seed: u64,
}

/// What happens to a call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Does {
    /// Nothing: it is only recorded.
    Watch,
    /// It is refused with the service's throttling error.
    Throttle,
    /// It is answered with a 500, and has no effect.
    Fail,
    /// It is refused with this code, for example `AccessDeniedException`, and has no effect.
    Refuse(String),
    /// It is answered with this body and a 200, and has no effect: for responses that AWS may send but the emulator never does.
    Answer(serde_json::Value),
    /// It takes effect this many seconds later, or when the fault is cleared.
    Delay(f64),
    /// It is never answered, and has no effect. When the fault is cleared, its connection is closed.
    Hang,
    /// Its connection is closed, and it has no effect. An event is lost.
    CutBefore,
    /// Its connection is closed after it has taken effect: the reply is lost.
    CutAfter,
    /// It takes effect twice; the second response is sent. An event comes twice.
    Repeat,
    /// Its caller is killed, and it has no effect.
    KillBefore,
    /// Its caller is killed after it has taken effect.
    KillAfter,
}

/// What is hit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum On {
    /// `*`: every call.
    AnyCall,
    /// `service:Operation`, or `service:*` for all operations.
    Calls(&'static Facts, Option<&'static str>),
    /// `events:Detail Type`, or `events:*` for all events.
    Events(Option<String>),
}

/// How many calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Times {
    Some(u64),
    All,
}

/// Describes a valid fault. It is part of the response when a fault is refused.
pub(crate) const FORM: &str = "A fault is {\"on\": \"service:Operation\", \"service:*\" or \"*\", \"does\": \"watch\", \
    \"throttle\", \"fail\", {\"refuse\": CODE}, {\"answer\": BODY}, {\"delay\": SECONDS}, \"hang\", \"cutBefore\", \"cutAfter\", \"repeat\", \
    \"killBefore\" or \"killAfter\"}, with \"by\": CALLER, \"execution\": ID, \"skip\": NUMBER, \"times\": NUMBER or \"all\", \"chance\": 0 to \
    1 and \"seed\": NUMBER as options. Services are dynamodb, ecs, eventbridge, lambda, logs and s3. An event is named \
    \"events:Detail Type\" or \"events:*\", and may be watched, delayed, lost (cutBefore) or duplicated (repeat).";

impl Fault {
    /// Reads a fault.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub(crate) fn read(body: &[u8]) -> Result<Self, String> {
        let fault: Self = serde_json::from_slice(body).map_err(|why| why.to_string())?;
        fault.check()?;
        Ok(fault)
    }

    fn check(&self) -> Result<(), String> {
        if self.chance.is_some_and(|chance| !(0.0..=1.0).contains(&chance)) {
            return Err("chance must be from 0 to 1".to_owned());
        }
        if let Does::Delay(seconds) = self.does
            && !(0.0..=LONGEST_DELAY_SECONDS).contains(&seconds)
        {
            return Err(format!("delay must be from 0 to {LONGEST_DELAY_SECONDS} seconds"));
        }
        let for_events = matches!(self.does, Does::Watch | Does::Delay(_) | Does::CutBefore | Does::Repeat);
        if matches!(self.on, On::Events(_)) && !for_events {
            return Err("this fault is only for calls; events can be watched, delayed, lost (`cutBefore`) or duplicated (`repeat`)".to_owned());
        }
        Ok(())
    }
}

impl On {
    pub(crate) fn includes(&self, call: &Call) -> bool {
        match (self, &call.of) {
            (Self::AnyCall, Of::Operation(..)) => true,
            (Self::Calls(on, operation), Of::Operation(service, called)) => {
                on == service && operation.is_none_or(|operation| operation == called)
            }
            (Self::Events(wanted), Of::Event(detail_type)) => {
                wanted.as_ref().is_none_or(|wanted| wanted == detail_type)
            }
            (Self::AnyCall | Self::Calls(..), Of::Event(_)) | (Self::Events(_), Of::Operation(..)) => false,
        }
    }
}

impl FromStr for On {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "*" {
            return Ok(Self::AnyCall);
        }
        let form = || "on must be service:Operation, service:* or *".to_owned();
        let (name, operation) = text.split_once(':').ok_or_else(form)?;
        if operation != "*" && !operation.starts_with(|first: char| first.is_ascii_uppercase()) {
            return Err(form());
        }
        if name == EVENTS {
            return Ok(Self::Events(Some(operation.to_owned()).filter(|operation| operation != "*")));
        }
        let service = service::ALL.into_iter().find(|known| known.name == name).ok_or_else(|| {
            let names: Vec<_> = service::ALL.iter().map(|known| known.name).chain([EVENTS]).collect();
            format!("there is no service {name}; the services are {}", names.join(", "))
        })?;
        if operation == "*" {
            return Ok(Self::Calls(service, None));
        }
        let known = service.operations.iter().find(|known| **known == operation);
        known.map(|known| Self::Calls(service, Some(known))).ok_or_else(|| unknown(service, operation))
    }
}

/// How many operations are suggested for one that does not exist.
const NEAREST: usize = 3;

fn unknown(service: &Facts, operation: &str) -> String {
    let likeness = |name: &str| strsim::normalized_damerau_levenshtein(&name.to_lowercase(), &operation.to_lowercase());
    let mut known = service.operations.to_vec();
    known.sort_by(|one, other| likeness(other).total_cmp(&likeness(one)));
    known.truncate(NEAREST);
    let service = service.name;
    let nearest: Vec<_> = known.iter().map(|name| format!("{service}:{name}")).collect();
    format!("there is no operation {service}:{operation} here; the nearest are {}", nearest.join(", "))
}

impl fmt::Display for On {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AnyCall => f.write_str("*"),
            Self::Calls(service, operation) => write!(f, "{}:{}", service.name, operation.unwrap_or("*")),
            Self::Events(detail_type) => write!(f, "{EVENTS}:{}", detail_type.as_deref().unwrap_or("*")),
        }
    }
}

impl Serialize for On {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for On {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl Default for Times {
    fn default() -> Self {
        Self::Some(1)
    }
}

impl Serialize for Times {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Some(times) => serializer.serialize_u64(*times),
            Self::All => serializer.serialize_str("all"),
        }
    }
}

impl<'de> Deserialize<'de> for Times {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wrong = || D::Error::custom("times must be a number or \"all\"");
        let value = serde_json::Value::deserialize(deserializer)?;
        match value.as_str() {
            Some("all") => Ok(Self::All),
            Some(_) => Err(wrong()),
            None => value.as_u64().map(Self::Some).ok_or_else(wrong),
        }
    }
}

/// A time in seconds that was checked when it was read.
pub(crate) fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn omitted_fields_have_defaults() {
        let fault = Fault::read(br#"{"on": "ecs:*", "does": "throttle"}"#).unwrap();
        assert_eq!((fault.skip, fault.times, fault.chance), (0, Times::Some(1), None));
        let written = serde_json::to_string(&fault).unwrap();
        assert_eq!(written, r#"{"on":"ecs:*","does":"throttle","skip":0,"times":1,"seed":0}"#);
        assert_eq!(Fault::read(written.as_bytes()).unwrap(), fault);
    }

    #[test]
    fn an_invalid_fault_is_refused_with_an_explanation() {
        let refusals = [
            (r#"{"on": "sqs:SendMessage", "does": "fail"}"#, "dynamodb, ecs, eventbridge, lambda, logs, s3, events"),
            (r#"{"on": "ecs", "does": "fail"}"#, "service:Operation"),
            (r#"{"on": "ecs:run-task", "does": "fail"}"#, "service:Operation"),
            (r#"{"on": "ecs:RunTsk", "does": "fail"}"#, "no operation ecs:RunTsk here; the nearest are ecs:RunTask,"),
            (r#"{"on": "dynamodb:Putitem", "does": "fail"}"#, "the nearest are dynamodb:PutItem,"),
            (r#"{"on": "lambda:InvokeFunction", "does": "fail"}"#, "the nearest are lambda:"),
            (r#"{"on": "logs:RunTask", "does": "fail"}"#, "no operation logs:RunTask here"),
            (r#"{"on": "ecs:RunTask", "does": "explode"}"#, "`throttle`"),
            (r#"{"on": "ecs:RunTask"}"#, "missing field `does`"),
            (r#"{"on": "ecs:RunTask", "does": "fail", "time": 2}"#, "unknown field `time`"),
            (r#"{"on": "ecs:RunTask", "does": "fail", "times": "many"}"#, "\"all\""),
            (r#"{"on": "ecs:RunTask", "does": "fail", "chance": 2}"#, "from 0 to 1"),
            (r#"{"on": "ecs:RunTask", "does": {"delay": -1}}"#, "delay"),
            (r#"{"on": "events:*", "does": "throttle"}"#, "event"),
            (r#"{"on": "eventbridge:PutEvent", "does": "fail"}"#, "the nearest are eventbridge:PutEvents,"),
            ("rubbish", "expected value"),
        ];
        for (fault, why) in refusals {
            let refusal = Fault::read(fault.as_bytes()).unwrap_err();
            assert!(refusal.contains(why), "{fault}: {refusal}");
        }
    }
}
