//! The output files of a job: everything in `EXECUTION_OUTPUT_DIR`, and a result that is too large for the item.

use crate::{Digest, Unknown, limits};

/// The name of the artifact for a result that is too large for the item.
pub const RESULT: &str = "result.json";

/// How much of a name that is too long an error shows, in characters.
const NAME_CHARS_SHOWN: usize = 60;

/// The artifacts of an execution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifacts {
    /// A random name that the worker chose, so that the artifacts of two tasks never have the same keys. See [`is_place`].
    pub place: String,
    /// The files, sorted by name.
    pub files: Vec<Artifact>,
    /// Attributes that a newer version of this code stored.
    pub unknown: Unknown,
}

/// An output file of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    /// Its path below `EXECUTION_OUTPUT_DIR`, with `/` between its parts.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// Its SHA-256.
    pub sha256: Digest,
    /// Attributes that a newer version of this code stored.
    pub unknown: Unknown,
}

/// Whether a worker could have chosen this place.
#[must_use]
pub fn is_place(place: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte) || byte == b'-';
    (1..=40).contains(&place.len()) && place.bytes().all(plain)
}

/// Why a file cannot be an artifact of this name; `None` if it can.
#[must_use]
pub fn wrong_name(name: &str) -> Option<String> {
    let most = limits::ARTIFACT_NAME_BYTES;
    if name.len() > most {
        let start: String = name.chars().take(NAME_CHARS_SHOWN).collect();
        return Some(format!("a name that begins with {start:?} has more than {most} bytes; use shorter names"));
    }
    let plain = |part: &str| !matches!(part, "" | "." | "..");
    let wrong = !name.split('/').all(plain) || name.chars().any(char::is_control) || name.contains('\\');
    wrong.then(|| format!("the name {name:?} has a control character, a backslash or an empty part; use another name"))
}

/// Why files of these names and sizes cannot be the artifacts of one execution; `None` if they can.
#[must_use]
pub fn wrong_files<'a>(files: impl IntoIterator<Item = (&'a str, u64)>) -> Option<String> {
    let (mut count, mut names) = (0_usize, 0_usize);
    for (name, bytes) in files {
        count += 1;
        names += name.len();
        if let Some(why) = wrong_name(name) {
            return Some(why);
        }
        if bytes > limits::FILE_BYTES {
            let most = limits::FILE_BYTES;
            return Some(format!("{name:?} has {bytes} bytes, at most {most} are allowed"));
        }
    }
    if count > limits::ARTIFACTS {
        return Some(format!(
            "there are {count} files, at most {} are allowed; pack them into an archive",
            limits::ARTIFACTS
        ));
    }
    let most = limits::ARTIFACT_NAMES_BYTES;
    (names > most).then(|| {
        format!(
            "the file names have {names} bytes in total, at most {most} are allowed; pack the files into an archive"
        )
    })
}

impl Artifacts {
    /// Why no worker could have written these; `None` if one could.
    #[must_use]
    pub fn wrong(&self) -> Option<String> {
        if !is_place(&self.place) {
            return Some("the place of the artifacts is not valid".to_owned());
        }
        let unique = self.files.windows(2).all(|pair| matches!(pair, [one, next] if one.name < next.name));
        if !unique {
            return Some("the artifacts are not sorted, or two have the same name".to_owned());
        }
        wrong_files(self.files.iter().map(|file| (file.name.as_str(), file.bytes)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_relative_path_without_surprises() {
        for name in ["a", "a b/ü.txt", "a/b/c", ".hidden", "a..b"] {
            assert_eq!(wrong_name(name), None, "{name}");
        }
        for name in
            ["", "/a", "a/", "a//b", "../a", "a/./b", "a\nb", "a\\b", &"x".repeat(limits::ARTIFACT_NAME_BYTES + 1)]
        {
            assert!(wrong_name(name).is_some(), "{name}");
        }
    }

    #[test]
    fn the_limits_of_artifacts_are_checked_together() {
        let files = |count: usize, bytes| (0..count).map(move |n| (format!("{n:04}"), bytes)).collect::<Vec<_>>();
        let wrong = |files: &[(String, u64)]| wrong_files(files.iter().map(|(name, bytes)| (name.as_str(), *bytes)));
        assert_eq!(wrong(&files(limits::ARTIFACTS, limits::FILE_BYTES)), None);
        assert!(wrong(&files(limits::ARTIFACTS + 1, 1)).unwrap().contains("pack them into an archive"));
        assert!(wrong(&files(1, limits::FILE_BYTES + 1)).unwrap().contains("at most 5368709120 are allowed"));
        let long: Vec<_> = (0..limits::ARTIFACTS).map(|n| (format!("{n:0>250}"), 1)).collect();
        assert!(wrong(&long).unwrap().contains("bytes in total"));
    }

    #[test]
    fn what_no_worker_writes_is_refused() {
        let file =
            |name: &str| Artifact { name: name.into(), bytes: 1, sha256: [0; 32].into(), unknown: Unknown::default() };
        let artifacts = |place: &str, names: &[&str]| Artifacts {
            place: place.into(),
            files: names.iter().map(|name| file(name)).collect(),
            unknown: Unknown::default(),
        };
        assert_eq!(artifacts("0f-1a", &["a", "b"]).wrong(), None);
        for (place, names) in [
            ("", ["a", "b"]),
            ("..", ["a", "b"]),
            ("a/b", ["a", "b"]),
            ("0f", ["b", "a"]),
            ("0f", ["a", "a"]),
            ("0f", ["../a", "b"]),
        ] {
            assert!(artifacts(place, &names).wrong().is_some(), "{place} {names:?}");
        }
    }
}
