//! What a request may change in its job: CPU, memory and environment variables, as far as the job allows it.

use std::{collections::BTreeMap, fmt};

use crate::{TaskSize, Violation, limits, pointer_to, variable};

/// The values that a request gives instead of its job's own.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Overrides {
    /// CPU units.
    pub cpu: Option<u32>,
    /// Memory, in MiB.
    pub memory: Option<u32>,
    /// Environment variables, by name. The values may be secrets: they are never logged, and the API does not return them.
    pub environment: BTreeMap<String, String>,
}

/// Without the values of the variables, which may be secrets.
impl fmt::Debug for Overrides {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cpu, memory, environment } = self;
        let names: Vec<_> = environment.keys().collect();
        f.debug_struct("Overrides").field("cpu", cpu).field("memory", memory).field("environment", &names).finish()
    }
}

/// What the requests of a job may override.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowed<'a> {
    /// The names of environment variables.
    pub environment: &'a [String],
    /// Whether the CPU units.
    pub cpu: bool,
    /// Whether the memory.
    pub memory: bool,
    /// The job's own size, if its catalog entry has it.
    pub size: Option<TaskSize>,
}

impl Overrides {
    /// Whether the job is run as it is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.cpu.is_none() && self.memory.is_none() && self.environment.is_empty()
    }

    /// What is wrong with the overrides, whatever the job allows.
    pub(crate) fn violations(&self) -> Vec<Violation> {
        let mut found = Vec::new();
        let variables = self.environment.len();
        if variables > limits::VARIABLES {
            let detail = format!("has {variables} variables, at most {} are allowed", limits::VARIABLES);
            found.push(violation("too-many-variables", "/environment".to_owned(), detail));
        }
        let bytes = serde_json::to_string(&self.environment).map_or(usize::MAX, |text| text.len());
        if bytes > limits::VARIABLES_BYTES {
            let most = limits::VARIABLES_BYTES;
            let detail =
                format!("has {bytes} bytes as JSON, at most {most} are allowed; send larger values in the input");
            found.push(violation("environment-too-large", "/environment".to_owned(), detail));
        }
        for (name, value) in &self.environment {
            let detail = if let Some(why) = variable::wrong(name) {
                why
            } else if value.contains('\0') {
                "contains a null character, which no environment variable can have".to_owned()
            } else {
                continue;
            };
            found.push(violation("invalid-variable", format!("/environment{}", pointer_to(name)), detail));
        }
        found
    }

    /// What the job does not allow. `job` is its name.
    #[must_use]
    pub fn violations_of(&self, allowed: &Allowed<'_>, job: &str) -> Vec<Violation> {
        let mut found = Vec::new();
        // A name that no job can allow is a violation already.
        let refused = |name: &&String| !allowed.environment.contains(name) && variable::wrong(name).is_none();
        for name in self.environment.keys().filter(refused) {
            let detail = match allowed.environment {
                [] => format!("cannot be set: the job {job} allows no environment variables in a request"),
                some => format!("cannot be set: the job {job} allows only {}", some.join(", ")),
            };
            found.push(violation(OVERRIDE_NOT_ALLOWED, format!("/environment{}", pointer_to(name)), detail));
        }
        let cpu = (CPU, self.cpu, allowed.cpu);
        let memory = (MEMORY, self.memory, allowed.memory);
        for (pointer, ..) in [cpu, memory].into_iter().filter(|(_, given, allowed)| given.is_some() && !allowed) {
            let only = match (allowed.cpu, allowed.memory) {
                (true, false) => "allows a request to override only cpu",
                (false, true) => "allows a request to override only memoryMiB",
                _ => "does not allow a request to override its resources",
            };
            found.push(violation(
                OVERRIDE_NOT_ALLOWED,
                pointer.to_owned(),
                format!("cannot be set: the job {job} {only}"),
            ));
        }
        if found.iter().all(|violation| violation.pointer != CPU && violation.pointer != MEMORY) {
            found.extend(self.size_violation(allowed.size));
        }
        found
    }

    /// The size of the task of a job with this size; `None` if neither says it.
    #[must_use]
    pub fn size(&self, own: Option<TaskSize>) -> Option<TaskSize> {
        let cpu = self.cpu.or(own.map(|own| own.cpu))?;
        let memory = self.memory.or(own.map(|own| own.memory))?;
        Some(TaskSize { cpu, memory })
    }

    /// Why Fargate has no task of this size. It points to the member that the request gives.
    fn size_violation(&self, own: Option<TaskSize>) -> Option<Violation> {
        let size = self.size(own)?;
        let wrong_cpu = size.wrong_cpu().filter(|_| self.cpu.is_some());
        let (pointer, why) = match (self.cpu, self.memory) {
            (None, None) => return None,
            (Some(cpu), None) if wrong_cpu.is_none() => {
                let (allowed, memory) = (size.other_memory()?, size.memory);
                let why = format!(
                    "is {cpu}, but the job's memory is {memory} MiB; with this cpu, memoryMiB must be {allowed}"
                );
                (CPU, why)
            }
            _ => match wrong_cpu {
                Some(why) => (CPU, why),
                None => (MEMORY, size.wrong_memory()?),
            },
        };
        Some(violation(TASK_SIZE, pointer.to_owned(), why))
    }
}

