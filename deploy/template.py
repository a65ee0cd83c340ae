#!/usr/bin/env python3
"""Prints the template that is deployed: template.yaml with the jobs of longhaul.toml. `make template` and deploy.sh run it."""

import argparse
import json
import os
import pathlib
import sys

import yaml
from image_template import TEMPLATE, Loader, image_template
from jobs.catalog import filled
from jobs.generate import Refused, generate


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=pathlib.Path, help="the jobs, as `longhaul jobs resolved` prints them")
    parser.add_argument("--base", type=pathlib.Path, help="another template.yaml, such as the one that `sam build` writes")
    parser.add_argument("--package", choices=("zip", "image"), default="zip", help="how the functions are packaged")
    parser.add_argument("--architecture", help="of the installation; jobs for another one are refused")
    parser.add_argument("--region", help="of the installation; tasks can reach only its image repositories")
    parser.add_argument("--internet-egress", action="store_true", help="whether tasks reach the Internet")
    arguments = parser.parse_args()

    if arguments.package == "image":
        template = image_template()
    else:
        template = yaml.load((arguments.base or TEMPLATE).read_text(), Loader)
    jobs = json.loads(arguments.jobs.read_text())["jobs"] if arguments.jobs else {}
    try:
        generated = generate(template, jobs, architecture=arguments.architecture, region=arguments.region)
    except Refused as refused:
        for reason in refused.args:
            print(f"error: {reason}", file=sys.stderr)
        return 1
    if not arguments.internet_egress:
        for warning in generated.warnings:
            print(f"warning: {warning}", file=sys.stderr)
    print(json.dumps(generated.template, indent=1, ensure_ascii=False))
    return 0


if __name__ == "__main__":
    sys.exit(main())
