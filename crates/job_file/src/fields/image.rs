//! `image`.

use std::path::Path;

use crate::{
    checker::{Checker, Table},
    job::Image,
};

/// What makes an image one that is built.
pub(crate) const BUILD: &str = "build:";

pub(super) fn image<'i>(table: &mut Table<'i>, checker: &mut Checker<'i>) -> Option<Image> {
    let given = checker.text(table.take("image")?, "image")?;
    let read = match given.get_ref().strip_prefix(BUILD) {
        Some(folder) => build(folder, checker).map(|()| Image::Build(folder.to_owned())),
        None => reference(given.get_ref()).map(|()| Image::Reference(given.get_ref().clone())),
    };
    read.map_err(|why| checker.mistake(&given.span(), why)).ok()
}

/// Whether the folder exists and has a Dockerfile.
fn build(folder: &str, checker: &mut Checker<'_>) -> Result<(), String> {
    if folder.trim().is_empty() || Path::new(folder).is_absolute() {
        return Err(format!(
            "image is \"{BUILD}{folder}\"; name a folder relative to this file, for example \"{BUILD}jobs/wordcount\""
        ));
    }
    let dockerfile = checker.path(&format!("{folder}/Dockerfile"));
    let why = match dockerfile.parent() {
        _ if dockerfile.is_file() => return Ok(()),
        Some(folder) if folder.is_dir() => "has no file named Dockerfile",
        _ => "does not exist; it is relative to this file",
    };
    Err(format!("image is built from the folder `{folder}`, which {why}"))
}

/// Whether this can be the reference of an image
/// (<https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ContainerDefinition.html>, `image`).
pub(super) fn reference(text: &str) -> Result<(), String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/' | ':' | '@');
    let parts = |c: char| matches!(c, '/' | ':' | '@');
    let fits =
        (1..=255).contains(&text.len()) && text.chars().all(plain) && text.split(parts).all(|part| !part.is_empty());
    if fits {
        return Ok(());
    }
    Err(format!(
        "image is \"{text}\"; it must be \"{BUILD}FOLDER\" or the reference of an image, for example \
         \"public.ecr.aws/docker/library/python:3.14\""
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_has_no_empty_part_and_no_other_characters() {
        let digest = format!("123456789012.dkr.ecr.eu-west-1.amazonaws.com/jobs/x@sha256:{}", "0".repeat(64));
        for right in ["python", "python:3.14", "localhost:5000/jobs/x_y:1.0-a", &digest] {
            assert_eq!(reference(right), Ok(()), "{right}");
        }
        for wrong in ["", "a b", "x:", "/x", "x//y", "x@", "https://example.com/x", "ä", &"a".repeat(256)] {
            assert!(reference(wrong).is_err(), "{wrong}");
        }
    }
}
