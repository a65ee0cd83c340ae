"""The catalog of jobs that the functions read from the variable JOBS.

A function's environment has at most 4 KB. If the catalog does not fit, it is a file in the packages of the functions, and JOBS names
it. CloudFormation cannot fill in values in that file, so deploy.sh gives them (`filled`).
"""

import json

from .names import DEMO, family, log_group, role_arn
from .roles import table_role

FILE = "jobs.json"
FUNCTIONS = ("ApiFunction", "SyncFunction", "CallbackFunction", "ReconcilerFunction") # those that have JOBS
CAPACITY = {"spot": "FARGATE_SPOT", "on-demand": "FARGATE"}


def entry(name, job, own, disabled):
    """A job's entry, in which CloudFormation fills in the names."""
    backoff = {key: value for key, value in ((job["retry"] or {}).get("backoffSeconds") or {}).items() if value is not None}
    retry = {key: value for key, value in (job["retry"] or {}).items() if value is not None and key != "backoffSeconds"}
    said = {
        "description": job["description"],
        "timeoutSeconds": job["timeoutSeconds"],
        "cpu": job["cpu"],
        "memory": job["memory"],
        "capacityProvider": CAPACITY.get(job["capacity"]),
        "retry": retry | ({"backoffSeconds": backoff} if backoff else {}) or None,
        "input": job["input"],
        "allow": {key: value for key, value in (job["allow"] or {}).items() if value} or None,
        "disabled": disabled or None,
    }
    ours = {"taskDefinition": family(name), "tableRole": table_role(name, job, own), "logGroup": log_group(name)}
    return ours | {key: _escaped(value) for key, value in said.items() if value is not None}


def add_catalog(template, entries):
    """Sets JOBS. Returns the catalog's file with names to fill in, or None if JOBS has the catalog."""
    from .limits import fits_in_environment

    functions = [template["Resources"][name]["Properties"]["Environment"]["Variables"] for name in FUNCTIONS]
    demo = {name: it for name, it in json.loads(functions[0]["JOBS"]["Fn::Sub"]).items() if name not in entries}
    text = _compact(demo | entries)
    for variables in functions:
        variables["JOBS"] = {"Fn::Sub": text}
    if fits_in_environment(template):
        return None
    for variables in functions:
        variables["JOBS"] = f"@{FILE}"
    if DEMO in demo:
        demo[DEMO]["tableRole"] = role_arn("", "table")
    return _compact(demo | entries)


def filled(text, **values):
    """The catalog with CloudFormation's pseudo parameters, such as StackName, replaced."""
    for name, value in values.items():
        text = text.replace("${AWS::%s}" % name, value)
    return text.replace("${!", "${")


def _compact(value):
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _escaped(value):
    """A value of the file in which CloudFormation fills in nothing: a pattern in a JSON Schema may contain `${`."""
    if isinstance(value, str):
        return value.replace("${", "${!")
    if isinstance(value, list):
        return [_escaped(it) for it in value]
    if isinstance(value, dict):
        return {_escaped(key): _escaped(it) for key, it in value.items()}
    return value
