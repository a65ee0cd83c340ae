"""The roles of jobs' tasks, and what the stack's other roles may do about jobs.

A job with permissions has two roles of its own, one for tasks that use the table and one for those that do not, each with what
template.yaml's TaskRole and TableTaskRole have for Longhaul, and with what the file says. Other jobs share such roles. A job with
secrets has its own execution role.

All generated roles have explicit names. The catalog names roles by ARN, and when it is a file in a function's package (see catalog.py),
CloudFormation cannot fill in names that it generates.
"""

import copy

from .images import images_of, repository
from .names import ROLE_PATH, SHARED_TABLE_ROLE, STACK, arn, log_group, logical, role_arn, role_name, sub
from .secrets import ACTIONS, readable


def role_of(template, like, description, name, kind, statements=()):
    """A role like one of the template's, with more statements."""
    role = copy.deepcopy(template["Resources"][like])
    properties = role["Properties"]
    properties |= {"RoleName": sub(role_name(name, kind)), "Path": sub(ROLE_PATH), "Description": description}
    properties["Policies"][0]["PolicyDocument"]["Statement"] += statements
    return role


def shared_table_role(template):
    return role_of(template, "TableTaskRole", "Permissions of tasks that use the table, of jobs without permissions", "", "table")


def roles_of(template, name, job, built, own):
    """A job's own roles, by logical id. `own` says which kinds it has."""
    found = {}
    if "task" in own:
        said = [
            {"Sid": f"Job{number}", "Effect": "Allow", "Action": it["actions"], "Resource": it["resources"]}
            for number, it in enumerate(job["permissions"])
        ]
        for like, kind, what in (("TaskRole", "task", "do not use"), ("TableTaskRole", "table", "use")):
            description = f"Permissions of tasks of the job {name} that {what} the table"
            found[logical(name, kind.capitalize() + "Role")] = role_of(template, like, description, name, kind, said)
    if "execution" in own:
        description = f"What ECS may do to start a task of the job {name}"
        role = role_of(template, "TaskExecutionRole", description, name, "exec")
        by_sid = {it["Sid"]: it for it in role["Properties"]["Policies"][0]["PolicyDocument"]["Statement"]}
        by_sid["Pull"]["Resource"] = unique([*listed(by_sid["Pull"]["Resource"]), *_repositories(name, job, built)])
        by_sid["Log"]["Resource"] = sub(arn("logs", f"log-group:{log_group(name)}:*"))
        statements = role["Properties"]["Policies"][0]["PolicyDocument"]["Statement"]
        for service, resources in readable(job["secrets"].values()).items():
            sid = "Parameters" if service == "ssm" else "Secrets"
            statements.append({"Sid": sid, "Effect": "Allow", "Action": ACTIONS[service], "Resource": resources})
        found[logical(name, "ExecutionRole")] = role
    return found


def task_roles(name, job, own):
    """The properties of a job's task definition that name its roles."""
    if job["taskRole"]:
        task = job["taskRole"]
    else:
        task = {"Fn::GetAtt": [logical(name, "TaskRole") if "task" in own else "TaskRole", "Arn"]}
    execution = logical(name, "ExecutionRole") if "execution" in own else "TaskExecutionRole"
    return {"TaskRoleArn": task, "ExecutionRoleArn": {"Fn::GetAtt": [execution, "Arn"]}}


def table_role(name, job, own):
    """The ARN of the role of a job's tasks that use the table, for the catalog."""
    if job["taskRole"]:
        return job["taskRole"]
    return role_arn(name, "table") if "task" in own else role_arn("", "table")


def own_roles(job):
    """Which roles a job needs for itself."""
    return {kind for kind, needed in (("task", job["permissions"]), ("execution", job["secrets"])) if needed}


def allow_jobs(template, jobs, built, own, passed):
    """Extends the policies of the template's own roles to jobs. `passed` are the ARNs of the users' own task roles."""
    more = {
        "Run": [sub(arn("ecs", f"task-definition/{STACK}_*:*"))],
        "Pass": [sub(arn("iam", f"role{ROLE_PATH}*", region="")), *passed],
        "Output": [sub(arn("logs", f"log-group:/ecs/{STACK}/*:log-stream:task/job/*"))],
    }
    for role in ("ApiRole", "SyncRole", "CallbackRole", "ReconcilerRole"):
        for statement in statements_of(template, role):
            if statement["Sid"] in more:
                statement["Resource"] = unique([*listed(statement["Resource"]), *more[statement["Sid"]]])
    shared = [repo for name, job in jobs.items() if "execution" not in own[name] for repo in _repositories(name, job, built)]
    for statement in statements_of(template, "TaskExecutionRole"):
        if statement["Sid"] == "Pull":
            statement["Resource"] = unique([*listed(statement["Resource"]), *shared])
        if statement["Sid"] == "Log":
            statement["Resource"] = [*listed(statement["Resource"]), sub(arn("logs", f"log-group:/ecs/{STACK}/*:*"))]


def statements_of(template, role):
    return [it for policy in template["Resources"][role]["Properties"]["Policies"] for it in policy["PolicyDocument"]["Statement"]]


def listed(one_or_more):
    return one_or_more if isinstance(one_or_more, list) else [one_or_more]


def unique(values):
    """Without repetitions, in the same order."""
    return [it for number, it in enumerate(values) if it not in values[:number]]


def _repositories(name, job, built):
    return [it for it in map(repository, images_of(name, job, built)) if it]


__all__ = ["SHARED_TABLE_ROLE", "allow_jobs", "own_roles", "role_of", "roles_of", "shared_table_role", "table_role", "task_roles"]