/// The rule that a request violates if it overrides what its job does not allow.
pub const OVERRIDE_NOT_ALLOWED: &str = "override-not-allowed";
/// The rule that a request violates if Fargate has no task of the size that results.
pub const TASK_SIZE: &str = "task-size";

const CPU: &str = "/resources/cpu";
const MEMORY: &str = "/resources/memoryMiB";

fn violation(rule: &'static str, pointer: String, detail: String) -> Violation {
    Violation { pointer, detail, rule }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: TaskSize = TaskSize { cpu: 512, memory: 1_024 };

    fn environment(pairs: &[(&str, &str)]) -> Overrides {
        let environment = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Overrides { environment, ..Overrides::default() }
    }

    fn size(cpu: Option<u32>, memory: Option<u32>) -> Overrides {
        Overrides { cpu, memory, ..Overrides::default() }
    }

    fn found(violations: Vec<Violation>) -> Vec<(String, &'static str, String)> {
        violations.into_iter().map(|found| (found.pointer, found.rule, found.detail)).collect()
    }

    #[track_caller]
    fn refused(overrides: &Overrides, allowed: &Allowed<'_>, pointer: &str, rule: &str, detail: &str) {
        let found = found(overrides.violations_of(allowed, "etl"));
        let found: Vec<_> = found.iter().map(|(pointer, rule, detail)| (&**pointer, *rule, &**detail)).collect();
        assert_eq!(found, [(pointer, rule, detail)]);
    }

    #[test]
    fn only_what_the_job_allows_may_be_overridden() {
        let names = ["DEBUG".to_owned(), "LEVEL".to_owned()];
        let all = Allowed { environment: &names, cpu: true, memory: true, size: Some(OWN) };
        let none = Allowed { environment: &[], cpu: false, memory: false, size: Some(OWN) };
        let everything = Overrides { cpu: Some(1_024), memory: Some(2_048), ..environment(&[("DEBUG", "1")]) };
        assert_eq!(everything.violations_of(&all, "etl"), []);
        assert_eq!(Overrides::default().violations_of(&none, "etl"), []);
        let rule = "override-not-allowed";
        let detail = "cannot be set: the job etl allows only DEBUG, LEVEL";
        refused(&environment(&[("DEBUG", "1"), ("debug", "secret")]), &all, "/environment/debug", rule, detail);
        let detail = "cannot be set: the job etl allows no environment variables in a request";
        refused(&environment(&[("DEBUG", "1")]), &none, "/environment/DEBUG", rule, detail);
        let detail = "cannot be set: the job etl does not allow a request to override its resources";
        refused(&size(Some(1_024), None), &none, "/resources/cpu", rule, detail);
        refused(&size(None, Some(2_048)), &none, "/resources/memoryMiB", rule, detail);
        let only = Allowed { memory: false, ..all };
        let detail = "cannot be set: the job etl allows a request to override only cpu";
        refused(&size(Some(1_024), Some(2_048)), &only, "/resources/memoryMiB", rule, detail);
    }

    #[test]
    fn the_size_that_results_must_be_one_that_fargate_has() {
        let all = Allowed { environment: &[], cpu: true, memory: true, size: Some(OWN) };
        for good in [size(None, Some(4_096)), size(Some(256), None), size(Some(1_024), Some(8_192))] {
            assert_eq!(good.violations_of(&all, "etl"), [], "{good:?}");
        }
        let detail = "is 300; it must be one of 256, 512, 1024, 2048, 4096, 8192, 16384";
        refused(&size(Some(300), None), &all, "/resources/cpu", "task-size", detail);
        let detail = "is 2048, but the job's memory is 1024 MiB; with this cpu, memoryMiB must be from 4096 to 16384 in steps of 1024";
        refused(&size(Some(2_048), None), &all, "/resources/cpu", "task-size", detail);
        let detail = "is 8192; with cpu 512 it must be from 1024 to 4096 in steps of 1024";
        refused(&size(None, Some(8_192)), &all, "/resources/memoryMiB", "task-size", detail);
    }

    #[test]
    fn variables_have_limits() {
        let rules = |overrides: &Overrides| {
            let found = found(overrides.violations());
            found.into_iter().map(|(pointer, rule, _)| (pointer, rule)).collect::<Vec<_>>()
        };
        let many = |count: usize| {
            let environment = (0..count).map(|n| (format!("V{n}"), String::new())).collect();
            Overrides { environment, ..Overrides::default() }
        };
        assert_eq!(rules(&many(20)), []);
        assert_eq!(rules(&many(21)), [("/environment".to_owned(), "too-many-variables")]);
        // {"A":"…"}
        let long = |bytes: usize| environment(&[("A", &"x".repeat(bytes - 8))]);
        assert_eq!(rules(&long(1_536)), []);
        assert_eq!(rules(&long(1_537)), [("/environment".to_owned(), "environment-too-large")]);
        for name in ["AWS_REGION", "EXECUTION_ID", "1A", "a-b", ""] {
            let pointer = format!("/environment/{name}");
            assert_eq!(rules(&environment(&[(name, "")])), [(pointer, "invalid-variable")], "{name}");
        }
        let null = environment(&[("A", "secret\0")]);
        assert_eq!(rules(&null), [("/environment/A".to_owned(), "invalid-variable")]);
        assert!(!format!("{null:?} {:?}", null.violations()).contains("secret"));
    }
}
