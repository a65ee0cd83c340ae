"""Combines template.yaml with the jobs."""

import json
from dataclasses import dataclass, field

from . import catalog, limits, network, roles, tasks
from .images import without_image
from .names import DEMO, SHARED_TABLE_ROLE, logical

METADATA = "LonghaulJobs" # the section of a deployed template that says which jobs it has


class Refused(Exception):
    """The jobs cannot be deployed. The arguments are the reasons, each with its place in the file if it has one."""


@dataclass
class Generated:
    template: dict
    catalog: str | None = None # the file with the catalog, if JOBS does not have it
    warnings: list = field(default_factory=list)
    services: list = field(default_factory=list) # whose interface endpoints were added
    notices: list = field(default_factory=list) # what happens to jobs that are gone from the file

    def summary(self, jobs):
        """What was generated, for people."""
        entries = json.loads(self.catalog) if self.catalog else None
        text = self.catalog or self.template["Resources"][catalog.FUNCTIONS[0]]["Properties"]["Environment"]["Variables"]["JOBS"]["Fn::Sub"]
        others = sorted((entries or json.loads(text)).keys() - jobs.keys())
        kept = f"in the file {catalog.FILE} of the functions' packages" if self.catalog else "in the variable JOBS of the functions"
        return "\n".join([
            f"jobs:      {len(jobs)} of the file{': ' if jobs else ''}{', '.join(jobs)}" + (f"; also {', '.join(others)}" if others else ""),
            f"resources: {limits.resources(self.template)} of {limits.RESOURCES}, with those that SAM adds",
            f"catalog:   {len(text.encode())} bytes, {kept}",
        ])  # fmt: skip


def generate(template, jobs, built=None, deployed=None, in_flight=(), architecture=None, region=None, places=None):
    """The template with the jobs.

    `jobs` are those of the file, `built` their images by name, `deployed` the jobs that the stack has (`deployed_jobs`), and `in_flight`
    the names of those that have unfinished executions. `places` are those of the jobs in the file, for messages.
    """
    template = json.loads(json.dumps(template)) # YAML's anchors share objects, which are changed here
    built, deployed = built or {}, deployed or {}
    refuse(jobs, architecture, places or {})
    records = {name: _record(job, deployed.get(name), name in in_flight) for name, job in jobs.items()}
    gone, notices = removal(jobs, deployed, in_flight)
    records |= gone
    if not records and not deployed:
        return Generated(template)
    all_jobs = {name: it["job"] for name, it in records.items()}
    built = {name: it["image"] for name, it in gone.items() if it["image"]} | built
    own = {name: set(it["own"]) for name, it in records.items()}

    resources = template["Resources"]
    resources[SHARED_TABLE_ROLE] = roles.shared_table_role(template)
    entries, definitions = {}, []
    for name, job in all_jobs.items():
        resources |= roles.roles_of(template, name, job, built, own[name])
        resources[logical(name, "Log")] = tasks.log(name, job)
        resources[logical(name, "Task")] = tasks.task_definition(name, job, built, roles.task_roles(name, job, own[name]))
        definitions.append(logical(name, "Task"))
        entries[name] = catalog.entry(name, job, own[name], records[name].get("disabled", False))
        records[name]["image"] = built.get(name)
    # Before the API accepts executions of a job, ECS knows its task definition.
    if definitions:
        resources["ApiFunction"]["DependsOn"] = definitions
    passed = sorted({role for it in records.values() for role in it["passed"]})
    roles.allow_jobs(template, all_jobs, built, own, passed)
    network.extend_endpoints(template, all_jobs)
    file = catalog.add_catalog(template, entries)
    # As text, because CloudFormation allows no null.
    template.setdefault("Metadata", {})[METADATA] = {name: json.dumps(it, separators=(",", ":")) for name, it in records.items()}
    if found := limits.exceeded(template):
        raise Refused(*(f"error: {it}" for it in found))
    return Generated(template, file, network.warnings(jobs, built, region), network.services(all_jobs), notices)


def refuse(jobs, architecture, places):
    """Raises `Refused` if a job cannot run on AWS."""
    found = [
        (name, f"jobs.{name} has no image, so it can only run locally. Add a line to it: image = \"build:FOLDER\", with the folder of a Dockerfile, or image = \"REGISTRY/NAME:TAG\"")
        for name in without_image(jobs)
    ]
    for name, job in jobs.items():
        if architecture and job["architecture"] not in (None, architecture):
            found.append((name, f"jobs.{name} needs {job['architecture']}, but the installation is for {architecture}. Deploy it as another stack, or set ARCHITECTURE={job['architecture']}"))
        for sidecar in job["sidecars"]:
            if sidecar["name"] in (tasks.JOB, tasks.WORKER):
                found.append((name, f"jobs.{name} has a sidecar named {sidecar['name']}, which is the name of one of Longhaul's containers. Use another name"))
        # In every string of a template, CloudFormation replaces this by a value from Systems Manager or Secrets Manager
        # (https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/dynamic-references.html).
        if "{{resolve:" in json.dumps(job):
            found.append((name, f"jobs.{name} contains {{{{resolve:, which CloudFormation would replace by the value itself, in plain text. Use secrets"))
    if found:
        raise Refused(*(f"{places.get(name, 'error')}: {reason}" for name, reason in found))


def deployed_jobs(template):
    """The jobs that a deployed template has."""
    return {name: json.loads(it) for name, it in template.get("Metadata", {}).get(METADATA, {}).items()}


def removal(jobs, deployed, in_flight):
    """The jobs that are gone from the file and stay, and what happens to all that are gone.

    A job that is gone first stays, without accepting executions: those in flight may retry, and need its task definition, its roles and
    its log. A later deployment removes it, if none of them is left.
    """
    stay, notices = {}, []
    for name, before in deployed.items():
        if name in jobs or name == DEMO: # without a job of that name, there is the demonstration
            continue
        if not before.get("disabled"):
            notices.append(
                f"jobs.{name} is gone from the file. It accepts no new executions, and those in flight continue. A later deployment removes it and its log"
            )
        elif name in in_flight:
            notices.append(f"jobs.{name} is gone from the file, but stays because executions of it are in flight. A later deployment removes it and its log")
        else:
            notices.append(f"jobs.{name} is removed, with its log")
            continue
        stay[name] = before | {"disabled": True}
    return stay, notices


def _record(job, before, in_flight):
    """What the deployed template says about a job.

    Tasks and workflows that have started keep their roles: `own` are the kinds of roles that it has for itself or once had, and `passed`
    the roles of `taskRole` that its workflows may use.
    """
    before = before or {"own": [], "passed": []}
    last = before["passed"] if in_flight else before["passed"][:1]
    passed = roles.unique([*filter(None, [job["taskRole"]]), *last])
    return {"job": job, "own": sorted(roles.own_roles(job) | set(before["own"])), "passed": passed}


__all__ = ["DEMO", "Generated", "Refused", "deployed_jobs", "generate"]
