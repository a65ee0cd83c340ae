//! `cpu` and `memory`.

use std::ops::Range;

use domain::TaskSize;

use crate::checker::{Checker, Table};

/// The sizes that are given, with their places. Whether Fargate has a size is known when the defaults are applied.
#[derive(Debug, Clone, Default)]
pub(crate) struct Size {
    cpu: Option<(u32, Range<usize>)>,
    memory: Option<(u32, Range<usize>)>,
}

impl Size {
    pub(super) fn read<'i>(table: &mut Table<'i>, checker: &mut Checker<'i>) -> Self {
        let mut number = |field| {
            let value = table.take(field)?;
            Some((checker.number(&value, field, 0, u32::MAX)?, value.span()))
        };
        Self { cpu: number("cpu"), memory: number("memory") }
    }

    pub(super) fn over(self, defaults: Self) -> Self {
        Self { cpu: self.cpu.or(defaults.cpu), memory: self.memory.or(defaults.memory) }
    }

    /// Checks a default as far as it is wrong for every job.
    pub(super) fn check_default(&self, checker: &mut Checker<'_>) {
        match self {
            Self { cpu: Some((_, place)), memory: Some(_) } => {
                self.check(&place.clone(), checker);
            }
            Self { cpu: Some((cpu, place)), memory: None } => {
                if let Some(why) = (TaskSize { cpu: *cpu, memory: 0 }).wrong_cpu() {
                    checker.mistake(place, format!("cpu {why}"));
                }
            }
            // Whether a memory fits is known together with the CPU units.
            Self { cpu: None, .. } => {}
        }
    }

    /// The size of a task. A mistake is told where the job's or else the file's value is, or at the job itself.
    pub(super) fn check(&self, job: &Range<usize>, checker: &mut Checker<'_>) -> TaskSize {
        let Self { cpu, memory } = self;
        let size = TaskSize {
            cpu: cpu.as_ref().map_or(TaskSize::SMALLEST.cpu, |(cpu, _)| *cpu),
            memory: memory.as_ref().map_or(TaskSize::SMALLEST.memory, |(memory, _)| *memory),
        };
        if let Some(why) = size.wrong_cpu() {
            checker.mistake(cpu.as_ref().map_or(job, |(_, place)| place), format!("cpu {why}"));
        }
        if let Some(why) = size.wrong_memory() {
            let place = memory.as_ref().or(cpu.as_ref()).map_or(job, |(_, place)| place);
            checker.mistake(place, format!("memory {why}"));
        }
        size
    }
}
