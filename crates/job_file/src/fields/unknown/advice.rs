//! What ECS and other tools have, and a job does not: what to do instead.

const CAPACITY: &str = "choose between \"spot\" and \"on-demand\" with `capacity`";
const COMMAND: &str = "write the program and all its arguments as `command`; the entry point is Longhaul's worker";
const DISK: &str =
    "tasks have no volumes; keep files that outlive a task in S3, and make its own disk larger with `ephemeralStorage`";
const ENVIRONMENT: &str = "write plain values under `environment`, and where secret values are under `secrets`";
const HEALTH: &str = "a job is over when its program ends, and one that hangs is stopped after `timeout`";
const KERNEL: &str =
    "Fargate runs the container without Linux capabilities and with its own kernel settings; they cannot be changed";
const LOGS: &str = "logs go to CloudWatch; say with `logRetentionDays` how long they are kept";
const NETWORK: &str = "all tasks use awsvpc networking with the subnets and security groups of the installation";
const PLATFORM: &str = "tasks run on Linux; say with `architecture` whether the image needs \"arm64\" or \"x86_64\"";
const PORTS: &str =
    "a job has no ports; it gets its input from the request that starts it, and answers with its result";
const ROLE: &str = "write what the job may do under `permissions`, or name an existing role as `taskRole`";
const RESTART: &str = "say with `retry` when a failed attempt is repeated";

/// Names in lower case without separators, and what to do instead.
const ADVICE: [(&[&str], &str); 27] = [
    (
        &[
            "assignpublicip",
            "dnsservers",
            "dnssearchdomains",
            "extrahosts",
            "hostname",
            "links",
            "network",
            "networkmode",
        ],
        NETWORK,
    ),
    (&["networkconfiguration", "securitygroups", "subnets", "vpc"], NETWORK),
    (
        &["capacityprovider", "capacityproviderstrategy", "launchtype", "placementconstraints", "spot", "fargatespot"],
        CAPACITY,
    ),
    (&["capabilities", "linuxparameters", "sharedmemorysize", "shmsize", "systemcontrols", "tmpfs", "ulimits"], KERNEL),
    (&["ipcmode", "pidmode", "dockersecurityoptions"], KERNEL),
    (&["cmd", "entrypoint", "args", "arguments", "run", "script"], COMMAND),
    (
        &["count", "desiredcount", "replicas"],
        "each request starts one task of the job; send more requests for more tasks",
    ),
    (
        &["dependson"],
        "the job starts after its sidecars; let its program wait until a sidecar answers, or do the preparation in the program",
    ),
    (&["disk", "diskgib", "ephemeralstoragegib", "storage"], "write the GiB of the task's disk as `ephemeralStorage`"),
    (&["dockerfile", "build"], "write the folder with the Dockerfile as `image = \"build:FOLDER\"`"),
    (&["efs", "efsvolumeconfiguration", "mountpoints", "mounts", "volumes", "volumesfrom"], DISK),
    (&["env", "envfile", "environmentfiles", "variables", "vars"], ENVIRONMENT),
    (&["essential"], "the task ends when the job's program ends, whatever the sidecars do"),
    (
        &["executionrole", "executionrolearn"],
        "Longhaul creates the role that pulls the image, writes the log and reads the secrets",
    ),
    (&["family", "name"], "the name of a job is the NAME of its [jobs.NAME]"),
    (
        &["firelensconfiguration", "logconfiguration", "logdriver", "loggroup", "logging", "logretention", "retention"],
        LOGS,
    ),
    (
        &["gpu", "gpus", "inferenceaccelerators", "resourcerequirements"],
        "Fargate has no GPUs; let the job start work on a service that has them, such as AWS Batch or SageMaker",
    ),
    (&["healthcheck", "startperiod", "starttimeout"], HEALTH),
    (&["iam", "policies", "policy", "role", "rolearn", "taskrolearn"], ROLE),
    (&["inputschema", "jsonschema", "schema"], "write the path of a JSON Schema as `input`"),
    (
        &["interactive", "pseudoterminal", "stdin", "tty"],
        "a job has no terminal; it reads its input as described in \"Writing a job\"",
    ),
    (
        &[
            "operatingsystem",
            "operatingsystemfamily",
            "os",
            "platform",
            "runtimeplatform",
            "windows",
            "cpuarchitecture",
        ],
        PLATFORM,
    ),
    (&["containerport", "hostport", "port", "portmappings", "ports", "loadbalancers"], PORTS),
    (&["privileged"], "Fargate has no privileged containers; run the program without"),
    (&["attempts", "backoff", "maxattempts", "onexitcodes", "restart", "restartpolicy", "retries"], RESTART),
    (
        &["repositorycredentials"],
        "images come from ECR or from a public registry; for a private registry, set up a pull-through cache in ECR",
    ),
    (
        &["cwd", "workdir", "workingdirectory"],
        "set it with WORKDIR in the Dockerfile, or start the program with [\"sh\", \"-c\", \"cd … && exec …\"]",
    ),
];

/// What to do instead of a field, whose name is in lower case without separators.
pub(super) fn about(name: &str) -> Option<&'static str> {
    ADVICE.iter().find_map(|(names, advice)| names.contains(&name).then_some(*advice))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_is_in_lower_case_and_there_once() {
        let mut names: Vec<_> = ADVICE.iter().flat_map(|(names, _)| names.iter()).collect();
        let all = names.len();
        assert!(names.iter().all(|name| name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())));
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
    }
}
