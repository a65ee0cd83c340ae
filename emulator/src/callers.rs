//! Identifies callers: each process that the emulator starts has its own access key and signs its calls with that key.
//!
//! On AWS, each function and each task has its own credentials too. Here, a key is `NAME.ID`: the function's name and its instance, or
//! `task` and the task's id. The key of event deliveries is `events`. Other clients may use any key, because keys grant no permissions.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::http::{header::AUTHORIZATION, request::Parts};
use percent_encoding::percent_decode_str;
use rustix::process::{Pid, Signal, kill_process_group};
use uuid::Uuid;

use crate::identity::REGION;

/// The environment variable with a process's key.
pub(crate) const ACCESS_KEY: &str = "AWS_ACCESS_KEY_ID";

/// The key of the calls that deliver events to their targets.
pub(crate) const EVENTS: &str = "events";

/// The running processes that can make calls. Clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Callers(Arc<Mutex<BTreeMap<String, Caller>>>);

#[derive(Debug, Default)]
struct Caller {
    /// Its process groups: a task has one for each container.
    groups: Vec<Pid>,
    /// The durable execution that it currently works for, if any.
    execution: Option<String>,
}

/// A new key for an instance of a function.
pub(crate) fn key_of_instance(function: &str) -> String {
    let [a, b, c, d, ..] = Uuid::new_v4().into_bytes();
    format!("{function}.{a:02x}{b:02x}{c:02x}{d:02x}")
}

/// The key of a task.
pub(crate) fn key_of_task(id: &str) -> String {
    format!("task.{id}")
}

/// Whether `name` selects the caller with this key: `name` must be the whole key, or its part before the dot.
pub(crate) fn is_called(key: &str, name: &str) -> bool {
    key == name || name_of(key) == name
}

/// The name in a key: the part before the dot, or all of it.
pub(crate) fn name_of(key: &str) -> &str {
    key.split_once('.').map_or(key, |(name, _)| name)
}

/// The parameter of a presigned URL with the credential.
const CREDENTIAL: &str = "X-Amz-Credential=";

/// The key that signed a request, if one did.
pub(crate) fn key_of_request(request: &Parts) -> Option<String> {
    credential(request)?.split_once('/').map(|(key, _)| key.to_owned())
}

/// The scope of the signature of a request, if it has one: `DATE/REGION/SERVICE/aws4_request`.
pub(crate) fn scope_of_request(request: &Parts) -> Option<String> {
    credential(request)?.split_once('/').map(|(_, scope)| scope.to_owned())
}

/// The credential in the header of a signed request, or in the query of a presigned one
/// (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>).
fn credential(request: &Parts) -> Option<Cow<'_, str>> {
    if let Some(signature) = request.headers.get(AUTHORIZATION) {
        let (_, credential) = signature.to_str().ok()?.split_once("Credential=")?;
        return credential.split(',').next().map(Cow::Borrowed);
    }
    let credential = request.uri.query()?.split('&').find_map(|pair| pair.strip_prefix(CREDENTIAL))?;
    percent_decode_str(credential).decode_utf8().ok()
}

/// The `Authorization` header of the emulator's own calls. It has no signature, since nothing here checks signatures.
pub(crate) fn signature(key: &str) -> String {
    let scope = format!("20260101/{REGION}/lambda/aws4_request");
    format!("AWS4-HMAC-SHA256 Credential={key}/{scope}, SignedHeaders=host, Signature=0")
}

impl Callers {
    /// Records that a process group of this caller has started.
    pub(crate) fn started(&self, key: &str, leader: Option<u32>) {
        if let Some(group) = leader.and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw) {
            self.all().entry(key.to_owned()).or_default().groups.push(group);
        }
    }

    /// Records that this caller has ended.
    pub(crate) fn ended(&self, key: &str) {
        self.all().remove(key);
    }

    /// Records which execution a caller works for from now on.
    pub(crate) fn set_execution(&self, key: &str, execution: Option<&str>) {
        if let Some(caller) = self.all().get_mut(key) {
            caller.execution = execution.map(str::to_owned);
        }
    }

    /// The execution that a caller currently works for.
    pub(crate) fn execution_of(&self, key: &str) -> Option<String> {
        self.all().get(key)?.execution.clone()
    }

    /// The keys of the callers that are running.
    pub(crate) fn running(&self) -> Vec<String> {
        self.all().keys().cloned().collect()
    }

    /// Kills all processes of a caller, like the loss of its machine. Does nothing for a caller without its own processes.
    pub(crate) fn kill(&self, key: &str) {
        for group in self.all().get(key).map(|caller| caller.groups.clone()).unwrap_or_default() {
            // If it has ended in the meantime, that is fine.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<String, Caller>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caller_is_read_from_the_signature() {
        let request = |uri: &str| axum::http::Request::builder().uri(uri);
        let parts = |request: axum::http::request::Builder| request.body(()).unwrap().into_parts().0;
        assert_eq!(key_of_request(&parts(request("/"))), None);
        let signature =
            "AWS4-HMAC-SHA256 Credential=longhaul-sync.0a1b/20260101/us-east-1/ecs/aws4_request, Signature=0";
        let signed = parts(request("/?X-Amz-Credential=other%2Fx").header(AUTHORIZATION, signature));
        let key = &*key_of_request(&signed).unwrap();
        assert_eq!(key, "longhaul-sync.0a1b");
        assert_eq!(scope_of_request(&signed).unwrap(), "20260101/us-east-1/ecs/aws4_request");
        assert!(is_called(key, key) && is_called(key, "longhaul-sync") && !is_called(key, "longhaul"));
        let presigned =
            parts(request("/a?X-Amz-Credential=me.1%2F20260101%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=1"));
        assert_eq!(key_of_request(&presigned).unwrap(), "me.1");
        assert_eq!(scope_of_request(&presigned).unwrap(), "20260101/us-east-1/s3/aws4_request");
    }
}
