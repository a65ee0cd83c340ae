use super::*;

fn mistakes(text: &str) -> Vec<String> {
    let mistakes = read("longhaul.toml", text).unwrap_err();
    mistakes.to_string().lines().map(|line| line.strip_prefix("longhaul.toml:").unwrap().to_owned()).collect()
}

#[test]
fn a_job_has_the_defaults_that_it_does_not_override() {
    let jobs = read(
        "longhaul.toml",
        r#"
[defaults]
timeout = "2h"
cpu = 512
memory = 1024
environment = { LANG = "C", REGION = "eu" }

[jobs.words]
description = "Counts words"
command = ["python3", "words.py"]
environment = { REGION = "us" }
stopTimeout = "60s"

[jobs.small]
command = ["true"]
cpu = 256
memory = 512
timeout = "1h 30m"
"#,
    )
    .unwrap();
    let variables = |all: &[(&str, &str)]| all.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    let words = Job {
        description: Some("Counts words".into()),
        command: vec!["python3".into(), "words.py".into()],
        environment: variables(&[("LANG", "C"), ("REGION", "us")]),
        size: TaskSize { cpu: 512, memory: 1024 },
        timeout: Duration::from_hours(2),
        stop_timeout: Duration::from_mins(1),
    };
    let small = Job {
        description: None,
        command: vec!["true".into()],
        environment: variables(&[("LANG", "C"), ("REGION", "eu")]),
        size: TaskSize::SMALLEST,
        timeout: Duration::from_mins(90),
        stop_timeout: STOP_TIMEOUT,
    };
    assert_eq!(jobs, BTreeMap::from([("words".to_owned(), words), ("small".to_owned(), small)]));
    assert_eq!(read("longhaul.toml", ""), Ok(BTreeMap::new()));
}

#[test]
fn a_file_that_cannot_be_parsed_is_refused_at_its_first_mistake() {
    assert_eq!(mistakes("[jobs.a]\ncommand = [\"x\"\n"), ["2:15: unclosed array, expected `]`"]);
    let unknown = mistakes("[jobs.a]\ncommand = [\"x\"]\nimage = \"y\"\n");
    assert!(
        unknown[0].starts_with("3:1: unknown field `image`, expected one of `description`, `command`"),
        "{unknown:?}"
    );
    assert_eq!(mistakes("[jobs.a]\ncpu = 256\n"), ["1:1: missing field `command`"]);
    let kind = mistakes("[jobs.a]\ncommand = \"x\"\n");
    assert!(kind[0].starts_with("2:11: invalid type"), "{kind:?}");
}

#[test]
fn all_other_mistakes_are_told_at_once_with_line_and_column() {
    let text = r#"
[defaults]
stopTimeout = "1s"

[jobs."no name"]
command = []

[jobs."ä"]
command = ["x"]
cpu = 300

[jobs.b]
command = ["x"]
cpu = 512
timeout = "400d"
environment = { EXECUTION_ID = "1", AWS_REGION = "x", "1X" = "y", EXECUTION_STOP_TIMEOUT = "3" }
"#;
    let found = mistakes(text);
    let starts: Vec<_> = found.iter().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(
        starts,
        ["3:15:", "5:7:", "6:11:", "8:7:", "10:7:", "14:7:", "15:11:", "16:17:", "16:37:", "16:55:", "16:67:"],
        "{found:#?}"
    );
    assert_eq!(found[0], r#"3:15: stopTimeout is "1s"; it must be whole seconds from 2s to 120s, as Fargate allows"#);
    assert_eq!(found[6], r#"15:11: timeout is "400d"; it must be whole seconds from 1s to 8760h"#);
}
