use std::fs;

use super::*;

/// A folder with an image to build and with schemas, right and wrong.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |file: &str, text: &str| fs::write(folder.path().join(file), text).unwrap();
    fs::create_dir_all(folder.path().join("image")).unwrap();
    fs::create_dir_all(folder.path().join("empty")).unwrap();
    write("image/Dockerfile", "FROM scratch\n");
    write("right.json", r#"{ "type": "object" }"#);
    write("list.json", "[]");
    write("broken.json", "{\n  \"type\": }\n");
    write("wrong.json", "{\n  \"properties\": {\n    \"ä\": { \"type\": \"strin\" }\n  }\n}\n");
    write("remote.json", "{\n  \"$ref\": \"https://example.com/x\" }");
    write("large.json", &format!(r#"{{ "title": "{}" }}"#, "x".repeat(64 * 1024)));
    folder
}

fn read_in(folder: &tempfile::TempDir, text: &str) -> Result<Jobs, Vec<String>> {
    let file = folder.path().join("longhaul.toml");
    let (jobs, _, _) = read_text(&file.to_string_lossy(), text);
    let prefix = format!("{}/", folder.path().display());
    let plain = |line: &str| {
        let line = line.strip_prefix(&prefix).unwrap();
        line.strip_prefix("longhaul.toml:").unwrap_or(line).to_owned()
    };
    jobs.map_err(|mistakes| mistakes.to_string().lines().map(plain).collect())
}

fn mistakes(text: &str) -> Vec<String> {
    read_in(&folder(), text).unwrap_err()
}

#[test]
fn a_job_has_the_defaults_that_it_does_not_override() {
    let jobs = read_in(
        &folder(),
        r#"
[defaults]
image = "build:image"
retry = { maxAttempts = 3, backoff = "5s..5m" }
readonlyRootFilesystem = true
environment = { LANG = "C", REGION = "eu", MODE = "x" }
secrets = { KEY = "ssm:/key", TOKEN = "ssm:/token" }

[jobs.own]
command = ["x"]
image = "python:3.14"
retry = { maxAttempts = 2 }
readonlyRootFilesystem = false
environment = { REGION = "us", KEY = "plain" }
secrets = { MODE = "ssm:/mode" }

[jobs.default]
command = ["x"]
"#,
    )
    .unwrap();
    let (own, default) = (&jobs["own"], &jobs["default"]);
    let pairs =
        |all: &BTreeMap<String, String>| all.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>();
    assert_eq!(pairs(&default.environment), ["LANG=C", "MODE=x", "REGION=eu"]);
    assert_eq!(default.secrets.keys().collect::<Vec<_>>(), ["KEY", "TOKEN"]);
    assert!(default.readonly_root_filesystem && default.retry.backoff.is_some());
    // A job's own variable replaces a default secret, and the other way round.
    assert_eq!(pairs(&own.environment), ["KEY=plain", "LANG=C", "REGION=us"]);
    assert_eq!(own.secrets.keys().collect::<Vec<_>>(), ["MODE", "TOKEN"]);
    assert!(!own.readonly_root_filesystem && own.retry.backoff.is_none());
    assert_eq!(own.image, Some(crate::Image::Reference("python:3.14".into())));
}

#[test]
fn a_job_that_says_nothing_else_is_the_job_of_its_command() {
    let jobs = read_in(&folder(), "jobs.a.command = [\"x\", \"y\"]").unwrap();
    assert_eq!(jobs, Jobs::from([("a".to_owned(), crate::Job::of_command(vec!["x".into(), "y".into()]))]));
    assert_eq!(read_in(&folder(), ""), Ok(Jobs::new()));
}

#[test]
fn a_file_that_is_not_toml_is_refused_at_its_first_mistake() {
    assert_eq!(mistakes("[jobs.a]\ncommand = [\"x\"\n"), ["2:15: unclosed array, expected `]`"]);
    assert_eq!(mistakes("[jobs.a]\ncommand = [\"x\"]\n[jobs.a]\n"), ["3:7: duplicate key"]);
}

/// One mistake in each field, in the third line of a job that is right otherwise. The first number is the column of the mistake.
const ONE_MISTAKE: &[(&str, usize, &str)] = &[
    // description
    ("description = 1", 15, "description is a number; it must be a string, such as \"1\""),
    // image
    ("image = \"build:absent\"", 9, "the folder `absent`, which does not exist"),
    ("image = \"build:empty\"", 9, "the folder `empty`, which has no file named Dockerfile"),
    ("image = \"build:\"", 9, "name a folder relative to this file"),
    ("image = \"build:/tmp\"", 9, "name a folder relative to this file"),
    ("image = \"a b\"", 9, "image is \"a b\"; it must be \"build:FOLDER\" or the reference"),
    // cpu, memory
    ("cpu = 300", 7, "cpu is 300; it must be one of 256, 512"),
    ("cpu = 0.5", 7, "cpu is a number with a fraction; it must be a whole number"),
    ("cpu = 512", 7, "memory is 512; with cpu 512 it must be from 1024"),
    ("memory = 513", 10, "memory is 513; with cpu 256 it must be 512, 1024 or 2048"),
    ("memory = \"1 GB\"", 10, "memory is a string; it must be a whole number"),
    // ephemeralStorage
    ("ephemeralStorage = 20", 20, "ephemeralStorage is 20; it must be from 21 to 200"),
    ("ephemeralStorage = 201", 20, "ephemeralStorage is 201; it must be from 21 to 200"),
    ("ephemeralStorage = -30", 20, "ephemeralStorage is -30; it must be from 21 to 200"),
    // capacity, architecture
    ("capacity = \"Spot\"", 12, "capacity is \"Spot\"; it must be \"spot\" or \"on-demand\""),
    ("architecture = \"amd64\"", 16, "architecture is \"amd64\"; it must be \"arm64\" or \"x86_64\""),
    // user, readonlyRootFilesystem
    ("user = 1000", 8, "user is a number; it must be a string, such as \"1000\""),
    ("user = \"a:b:c\"", 8, "it must be USER or USER:GROUP"),
    ("readonlyRootFilesystem = \"yes\"", 26, "readonlyRootFilesystem is a string; it must be true or false"),
    // environment
    ("environment = [\"A=1\"]", 15, "environment is a list; it must be a table"),
    ("environment = { A = 1 }", 21, "A is a number; it must be a string, such as \"1\""),
    ("environment = { A = true }", 21, "A is a boolean; it must be a string, such as \"true\""),
    ("environment = { 1A = \"x\" }", 17, "`1A` is not the name of a variable, which has letters, digits and `_`"),
    ("environment = { AWS_REGION = \"x\" }", 17, "`AWS_REGION` is set by Longhaul or by AWS"),
    ("environment = { EXECUTION_STOP_TIMEOUT = \"3\" }", 17, "use `stopTimeout` instead"),
    // secrets
    ("secrets = { A = \"hunter2\" }", 17, "a secret says where its value is"),
    ("secrets = { A = 1234 }", 17, "a secret says where its value is"),
    ("secrets = { A = \"ssm:a/b\" }", 17, "`a/b` is not the name of a parameter"),
    ("secrets = { A = \"secretsmanager:a b\" }", 17, "`a b` is not the name of a secret"),
    ("secrets = { A = \"secretsmanager:a#\" }", 17, "the JSON key after '#' must not be empty"),
    ("secrets = { AWS_KEY = \"ssm:/a\" }", 13, "`AWS_KEY` is set by Longhaul or by AWS"),
    ("environment.A = \"x\"\nsecrets.A = \"ssm:/a\"", 9, "`A` is in both `environment` and `secrets`"),
    // permissions, taskRole
    ("permissions = \"s3:GetObject arn:aws:s3:::x\"", 15, "permissions is a string; it must be a list"),
    ("permissions = [\"s3:GetObject arn:aws:s3:::x\", \"s3:*\"]", 47, "`s3:*` grants every action"),
    ("taskRole = \"job\"", 12, "taskRole is \"job\"; it must be the ARN of a role"),
    (
        "taskRole = \"arn:aws:iam::123456789012:role/job\"\npermissions = []",
        15,
        "with `taskRole`, grant them to that role instead",
    ),
    // sidecars
    ("sidecars = [1]", 13, "a sidecar is a whole number; it must be a table"),
    ("sidecars = [{ image = \"x\" }]", 13, "the sidecar needs `name`"),
    ("sidecars = [{ name = \"x\" }]", 13, "the sidecar needs `image`"),
    ("sidecars = [{ name = \"job\", image = \"x\" }]", 22, "`job` is one of Longhaul's own containers"),
    ("sidecars = [{ name = \"a b\", image = \"x\" }]", 22, "the name of a sidecar has 1 to 255 letters"),
    (
        "sidecars = [{ name = \"a\", image = \"x\" }, { name = \"a\", image = \"x\" }]",
        51,
        "`a` is the name of two sidecars",
    ),
    ("sidecars = [{ name = \"a\", image = \"build:image\" }]", 35, "the image of a sidecar is not built"),
    ("sidecars = [{ name = \"a\", image = \"x\", command = \"y\" }]", 50, "command is a string; it must be a list"),
    (
        "sidecars = [{ name = \"a\", image = \"x\", environment = { \"-\" = \"\" } }]",
        56,
        "`-` is not the name of a variable",
    ),
    ("sidecars = [{ name = \"a\", image = \"x\", ports = [80] }]", 40, "unknown field `ports`; a job has no ports"),
    // logRetentionDays
    ("logRetentionDays = 8", 20, "logRetentionDays is 8; CloudWatch keeps logs for 1, 3, 5, 7, 14"),
    // timeout, stopTimeout
    ("timeout = \"400d\"", 11, "timeout is \"400d\"; it must be whole seconds from 1s to 8760h"),
    ("timeout = 60", 11, "timeout is a number; it must be a string"),
    (
        "stopTimeout = \"121s\"",
        15,
        "stopTimeout is \"121s\"; it must be whole seconds from 2s to 120s, as Fargate allows",
    ),
    // retry
    ("retry = 3", 9, "retry is a whole number; it must be a table"),
    ("retry = { maxAttempts = 0 }", 25, "maxAttempts is 0; it must be from 1 to 10"),
    ("retry = { onExitCodes = [] }", 25, "onExitCodes has 0 exit codes; it must have from 1 to 50"),
    ("retry = { onExitCodes = [1, 0] }", 29, "an exit code is 0; it must be from 1 to 255"),
    ("retry = { onExitCodes = [256] }", 26, "an exit code is 256; it must be from 1 to 255"),
    ("retry = { onExitCodes = [1, 1] }", 29, "exit code 1 is in onExitCodes twice"),
    ("retry = { backoff = \"5s\" }", 21, "backoff is \"5s\"; it must be the first and the longest wait"),
    ("retry = { backoff = \"5m..5s\" }", 21, "backoff is \"5m..5s\"; it must be the first and the longest wait"),
    ("retry = { attempts = 3 }", 11, "unknown field `attempts`; retry has maxAttempts, onExitCodes, backoff"),
    // input
    ("input = { type = \"object\" }", 9, "input is a table; it must be a string"),
    ("input = \"absent.json\"", 9, "cannot read the JSON Schema `absent.json`: No such file"),
    ("input = \"large.json\"", 9, "a schema has at most 65536"),
    ("input = \"\"", 9, "name a JSON Schema relative to this file"),
    // allow
    (
        "allow = [\"timeout\"]",
        10,
        "`timeout` cannot be overridden; allow has \"cpu\", \"memory\" and \"environment.NAME\"",
    ),
    ("allow = [\"cpu\", \"cpu\"]", 17, "`cpu` is in allow twice"),
    ("allow = [\"environment.A\", \"environment.A\"]", 27, "`environment.A` is in allow twice"),
    ("allow = [\"environment.ECS_X\"]", 10, "`ECS_X` is set by Longhaul or by AWS"),
    ("allow = [\"environment.*\"]", 10, "`*` is not the name of a variable"),
    ("secrets.A = \"ssm:/a\"\nallow = [\"environment.A\"]", 10, "`A` is a secret of this job"),
    // Unknown fields.
    ("stop_timeout = \"5s\"", 1, "unknown field `stop_timeout`; did you mean `stopTimeout`?"),
    ("enviroment = {}", 1, "unknown field `enviroment`; did you mean `environment`?"),
    ("volumes = []", 1, "unknown field `volumes`; tasks have no volumes; keep files that outlive a task in S3"),
    ("gpu = 1", 1, "unknown field `gpu`; Fargate has no GPUs"),
    ("nonsense = 1", 1, "unknown field `nonsense`; a job has description, command, "),
];

#[test]
fn a_mistake_in_a_field_gives_one_message_at_its_place() {
    for (fields, column, message) in ONE_MISTAKE {
        let found = mistakes(&format!("[jobs.a]\ncommand = [\"x\"]\n{fields}\n"));
        let line = 2 + fields.lines().count();
        let start = format!("{line}:{column}: ");
        assert_eq!(found.len(), 1, "{fields}: {found:#?}");
        assert!(found[0].starts_with(&start), "{fields}: {} does not start with {start}", found[0]);
        assert!(found[0].contains(message), "{fields}: {} does not contain {message}", found[0]);
    }
}

#[test]
fn a_mistake_in_the_rest_of_the_file_gives_one_message_at_its_place() {
    let job = "[jobs.a]\ncommand = [\"x\"]\n";
    for (text, start) in [
        ("[job.a]\ncommand = [\"x\"]\n".to_owned(), "1:2: unknown field `job`; did you mean `jobs`?"),
        ("jobs = []".to_owned(), "1:8: jobs is a list; it must be a table"),
        ("[jobs]\na = \"x\"".to_owned(), "2:5: a job is a string; it must be a table"),
        ("[jobs.a]\n".to_owned(), "1:7: the job needs a `command`"),
        ("[jobs.a]\ncommand = []\n".to_owned(), "2:11: the command needs a program"),
        ("[jobs.a]\ncommand = [\" \"]\n".to_owned(), "2:11: the command needs a program"),
        ("[jobs.a]\ncommand = [1]\n".to_owned(), "2:12: each value of command is a number"),
        ("[jobs.a]\ncommand = \"x y\"\n".to_owned(), "2:11: command is a string; it must be a list"),
        ("[jobs.\"ä b\"]\ncommand = [\"x\"]\n".to_owned(), "1:7: the name of a job has 1 to 64"),
        (format!("[jobs.{}]\ncommand = [\"x\"]\n", "a".repeat(65)), "1:7: the name of a job has 1 to 64"),
        (
            format!("[jobs.a]\ncommand = [\"x\"]\ndescription = \"{}\"", "ä".repeat(501)),
            "3:15: description has 501 characters",
        ),
        (format!("defaults = 1\n{job}"), "1:12: defaults is a whole number; it must be a table"),
        (format!("[defaults]\nstopTimeout = \"1s\"\n{job}"), "2:15: stopTimeout is \"1s\""),
        (format!("[defaults]\ncpu = 300\n{job}[jobs.b]\ncommand = [\"y\"]\n"), "2:7: cpu is 300"),
        ("[defaults]\ncpu = 300\n".to_owned(), "2:7: cpu is 300"),
        ("[defaults]\ncpu = 512\nmemory = 512\n".to_owned(), "3:10: memory is 512"),
        (format!("[defaults]\ncommand = [\"x\"]\n{job}"), "2:1: unknown field `command`; each job has its own"),
        (
            format!("[defaults]\nnetworkMode = \"host\"\n{job}"),
            "2:1: unknown field `networkMode`; all tasks use awsvpc",
        ),
        (format!("{job}input = \"list.json\""), "list.json:1:1: a JSON Schema must be a JSON object"),
        (format!("{job}input = \"broken.json\""), "broken.json:2:11: not JSON: expected value"),
        (format!("{job}input = \"wrong.json\""), "wrong.json:3:20: not a valid JSON Schema at /properties/ä/type: "),
        (
            format!("{job}input = \"remote.json\""),
            "remote.json:2:11: `https://example.com/x` refers to another document",
        ),
    ] {
        let found = mistakes(&text);
        assert_eq!(found.len(), 1, "{text}: {found:#?}");
        assert!(found[0].starts_with(start), "{text}: {} does not start with {start}", found[0]);
    }
}

#[test]
fn sidecars_fit_into_a_task() {
    let sidecar = |number| format!("{{ name = \"s{number}\", image = \"x\" }}");
    let file = |count| {
        let all: Vec<_> = (0..count).map(sidecar).collect();
        format!("[jobs.a]\ncommand = [\"x\"]\nsidecars = [{}]\n", all.join(", "))
    };
    assert_eq!(read_in(&folder(), &file(8)).unwrap()["a"].sidecars.len(), 8);
    let found = mistakes(&file(9));
    assert!(found[0].ends_with("there are 9 sidecars; a job has at most 8") && found.len() == 1, "{found:?}");
}

#[test]
fn a_default_size_may_be_completed_by_each_job() {
    let text = "[defaults]\ncpu = 512\n[jobs.a]\ncommand = [\"x\"]\nmemory = 1024\n";
    assert_eq!(read_in(&folder(), text).unwrap()["a"].size, domain::TaskSize { cpu: 512, memory: 1024 });
    let found = mistakes(&format!("{text}[jobs.b]\ncommand = [\"y\"]\n"));
    assert!(found.len() == 1 && found[0].starts_with("2:7: memory is 512; with cpu 512"), "{found:?}");
}

#[test]
fn all_mistakes_are_told_at_once_in_the_order_of_the_file() {
    let text = "
[defaults]
stopTimeout = \"1s\"

[jobs.b]
command = []
input = \"wrong.json\"

[jobs.a]
cpu = 300
timeout = \"0s\"
environment = { EXECUTION_ID = \"1\", \"1X\" = \"y\" }
";
    let found = mistakes(text);
    let starts: Vec<_> = found.iter().map(|line| line.split(' ').next().unwrap()).collect();
    let expected = ["3:15:", "6:11:", "9:7:", "10:7:", "11:11:", "12:17:", "12:37:", "wrong.json:3:20:"];
    assert_eq!(starts, expected, "{found:#?}");
}

#[test]
fn the_files_to_watch_are_known_even_if_they_do_not_exist() {
    let (jobs, _, files) =
        read_text("x/longhaul.toml", "jobs.a = { command = [\"x\"], image = \"build:i\", input = \"s.json\" }");
    assert_eq!(jobs.unwrap_err().0.len(), 2);
    let expected = ["x/i/Dockerfile", "x/longhaul.toml", "x/s.json"];
    assert_eq!(files, expected.iter().map(PathBuf::from).collect());
    assert_eq!(read_text("longhaul.toml", "jobs.a = 1 ?").2, BTreeSet::from([PathBuf::from("longhaul.toml")]));
}
