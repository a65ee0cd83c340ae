//! Warns of files that a `build:` image would contain by accident: the values of secrets, and the data of the local stack.

use std::{
    collections::BTreeMap,
    fs,
    path::{Component, Path, PathBuf},
};

use crate::{Image, Jobs, Place, Places};

/// What does not belong in an image: the file with the values of secrets, and the local stack's directory.
const PRIVATE: [&str; 2] = [".env", ".local"];

/// Warnings about the folders that images of these jobs are built from, with the place of the first job of each.
pub(crate) fn warnings(file: &Path, jobs: &Jobs, places: &Places) -> Vec<String> {
    let mut folders: BTreeMap<&str, Option<&Place>> = BTreeMap::new();
    for (name, job) in jobs {
        if let Some(Image::Build(folder)) = &job.image {
            let place = folders.entry(folder).or_default();
            let here = places.get(name);
            if place.is_none_or(|place| here.is_some_and(|here| here.line < place.line)) {
                *place = here;
            }
        }
    }
    let home = file.parent().unwrap_or(Path::new(""));
    let warning = |(folder, place): (&str, Option<&Place>)| {
        let private = private(&home.join(folder), home);
        let names = private.iter().map(|path| format!("`{}`", path.display())).collect::<Vec<_>>().join(" and ");
        let place = place.map_or_else(String::new, |place| format!("{place}: "));
        (!private.is_empty()).then(|| {
            format!(
                "{place}warning: the image is built from the folder `{folder}`, which contains {names}. `COPY . .` would put that into the \
                 image: name it in `{folder}/.dockerignore`"
            )
        })
    };
    folders.into_iter().filter_map(warning).collect()
}

/// What does not belong in an image, in a folder or, if that is in the folder, beside the job file. Without what `.dockerignore` excludes.
fn private(folder: &Path, home: &Path) -> Vec<PathBuf> {
    let ignored = Ignored::of(&fs::read_to_string(folder.join(".dockerignore")).unwrap_or_default());
    let below = || {
        let home = fs::canonicalize(if home.as_os_str().is_empty() { Path::new(".") } else { home }).ok()?;
        Some(home.strip_prefix(fs::canonicalize(folder).ok()?).ok()?.to_owned())
    };
    let mut places = vec![PathBuf::new()];
    places.extend(below().filter(|below| !below.as_os_str().is_empty()));
    let paths = places.iter().flat_map(|place| PRIVATE.map(|name| place.join(name)));
    paths.filter(|path| is_sent(folder, path, &ignored)).collect()
}

/// Whether a build would have this file, or anything in this directory.
fn is_sent(folder: &Path, path: &Path, ignored: &Ignored) -> bool {
    let full = folder.join(path);
    match fs::read_dir(&full) {
        Ok(entries) => entries.flatten().any(|entry| !ignored.has(&path.join(entry.file_name()))),
        Err(_) => full.is_file() && !ignored.has(path),
    }
}

/// The patterns of a `.dockerignore` (<https://docs.docker.com/build/concepts/context/#dockerignore-files>), except for `[…]` and escapes,
/// which stand for themselves here. The last one that matches a path or one of its parents decides.
struct Ignored(Vec<(bool, Vec<String>)>);

impl Ignored {
    fn of(text: &str) -> Self {
        let pattern = |line: &str| {
            let line = line.trim();
            let (excludes, pattern) = line.strip_prefix('!').map_or((true, line), |again| (false, again.trim()));
            let parts = pattern.split('/').filter(|part| !part.is_empty() && *part != ".");
            let parts: Vec<_> = parts.map(str::to_owned).collect();
            (!line.starts_with('#') && !parts.is_empty()).then_some((excludes, parts))
        };
        Self(text.trim_start_matches('\u{feff}').lines().filter_map(pattern).collect())
    }

    fn has(&self, path: &Path) -> bool {
        let part = |part: Component<'_>| part.as_os_str().to_string_lossy().into_owned();
        let path: Vec<_> = path.components().map(part).collect();
        let last = self.0.iter().rfind(|(_, pattern)| matches(pattern, &path));
        last.is_some_and(|(excludes, _)| *excludes)
    }
}

