//! `sidecars`: other containers of a job's task.

use std::collections::BTreeSet;

use toml::Spanned;

use super::{
    Owner, image, unknown,
    variables::{environment, wrong_name},
};
use crate::{
    checker::{Checker, Table, Value},
    job::Sidecar,
};

/// The containers of every task: the job, and the one that copies Longhaul's worker into the task. See `deploy/jobs/tasks.py`.
pub(crate) const RESERVED: [&str; 2] = ["job", "longhaul-worker"];

/// Most sidecars of a job. A task definition has at most 10 containers
/// (<https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-quotas.html>).
pub(crate) const MOST: usize = 10 - RESERVED.len();

pub(super) fn sidecars<'i>(table: &mut Table<'i>, checker: &mut Checker<'i>) -> Vec<Sidecar> {
    let Some(value) = table.take("sidecars") else { return Vec::new() };
    let place = value.span();
    let values = checker.list(value, "sidecars").unwrap_or_default();
    if let Some(first) = values.get(MOST) {
        let place = if first.span().is_empty() { place } else { first.span() };
        checker.mistake(&place, format!("there are {} sidecars; a job has at most {MOST}", values.len()));
    }
    let mut names = BTreeSet::new();
    values.into_iter().filter_map(|value| sidecar(value, &mut names, checker)).collect()
}

fn sidecar<'i>(value: Value<'i>, names: &mut BTreeSet<String>, checker: &mut Checker<'i>) -> Option<Sidecar> {
    let mut table = checker.table(value, "a sidecar")?;
    let name = required(&mut table, "name", checker);
    if let Some(name) = &name
        && let Some(why) = wrong(name.get_ref(), names)
    {
        checker.mistake(&name.span(), why);
    }
    if let Some(name) = &name {
        names.insert(name.get_ref().clone());
    }
    let image = required(&mut table, "image", checker);
    if let Some(image) = &image
        && let Some(why) = wrong_image(image.get_ref())
    {
        checker.mistake(&image.span(), why);
    }
    let command = table.take("command").and_then(|value| checker.texts(value, "command")).unwrap_or_default();
    let environment = environment(&mut table, checker, wrong_name);
    unknown(table, Owner::Sidecar, checker);
    Some(Sidecar {
        name: name?.into_inner(),
        image: image?.into_inner(),
        command: command.into_iter().map(Spanned::into_inner).collect(),
        environment,
    })
}

fn required<'i>(table: &mut Table<'i>, field: &'static str, checker: &mut Checker<'i>) -> Option<Spanned<String>> {
    let value = table.take(field);
    if value.is_none() {
        checker.mistake(&table.place, format!("the sidecar needs `{field}`"));
    }
    checker.text(value?, field)
}

fn wrong_image(text: &str) -> Option<String> {
    if text.starts_with(image::BUILD) {
        return Some("the image of a sidecar is not built; push it to a registry, and write its reference".to_owned());
    }
    image::reference(text).err()
}

/// What is wrong with a container's name
/// (<https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ContainerDefinition.html>, `name`).
fn wrong(name: &str, earlier: &BTreeSet<String>) -> Option<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if !(1..=255).contains(&name.len()) || !name.chars().all(plain) {
        return Some("the name of a sidecar has 1 to 255 letters, digits, '-' and '_'".to_owned());
    }
    if RESERVED.contains(&name) {
        return Some(format!("`{name}` is one of Longhaul's own containers; choose another name"));
    }
    earlier.contains(name).then(|| format!("`{name}` is the name of two sidecars; choose another name"))
}
