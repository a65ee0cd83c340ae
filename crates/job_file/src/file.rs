//! Reads the file.

use std::{collections::BTreeMap, ops::Range, time::Duration};

use domain::{TaskSize, limits};
use jiff::SignedDuration;
use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;

use crate::{Job, Jobs, Mistake, Mistakes, STOP_TIMEOUT};

/// What Fargate allows (<https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ContainerDefinition.html>, `stopTimeout`).
const LONGEST_STOP_TIMEOUT: Duration = Duration::from_mins(2);

/// Longest description, in characters.
const DESCRIPTION_CHARS: usize = 500;

/// Environment variables, with their places in the file.
type Variables = BTreeMap<Spanned<String>, Spanned<String>>;

/// The jobs of a Longhaul installation.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "longhaul.toml")]
pub(crate) struct File {
    /// What every job has that does not say otherwise.
    #[serde(default)]
    defaults: Defaults,
    /// The jobs, by name. A name has 1 to 64 letters, digits, `-` and `_`.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, Entry>")]
    jobs: BTreeMap<Spanned<String>, Spanned<Entry>>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Defaults {
    /// CPU units: 256, 512, 1024, 2048, 4096, 8192 or 16384; 1024 are one virtual processor. 256 if absent.
    #[schemars(with = "Option<u32>")]
    cpu: Option<Spanned<u32>>,
    /// Memory in MiB, as much as Fargate has with these CPU units; 512 if absent.
    #[schemars(with = "Option<u32>")]
    memory: Option<Spanned<u32>>,
    /// Environment variables of every job. A job's own take precedence.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, String>")]
    environment: Variables,
    /// How long an execution may take if its request does not say, for example `"90s"` or `"2h 30m"`; at most a year, 24 h if absent.
    #[schemars(with = "Option<String>")]
    timeout: Option<Spanned<String>>,
    /// How long a task has to end after SIGTERM: whole seconds, from 2 s to 120 s; 30 s if absent.
    #[schemars(with = "Option<String>")]
    stop_timeout: Option<Spanned<String>>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Entry {
    /// What the job does, for people; at most 500 characters.
    #[schemars(with = "Option<String>")]
    description: Option<Spanned<String>>,
    /// The program and its arguments, for example `["python3", "wordcount.py"]`. No shell runs it; for one, write `["sh", "-c", "…"]`.
    #[schemars(with = "Vec<String>")]
    command: Spanned<Vec<String>>,
    /// CPU units: 256, 512, 1024, 2048, 4096, 8192 or 16384; 1024 are one virtual processor.
    #[schemars(with = "Option<u32>")]
    cpu: Option<Spanned<u32>>,
    /// Memory in MiB, as much as Fargate has with these CPU units.
    #[schemars(with = "Option<u32>")]
    memory: Option<Spanned<u32>>,
    /// Environment variables.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, String>")]
    environment: Variables,
    /// How long an execution may take if its request does not say, for example `"90s"` or `"2h 30m"`; at most a year.
    #[schemars(with = "Option<String>")]
    timeout: Option<Spanned<String>>,
    /// How long a task has to end after SIGTERM: whole seconds, from 2 s to 120 s.
    #[schemars(with = "Option<String>")]
    stop_timeout: Option<Spanned<String>>,
}

/// Reads the text of a file. `name` is what messages call it.
///
/// # Errors
///
/// [`Mistakes`]: all of them, or the first one if the text cannot be parsed.
pub fn read(name: &str, text: &str) -> Result<Jobs, Mistakes> {
    let mistakes = |all| Mistakes { file: name.to_owned(), all };
    let file: File = toml::from_str(text).map_err(|why| {
        let place = why.span().unwrap_or_default();
        mistakes(vec![Mistake::at(text, &place, why.message())])
    })?;
    let mut reader = Reader { text, mistakes: Vec::new() };
    let jobs = reader.jobs(file);
    reader.mistakes.sort_by_key(|mistake| (mistake.line, mistake.column));
    // A mistake in a default is found again for each job that has it.
    reader.mistakes.dedup();
    if reader.mistakes.is_empty() { Ok(jobs) } else { Err(mistakes(reader.mistakes)) }
}

/// Checks what the file says, and collects mistakes.
struct Reader<'a> {
    text: &'a str,
    mistakes: Vec<Mistake>,
}

impl Reader<'_> {
    fn mistake(&mut self, place: &Range<usize>, what: impl Into<String>) {
        self.mistakes.push(Mistake::at(self.text, place, what));
    }

    fn jobs(&mut self, file: File) -> Jobs {
        let File { defaults, jobs } = file;
        let shared = self.variables(&defaults.environment);
        // Also if no job uses them.
        self.timeout(defaults.timeout.as_ref());
        self.stop_timeout(defaults.stop_timeout.as_ref());
        let jobs = jobs.into_iter().map(|(name, entry)| {
            if let Some(why) = wrong_name(name.get_ref()) {
                self.mistake(&name.span(), why);
            }
            let job = self.job(&entry.span(), entry.get_ref(), &defaults, &shared);
            (name.into_inner(), job)
        });
        jobs.collect()
    }

