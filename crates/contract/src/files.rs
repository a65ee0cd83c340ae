//! Files in S3: how items and reports describe them, and the keys of their objects. All of these outlive a deployment.

use domain::{Artifact, Artifacts, Digest, Execution, Owner, Unknown, Upload, UploadId, limits, upload::Keep};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};

use crate::written::{self, Written, as_text, from_text, in_form};

in_form! {
    Upload => UploadForm,
    Artifacts => ArtifactsForm,
    Artifact => ArtifactForm,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Upload")]
struct UploadForm {
    #[serde(with = "written")]
    id: UploadId,
    bytes: u64,
    #[serde(with = "written")]
    sha256: Digest,
    #[serde(flatten, with = "written")]
    unknown: Unknown,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Artifacts")]
struct ArtifactsForm {
    place: String,
    #[serde(with = "written")]
    files: Vec<Artifact>,
    #[serde(flatten, with = "written")]
    unknown: Unknown,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Artifact")]
struct ArtifactForm {
    name: String,
    bytes: u64,
    #[serde(with = "written")]
    sha256: Digest,
    #[serde(flatten, with = "written")]
    unknown: Unknown,
}

impl Written for UploadId {
    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        as_text(self, serializer)
    }

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        from_text(deserializer, |text| text.parse::<Self>())
    }
}

impl Written for Digest {
    fn write<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        as_text(self, serializer)
    }

    fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        from_text(deserializer, |text| text.parse::<Self>())
    }
}

/// The key of an upload's object. Its prefix says how long the object is kept, because the bucket's lifecycle rules apply to prefixes. It
/// contains a hash of the upload's owner, so that a caller cannot name another caller's upload. It cannot be guessed, because every task
/// may read all uploads.
#[must_use]
pub fn upload_key(owner: &Owner, id: &UploadId) -> String {
    let hash = Digest::from(<[u8; 32]>::from(Sha256::digest(owner.to_string()))).to_string();
    let owner = hash.get(..32).unwrap_or(&hash);
    format!("{}{owner}/{}", uploads_kept(id.keep()), id.random())
}

/// The key prefix of uploads that are kept for this long.
#[must_use]
pub fn uploads_kept(keep: Keep) -> String {
    format!("uploads/{}/", keep.days())
}

/// The key prefix of all artifacts, which are kept for [`limits::ARTIFACTS_KEPT`].
pub const OUTPUTS: &str = "outputs/";

/// The key prefix of an execution's artifacts. It contains the random name of the execution's creation, so that a task, whose role may
/// write all artifacts, cannot guess the keys of another execution.
///
/// `None` if an older version created the execution, without such a name.
#[must_use]
pub fn outputs_of(execution: &Execution) -> Option<String> {
    execution.creation.as_ref().map(|creation| format!("{OUTPUTS}{creation}/"))
}

/// The key of an artifact's object, below the `outputs` of its execution.
#[must_use]
pub fn artifact_key(outputs: &str, place: &str, name: &str) -> String {
    format!("{outputs}{place}/{name}")
}

/// Key prefixes, and how many days their objects are kept: the lifecycle rules of the bucket.
#[must_use]
pub fn kept_days() -> [(String, u32); 3] {
    let artifacts = u32::try_from(limits::ARTIFACTS_KEPT.as_secs() / 86_400).unwrap_or(u32::MAX);
    let [short, long] = Keep::ALL.map(|keep| (uploads_kept(keep), keep.days()));
    [short, long, (OUTPUTS.to_owned(), artifacts)]
}

/// An object as it is named in a task's variables: the bucket and the key, or a key prefix.
#[must_use]
pub fn object_name(bucket: &str, key: &str) -> String {
    format!("{bucket}/{key}")
}

/// The bucket and the key of [`object_name`].
#[must_use]
pub fn read_object_name(name: &str) -> Option<(&str, &str)> {
    name.split_once('/').filter(|(bucket, key)| !bucket.is_empty() && !key.is_empty())
}

#[cfg(test)]
mod tests {
    use domain::{Json, Pattern, Request, artifacts};
    use jiff::Timestamp;

    use super::*;
    use crate::written::As;

    /// The bucket's lifecycle rules, the policies of roles and existing objects depend on them.
    #[test]
    fn the_names_of_objects_never_change() {
        let owner = Owner::new("jwt:ada");
        let id = UploadId::new(Keep::Short, [0xab; 16]);
        let hash = "75c46cd869b1c1772d877003bf4ea8c3";
        assert_eq!(upload_key(&owner, &id), format!("uploads/35/{hash}/{}", "ab".repeat(16)));
        let request = Request::of(Json::null());
        let new = Execution::new("e1".parse().unwrap(), Pattern::Sync, owner, request, Timestamp::UNIX_EPOCH);
        assert_eq!(outputs_of(&new), None);
        let named = Execution { creation: Some("0b9f8a3e".into()), ..new };
        let outputs = outputs_of(&named).unwrap();
        assert_eq!(artifact_key(&outputs, "1f", "a/b.csv"), "outputs/0b9f8a3e/1f/a/b.csv");
        let kept = kept_days().map(|(prefix, days)| format!("{prefix} {days}"));
        assert_eq!(kept, ["uploads/35/ 35", "uploads/400/ 400", "outputs/ 32"]);
        assert_eq!(read_object_name(&object_name("bucket", &outputs)), Some(("bucket", &*outputs)));
        assert_eq!(read_object_name("bucket"), None);
        assert_eq!(artifacts::RESULT, "result.json");
    }

    #[test]
    fn files_are_always_written_in_the_same_form() {
        let sha256 = format!("\"sha256\":\"{}\"", "0a".repeat(32));
        let upload = format!(r#"{{"id":"35-{}","bytes":7,{sha256}}}"#, "0".repeat(32));
        let artifacts = format!(r#"{{"place":"1f","files":[{{"name":"a","bytes":7,{sha256},"new":1}}],"newer":[2]}}"#);
        let read: As<Upload> = serde_json::from_str(&upload).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), upload);
        let read: As<Artifacts> = serde_json::from_str(&artifacts).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), artifacts);
    }
}
