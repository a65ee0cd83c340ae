//! Describes in Markdown which parts of AWS are emulated, from the facts that each service declares. The README contains the text.

use std::fmt::Write as _;

use crate::service::{self, Facts};

/// Which operations of each service are answered, and the known differences from AWS.
#[must_use]
pub fn coverage() -> String {
    let mut text = String::from("| Service | Operations |\n|---|---|\n");
    for service in service::ALL {
        // Writing to a string does not fail.
        let _ = writeln!(text, "| {} (`{}`) | {} |", service.title, service.name, operations(service));
    }
    text.push_str("\nKnown differences from AWS:\n");
    let common = ("All services", service::DIFFERENCES.as_slice());
    let of_services = service::ALL.iter().map(|service| (service.title, service.differences));
    for (title, differences) in std::iter::once(common).chain(of_services) {
        let _ = writeln!(text, "\n**{title}**\n");
        for difference in differences {
            let _ = writeln!(text, "- {difference}");
        }
    }
    text
}

fn operations(service: &Facts) -> String {
    let mut names = service.operations.to_vec();
    names.sort_unstable();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_readme_has_the_coverage_that_the_code_prints() {
        let readme = include_str!("../README.md");
        let (_, rest) = readme.split_once("<!-- `emulator coverage` prints this -->\n").unwrap();
        let (written, _) = rest.split_once("<!-- until here -->").unwrap();
        assert_eq!(written, coverage(), "copy the output of `emulator coverage` into README.md");
    }
}
