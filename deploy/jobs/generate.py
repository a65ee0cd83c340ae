"""Combines template.yaml with the jobs."""

import json
from dataclasses import dataclass, field

from . import catalog, limits, network, roles, tasks
from .images import without_image
from .names import DEMO, SHARED_TABLE_ROLE, logical

METADATA = "LonghaulJobs" # the section of a deployed template that says which jobs it has


class Refused(Exception):
    """The jobs cannot be deployed. The arguments are the reasons."""


@dataclass
class Generated:
    template: dict
    catalog: str | None = None # the file with the catalog, if JOBS does not have it
    warnings: list = field(default_factory=list)
    services: list = field(default_factory=list) # whose interface endpoints were added


def generate(template, jobs, built=None, deployed=None, kept=(), architecture=None, region=None):
    """The template with the jobs.

    `jobs` are those of the file, `built` their images by name, `deployed` the jobs that the stack has (`deployed_jobs`). `kept` are the
    names of those that are gone from the file and stay in the stack without accepting executions.
    """
    template = json.loads(json.dumps(template)) # YAML's anchors share objects, which are changed here
    built, deployed = built or {}, deployed or {}
    refuse(jobs, architecture)
    records = {name: {"job": job, "own": _own(job, deployed.get(name))} for name, job in jobs.items()}
    records |= {name: deployed[name] | {"disabled": True} for name in kept}
    if not records and not deployed:
        return Generated(template)
    all_jobs = {name: it["job"] for name, it in records.items()}
    built = {name: it["image"] for name, it in deployed.items() if name in kept and it["image"]} | built
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
    resources["ApiFunction"]["DependsOn"] = definitions
    passed = sorted({job["taskRole"] for job in all_jobs.values() if job["taskRole"]})
    roles.allow_jobs(template, all_jobs, built, own, passed)
    network.extend_endpoints(template, all_jobs)
    file = catalog.add_catalog(template, entries)
    recorded = {name: it | {"own": sorted(it["own"])} for name, it in records.items()}
    # As text, because CloudFormation allows no null.
    template.setdefault("Metadata", {})[METADATA] = {name: json.dumps(it, separators=(",", ":")) for name, it in recorded.items()}
    if found := limits.exceeded(template):
        raise Refused(*found)
    return Generated(template, file, network.warnings(all_jobs, built, region), network.services(all_jobs))


def refuse(jobs, architecture):
    """Raises `Refused` if a job cannot run on AWS."""
    found = [
        f"jobs.{name} has no image, so it can only run locally. Add a line to it: image = \"build:FOLDER\", with the folder of a Dockerfile, or image = \"REGISTRY/NAME:TAG\""
        for name in without_image(jobs)
    ]
    for name, job in jobs.items():
        if architecture and job["architecture"] not in (None, architecture):
            found.append(f"jobs.{name} needs {job['architecture']}, but the installation is for {architecture}. Deploy it as another stack, or set ARCHITECTURE={job['architecture']}")
        for sidecar in job["sidecars"]:
            if sidecar["name"] in (tasks.JOB, tasks.WORKER):
                found.append(f"jobs.{name} has a sidecar named {sidecar['name']}, which is the name of one of Longhaul's containers. Use another name")
        # In every string of a template, CloudFormation replaces this by a value from Systems Manager or Secrets Manager
        # (https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/dynamic-references.html).
        if "{{resolve:" in json.dumps(job):
            found.append(f"jobs.{name} contains {{{{resolve:, which CloudFormation would replace by a secret that everybody can then read. Use secrets")
    if found:
        raise Refused(*found)


def deployed_jobs(template):
    """The jobs that a deployed template has."""
    return {name: json.loads(it) for name, it in template.get("Metadata", {}).get(METADATA, {}).items()}


def _own(job, before):
    """Which roles a job has for itself. It keeps those that it had, because its running tasks use them."""
    return roles.own_roles(job) | set(before["own"] if before else ())


__all__ = ["DEMO", "Generated", "Refused", "deployed_jobs", "generate"]
