"""The names of what is generated for a job.

**Invariant**: a stack's name has letters, digits and hyphens, and the names of its jobs' resources continue it with `_` or `/`. So the
patterns in the policies match the resources of this stack and of no other, however many jobs it has. A policy that lists them would
exceed IAM's 10,240 characters at about thirty jobs.
"""

import hashlib
import re

DEMO = "demo" # the demonstration job of template.yaml; a job of this name replaces it

STACK, REGION, ACCOUNT, PARTITION = ("${AWS::%s}" % it for it in ("StackName", "Region", "AccountId", "Partition"))

# All generated roles have this path, so one pattern in PassRole names exactly them.
ROLE_PATH = f"/{STACK}/{REGION}/"

SHARED_TABLE_ROLE = "SharedTableRole"


def arn(service, resource, region=REGION, account=ACCOUNT):
    return f"arn:{PARTITION}:{service}:{region}:{account}:{resource}"


def sub(text):
    return {"Fn::Sub": text}


def family(name):
    """The family of a job's task definitions. The demonstration's is older than this rule."""
    return f"{STACK}-{DEMO}" if name == DEMO else f"{STACK}_{name}"


def log_group(name):
    return f"/ecs/{STACK}/{name}"


def _hash(name):
    return hashlib.sha256(name.encode()).hexdigest()[:8]


def logical(name, kind):
    """The logical id of a job's resource, which may have only letters and digits. A hash distinguishes `a-b` from `ab` and `Ab`."""
    if name == DEMO and kind == "Task":
        return "DemoTask"
    letters = "".join(part[0].upper() + part[1:] for part in re.split("[-_]", name) if part)
    return f"Job{letters}{'' if re.fullmatch('[a-z][a-z0-9]*', name) else _hash(name)}{kind}"


def role_name(name, kind):
    """The name of a generated role, with `name` empty for a role that jobs share.

    It is unique in the account, so it has the Region, and it has at most 64 characters, so a hash stands for the job
    (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html): a stack's name of 32 characters, a Region's of 14,
    8 for the hash and 5 for the kind.
    """
    return "-".join(part for part in (STACK, REGION, name and _hash(name), kind) if part)


def role_arn(name, kind):
    return arn("iam", f"role{ROLE_PATH}{role_name(name, kind)}", region="")