    fn job(
        &mut self,
        place: &Range<usize>,
        entry: &Entry,
        defaults: &Defaults,
        shared: &BTreeMap<String, String>,
    ) -> Job {
        if let Some(description) = &entry.description
            && description.get_ref().chars().count() > DESCRIPTION_CHARS
        {
            self.mistake(&description.span(), format!("a description has at most {DESCRIPTION_CHARS} characters"));
        }
        let command = entry.command.get_ref();
        if command.first().is_none_or(|program| program.trim().is_empty()) {
            self.mistake(&entry.command.span(), "the command needs a program, for example [\"python3\", \"job.py\"]");
        }
        let mut environment = shared.clone();
        environment.extend(self.variables(&entry.environment));
        let or = |own: &Option<Spanned<String>>, default: &Option<Spanned<String>>| own.clone().or(default.clone());
        Job {
            description: entry.description.as_ref().map(|text| text.get_ref().clone()),
            command: command.clone(),
            environment,
            size: self.size(place, entry, defaults),
            timeout: self.timeout(or(&entry.timeout, &defaults.timeout).as_ref()),
            stop_timeout: self.stop_timeout(or(&entry.stop_timeout, &defaults.stop_timeout).as_ref()),
        }
    }

    /// The size of a job's task. A mistake is told where the job's or else the file's value is.
    fn size(&mut self, place: &Range<usize>, entry: &Entry, defaults: &Defaults) -> TaskSize {
        let cpu = entry.cpu.as_ref().or(defaults.cpu.as_ref());
        let memory = entry.memory.as_ref().or(defaults.memory.as_ref());
        let size = TaskSize {
            cpu: cpu.map_or(TaskSize::SMALLEST.cpu, |cpu| *cpu.get_ref()),
            memory: memory.map_or(TaskSize::SMALLEST.memory, |memory| *memory.get_ref()),
        };
        let at = |value: Option<&Spanned<u32>>| value.map_or(place.clone(), Spanned::span);
        if let Some(why) = size.wrong_cpu() {
            self.mistake(&at(cpu), why);
        }
        if let Some(why) = size.wrong_memory() {
            self.mistake(&at(memory.or(cpu)), why);
        }
        size
    }

    fn variables(&mut self, given: &Variables) -> BTreeMap<String, String> {
        for name in given.keys() {
            if let Some(why) = wrong_variable(name.get_ref()) {
                self.mistake(&name.span(), why);
            }
        }
        given.iter().map(|(name, value)| (name.get_ref().clone(), value.get_ref().clone())).collect()
    }

    fn timeout(&mut self, given: Option<&Spanned<String>>) -> Duration {
        let longest = limits::TIMEOUT;
        self.duration(given, limits::DEFAULT_TIMEOUT, Duration::from_secs(1), longest, "timeout", "from 1s to 8760h")
    }

    fn stop_timeout(&mut self, given: Option<&Spanned<String>>) -> Duration {
        let (least, most) = (Duration::from_secs(2), LONGEST_STOP_TIMEOUT);
        self.duration(given, STOP_TIMEOUT, least, most, "stopTimeout", "from 2s to 120s, as Fargate allows")
    }

    fn duration(
        &mut self,
        given: Option<&Spanned<String>>,
        absent: Duration,
        least: Duration,
        most: Duration,
        what: &str,
        allowed: &str,
    ) -> Duration {
        let Some(given) = given else { return absent };
        let whole = |duration: &Duration| duration.subsec_nanos() == 0 && (least..=most).contains(duration);
        let read = given.get_ref().parse::<SignedDuration>().ok().and_then(|read| Duration::try_from(read).ok());
        read.filter(whole).unwrap_or_else(|| {
            let text = given.get_ref();
            self.mistake(&given.span(), format!("{what} is \"{text}\"; it must be whole seconds {allowed}"));
            absent
        })
    }
}

fn wrong_name(name: &str) -> Option<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let fits = (1..=limits::JOB_NAME_CHARS).contains(&name.chars().count()) && name.chars().all(plain);
    (!fits).then(|| "the name of a job has 1 to 64 letters, digits, '-' and '_'".to_owned())
}

/// Variables that Longhaul or AWS sets, by prefix. With other values, a worker could not report how its job ended.
const RESERVED: [&str; 6] = ["AWS_", "ECS_", "EXECUTION_", "EXECUTIONS_TABLE", "INPUT_TABLE", "REPORT_"];

fn wrong_variable(name: &str) -> Option<String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if name.is_empty() || !name.chars().all(plain) || name.starts_with(|c: char| c.is_ascii_digit()) {
        return Some("the name of a variable has letters, digits and `_`, and does not begin with a digit".to_owned());
    }
    if name == "EXECUTION_STOP_TIMEOUT" {
        return Some("use `stopTimeout` instead of the variable EXECUTION_STOP_TIMEOUT".to_owned());
    }
    let reserved = RESERVED.iter().any(|prefix| name.starts_with(prefix));
    reserved.then(|| format!("`{name}` is set by Longhaul or by AWS; choose another name"))
}

#[cfg(test)]
mod tests;
