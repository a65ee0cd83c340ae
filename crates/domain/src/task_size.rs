//! The sizes that a task on Fargate can have
//! (<https://docs.aws.amazon.com/AmazonECS/latest/developerguide/fargate-tasks-services.html#fargate-tasks-size>).

/// The size of a task on Fargate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TaskSize {
    /// In units of 1/1024 of a virtual processor.
    pub cpu: u32,
    /// In MiB.
    pub memory: u32,
}

/// CPU units, and the memory that goes with them: the least, the most and the step between, in MiB.
const SIZES: [(u32, u32, u32, u32); 7] = [
    (256, 512, 2_048, 512),
    (512, 1_024, 4_096, 1_024),
    (1_024, 2_048, 8_192, 1_024),
    (2_048, 4_096, 16_384, 1_024),
    (4_096, 8_192, 30_720, 1_024),
    (8_192, 16_384, 61_440, 4_096),
    (16_384, 32_768, 122_880, 8_192),
];

impl TaskSize {
    /// The CPU units that a task can have.
    pub const CPUS: [u32; 7] = [256, 512, 1_024, 2_048, 4_096, 8_192, 16_384];

    /// The smallest task.
    pub const SMALLEST: Self = Self { cpu: 256, memory: 512 };

    /// Why Fargate has no task with this CPU, to be said after the word `cpu` or a pointer to it; `None` if it has.
    #[must_use]
    pub fn wrong_cpu(self) -> Option<String> {
        let Self { cpu, .. } = self;
        let known = SIZES.iter().any(|(units, ..)| *units == cpu);
        let all = || SIZES.map(|(units, ..)| units.to_string()).join(", ");
        (!known).then(|| format!("is {cpu}; it must be one of {}", all()))
    }

    /// Why Fargate has no task with this memory and CPU, to be said after the word `memory` or a pointer to it; `None` if it has, or if the
    /// CPU itself is wrong.
    #[must_use]
    pub fn wrong_memory(self) -> Option<String> {
        let Self { cpu, memory } = self;
        Some(format!("is {memory}; with cpu {cpu} it must be {}", self.other_memory()?))
    }

    /// The memory that a task with this CPU can have; `None` if it has such a memory, or if the CPU itself is wrong.
    pub(crate) fn other_memory(self) -> Option<String> {
        let Self { cpu, memory } = self;
        let (_, least, most, step) = SIZES.into_iter().find(|(units, ..)| *units == cpu)?;
        // 256 CPU units have 512, 1024 or 2048 MiB, but not 1536.
        let fits = (least..=most).contains(&memory) && memory.is_multiple_of(step) && !(cpu == 256 && memory == 1_536);
        let allowed = match cpu {
            256 => "512, 1024 or 2048".to_owned(),
            _ => format!("from {least} to {most} in steps of {step}"),
        };
        (!fits).then_some(allowed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sizes_that_fargate_has_are_accepted() {
        assert_eq!(SIZES.map(|(cpu, ..)| cpu), TaskSize::CPUS);
        let size = |cpu, memory| TaskSize { cpu, memory };
        for (cpu, memory) in [(256, 512), (256, 2_048), (512, 4_096), (4_096, 30_720), (16_384, 122_880)] {
            let size = size(cpu, memory);
            assert_eq!((size.wrong_cpu(), size.wrong_memory()), (None, None), "{cpu} {memory}");
        }
        for (cpu, memory) in [(256, 1_536), (256, 4_096), (512, 512), (1_024, 2_500), (8_192, 17_408)] {
            assert!(size(cpu, memory).wrong_memory().is_some(), "{cpu} {memory}");
        }
        let cpu = size(300, 512).wrong_cpu().unwrap();
        assert_eq!(cpu, "is 300; it must be one of 256, 512, 1024, 2048, 4096, 8192, 16384");
        let memory = size(512, 512).wrong_memory().unwrap();
        assert_eq!(memory, "is 512; with cpu 512 it must be from 1024 to 4096 in steps of 1024");
    }
}
