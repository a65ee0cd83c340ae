"""A job's task definition and log group.

The job's image does not contain Longhaul's worker. A container of the worker's image first copies it into a volume of the task, from
which the job's container runs it, around the job's command.

- A container with the condition SUCCESS starts after the other has exited with 0, which cannot be essential
  (https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ContainerDependency.html).
- A volume without a host is an empty directory in the task's ephemeral storage, with mode 0755 and owner root, for as long as its
  containers (https://docs.aws.amazon.com/AmazonECS/latest/developerguide/bind-mounts.html). So the copying container is root,
  without any capability.
- A startTimeout counts from the container's start, and is at most 120 on Fargate
  (https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ContainerDefinition.html).
"""

from .images import image_of
from .names import REGION, family, log_group, logical, sub
from .secrets import value_from

JOB, WORKER = "job", "longhaul-worker" # container names; the catalog's default is `job`
FOLDER, VOLUME = "/longhaul", "longhaul"
STREAM_PREFIX = "task" # the catalog's default


def task_definition(name, job, built, roles):
    """`roles` are the ARNs of the task's role and of its execution role."""
    writable = _mount("tmp", "/tmp")
    volumes, mounts = [VOLUME], [_mount(VOLUME, FOLDER, read_only=True)]
    install, install_mounts = ["install", FOLDER], [_mount(VOLUME, FOLDER)]
    if job["readonlyRootFilesystem"]:
        # The worker and most programs need a place for temporary files.
        volumes.append("tmp")
        mounts.append(writable)
        install += ["--temporary", "/tmp"]
        install_mounts.append(writable)
    worker = {
        "Name": WORKER,
        "Image": {"Ref": "WorkerImage"},
        "Essential": False,
        "Command": install,
        "User": "0:0",
        "ReadonlyRootFilesystem": True,
        "LinuxParameters": {"Capabilities": {"Drop": ["ALL"]}},
        "StartTimeout": 120,
        "MountPoints": install_mounts,
        "LogConfiguration": _log(name),
    }
    environment = {**job["environment"], "EXECUTION_STOP_TIMEOUT": str(job["stopTimeoutSeconds"])}
    container = {
        "Name": JOB,
        "Image": image_of(name, job, built),
        "Essential": True,
        "EntryPoint": [f"{FOLDER}/worker", "--"],
        "Command": job["command"],
        "DependsOn": [
            {"ContainerName": WORKER, "Condition": "SUCCESS"},
            # Containers stop in the reverse order, so a job that is stopped can still use its sidecars.
            *({"ContainerName": it["name"], "Condition": "START"} for it in job["sidecars"]),
        ],
        "Environment": _environment(environment),
        "ReadonlyRootFilesystem": job["readonlyRootFilesystem"],
        "StopTimeout": job["stopTimeoutSeconds"],
        "MountPoints": mounts,
        "LogConfiguration": _log(name),
    }
    if job["user"] is not None:
        container["User"] = job["user"]
    if job["secrets"]:
        container["Secrets"] = [{"Name": it, "ValueFrom": value_from(secret)} for it, secret in sorted(job["secrets"].items())]
    properties = {
        "Family": sub(family(name)),
        "RequiresCompatibilities": ["FARGATE"],
        "NetworkMode": "awsvpc",
        "Cpu": str(job["cpu"]),
        "Memory": str(job["memory"]),
        "RuntimePlatform": {"OperatingSystemFamily": "LINUX", "CpuArchitecture": {"Fn::If": ["IsArm", "ARM64", "X86_64"]}},
        **roles,
        "Volumes": [{"Name": it} for it in volumes],
        "ContainerDefinitions": [container, worker, *(_sidecar(name, it) for it in job["sidecars"])],
    }
    if job["ephemeralStorageGiB"] is not None:
        properties["EphemeralStorage"] = {"SizeInGiB": job["ephemeralStorageGiB"]}
    return {"Type": "AWS::ECS::TaskDefinition", "Properties": properties}


def log(name, job):
    days = job["logRetentionDays"]
    return {
        "Type": "AWS::Logs::LogGroup",
        "Properties": {
            "LogGroupName": sub(log_group(name)),
            "RetentionInDays": {"Ref": "LogRetentionDays"} if days is None else days,
            "KmsKeyId": {"Fn::GetAtt": ["LogKey", "Arn"]},
        },
    }


def _sidecar(name, sidecar):
    """It stops when the job ends, and its own end does not end the task."""
    container = {
        "Name": sidecar["name"],
        "Image": sidecar["image"],
        "Essential": False,
        "Environment": _environment(sidecar["environment"]),
        "LogConfiguration": _log(name),
    }
    return container | ({"Command": sidecar["command"]} if sidecar["command"] else {})


def _environment(variables):
    return [{"Name": name, "Value": value} for name, value in sorted(variables.items())]


def _mount(volume, path, read_only=False):
    return {"SourceVolume": volume, "ContainerPath": path, "ReadOnly": read_only}


def _log(name):
    return {
        "LogDriver": "awslogs",
        "Options": {
            "awslogs-group": {"Ref": logical(name, "Log")},
            "awslogs-region": sub(REGION),
            "awslogs-stream-prefix": STREAM_PREFIX,
            "mode": "blocking", # non-blocking, the default, may drop lines, and the result of a job is read from its log
        },
    }
