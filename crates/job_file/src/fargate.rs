//! The sizes that a task on Fargate can have
//! (<https://docs.aws.amazon.com/AmazonECS/latest/developerguide/fargate-tasks-services.html#fargate-tasks-size>).

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

/// Why Fargate has no task with this CPU; `None` if it has.
pub(crate) fn wrong_cpu(cpu: u32) -> Option<String> {
    let known = SIZES.iter().any(|(units, ..)| *units == cpu);
    let all = || SIZES.map(|(units, ..)| units.to_string()).join(", ");
    (!known).then(|| format!("cpu is {cpu}; it must be one of {}", all()))
}

/// Why Fargate has no task with this memory and CPU; `None` if it has, or if the CPU itself is wrong.
pub(crate) fn wrong_memory(cpu: u32, memory: u32) -> Option<String> {
    let (_, least, most, step) = SIZES.into_iter().find(|(units, ..)| *units == cpu)?;
    // 256 CPU units have 512, 1024 or 2048 MiB, but not 1536.
    let fits = (least..=most).contains(&memory) && memory.is_multiple_of(step) && !(cpu == 256 && memory == 1_536);
    let allowed = match cpu {
        256 => "512, 1024 or 2048".to_owned(),
        _ => format!("from {least} to {most} in steps of {step}"),
    };
    (!fits).then(|| format!("memory is {memory}; with cpu {cpu} it must be {allowed}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sizes_that_fargate_has_are_accepted() {
        for (cpu, memory) in [(256, 512), (256, 2_048), (512, 4_096), (4_096, 30_720), (16_384, 122_880)] {
            assert_eq!((wrong_cpu(cpu), wrong_memory(cpu, memory)), (None, None), "{cpu} {memory}");
        }
        for (cpu, memory) in [(256, 1_536), (256, 4_096), (512, 512), (1_024, 2_500), (8_192, 17_408)] {
            assert!(wrong_memory(cpu, memory).is_some(), "{cpu} {memory}");
        }
        assert_eq!(wrong_cpu(300).unwrap(), "cpu is 300; it must be one of 256, 512, 1024, 2048, 4096, 8192, 16384");
        assert_eq!(
            wrong_memory(512, 512).unwrap(),
            "memory is 512; with cpu 512 it must be from 1024 to 4096 in steps of 1024"
        );
    }
}
