#!/usr/bin/env python3
"""Prints the template that is deployed: template.yaml with the jobs of longhaul.toml. template.sh and deploy.sh run it."""

import argparse
import json
import os
import pathlib
import sys

import yaml
from image_template import TEMPLATE, Loader, image_template
from jobs.catalog import filled
from jobs.generate import Refused, deployed_jobs, generate
from jobs.images import plan


def parsed():
    parser = argparse.ArgumentParser(description=__doc__)
    file = {"type": pathlib.Path, "metavar": "FILE"}
    parser.add_argument("--jobs", **file, help="the jobs, as `longhaul jobs resolved` prints them")
    parser.add_argument("--package", choices=("zip", "image"), default="zip", help="how the functions are packaged")
    parser.add_argument("--architecture", help="of the installation; jobs for another one are refused")
    parser.add_argument("--region", help="of the installation; tasks can reach only its image repositories")
    parser.add_argument("--summary", action="store_true", help="say on stderr what was generated")
    parser.add_argument("--internet-egress", action="store_true", help="whether tasks reach the Internet")
    deploy = parser.add_argument_group("what deploy.sh adds")
    deploy.add_argument("--base", **file, help="the template that `sam build` wrote, instead of template.yaml")
    deploy.add_argument("--deployed", **file, help="the template that the stack has, as JSON")
    deploy.add_argument("--in-flight", **file, help="the names of jobs that have unfinished executions, one a line")
    deploy.add_argument("--built", **file, help="lines of a job's name and its image, by digest")
    deploy.add_argument("--catalog", **file, help="where to write the catalog, if the functions read it from a file")
    deploy.add_argument("--plan", **file, help="where to write which images and endpoints the jobs need")
    return parser.parse_args()


def lines(file):
    return [line.split() for line in file.read_text().splitlines()] if file else []


def read_deployed(file):
    """The template of the stack, which is in YAML, as `sam deploy` writes it, or in JSON."""
    found = json.loads(file.read_text())
    return (yaml.load(found, Loader) if isinstance(found, str) else found) or {}


def main():
    arguments = parsed()
    base = yaml.load((arguments.base or TEMPLATE).read_text(), Loader)
    template = image_template() if arguments.package == "image" else base
    deployed = deployed_jobs(read_deployed(arguments.deployed)) if arguments.deployed else {}
    resolved = json.loads(arguments.jobs.read_text()) if arguments.jobs else {"jobs": {}}
    jobs = resolved["jobs"]
    try:
        if not arguments.jobs and not all(it.get("disabled") for it in deployed.values()):
            raise Refused(
                f"error: the stack has the jobs {', '.join(sorted(deployed))}, but no file with jobs was given. Set JOBS=FILE. To remove them, use a file without jobs"
            )
        generated = generate(
            template,
            jobs,
            built=dict(lines(arguments.built)),
            deployed=deployed,
            in_flight={name for (name,) in lines(arguments.in_flight)},
            architecture=arguments.architecture,
            region=arguments.region,
            places=resolved.get("places"),
        )
    except Refused as refused:
        for reason in refused.args:
            print(f"{reason}.", file=sys.stderr)
        return 1
    if arguments.plan:
        arguments.plan.write_text("".join(f"{line}\n" for line in [*plan(jobs), *(f"service {it}" for it in generated.services)]))
        for notice in generated.notices:
            print(f"{notice}.", file=sys.stderr)
    if not arguments.internet_egress and not arguments.base: # deploy.sh has seen them when it has a base
        for warning in generated.warnings:
            print(f"warning: {warning}", file=sys.stderr)
    if arguments.summary:
        print(generated.summary(jobs), file=sys.stderr)
    if arguments.catalog:
        values = {name: os.environ[variable] for name, variable in VALUES.items()}
        arguments.catalog.write_text(filled(generated.catalog or "{}", **values))
    print(json.dumps(generated.template, indent=1, ensure_ascii=False))
    return 0


# What CloudFormation fills in, and deploy.sh's variables that have it.
VALUES = {"StackName": "STACK", "Region": "REGION", "AccountId": "ACCOUNT", "Partition": "PARTITION"}


if __name__ == "__main__":
    sys.exit(main())