/// Whether a pattern matches a path or one of its parents.
fn matches(pattern: &[String], path: &[String]) -> bool {
    match (pattern.split_first(), path.split_first()) {
        (None, _) => true,
        (Some((first, rest)), _) if first == "**" => {
            matches(rest, path) && !(rest.is_empty() && path.is_empty())
                || path.split_first().is_some_and(|(_, below)| matches(pattern, below))
        }
        (Some((first, rest)), Some((name, below))) => matches_name(first, name) && matches(rest, below),
        (Some(_), None) => false,
    }
}

/// Whether a pattern with `*` and `?` matches a name.
fn matches_name(pattern: &str, name: &str) -> bool {
    let mut characters = pattern.chars();
    match characters.next() {
        None => name.is_empty(),
        Some('*') => {
            let rest = characters.as_str();
            let ends = name.char_indices().map(|(at, _)| at).chain([name.len()]);
            ends.filter_map(|at| name.get(at..)).any(|end| matches_name(rest, end))
        }
        Some(expected) => {
            let mut name = name.chars();
            name.next().is_some_and(|found| expected == '?' || expected == found)
                && matches_name(characters.as_str(), name.as_str())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read;

    fn folder(dockerignore: Option<&str>) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        fs::create_dir_all(path.join("job/.local")).unwrap();
        fs::create_dir_all(path.join(".local")).unwrap();
        for file in ["Dockerfile", ".env", ".local/data", "job/Dockerfile"] {
            fs::write(path.join(file), "").unwrap();
        }
        if let Some(text) = dockerignore {
            fs::write(path.join(".dockerignore"), text).unwrap();
        }
        folder
    }

    fn warned(folder: &tempfile::TempDir, file: &str, image: &str) -> Vec<String> {
        let file = folder.path().join(file);
        let job = |name: &str| format!("[jobs.{name}]\ncommand = [\"x\"]\nimage = \"build:{image}\"\n");
        fs::write(&file, job("b") + &job("a")).unwrap();
        let source = read(&file);
        let warnings = warnings(&file, &source.jobs.unwrap(), &source.places);
        let prefix = format!("{}/", folder.path().display());
        warnings.iter().map(|warning| warning.strip_prefix(&prefix).unwrap().to_owned()).collect()
    }

    #[test]
    fn private_files_in_the_folder_of_an_image_are_warned_of_once() {
        let all = "longhaul.toml:1:7: warning: the image is built from the folder `.`, which contains `.env` and `.local`. `COPY . .` would \
                   put that into the image: name it in `./.dockerignore`";
        assert_eq!(warned(&folder(None), "longhaul.toml", "."), [all]);
        assert_eq!(warned(&folder(None), "longhaul.toml", "job"), [""; 0], "an empty directory");
        let folder = folder(None);
        fs::write(folder.path().join("job/.env"), "").unwrap();
        let above = warned(&folder, "job/longhaul.toml", "..");
        assert!(above.len() == 1 && above[0].contains("contains `.env` and `.local` and `job/.env`"), "{above:?}");
    }

    #[test]
    fn what_dockerignore_excludes_is_not_warned_of() {
        for (text, left) in [
            (".env\n.local\n", ""),
            ("# secrets\n/.env\r\n./.local/", ""),
            ("*\n!job.py", ""),
            ("**/.env\n.local/**", ""),
            (".*", ""),
            (".en?\n.local/*", ""),
            (".env", "`.local`"),
            ("#.env\n.local/data", "`.env`"),
            ("*\n!.env", "`.env`"),
            ("x/.env\n.envs\n.local", "`.env`"),
            ("**/.local\n**", ""),
        ] {
            let warnings = warned(&folder(Some(text)), "longhaul.toml", ".");
            match left {
                "" => assert_eq!(warnings, [""; 0], "{text}"),
                left => assert!(warnings[0].contains(&format!("contains {left}. ")), "{text}: {warnings:?}"),
            }
        }
    }
}
