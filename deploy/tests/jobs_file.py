"""Jobs as `longhaul jobs resolved` prints them, for the tests of what is generated for them.

`jobs_file.py COUNT` prints the template of so many jobs, each using everything.
"""

import copy
import functools
import json
import sys

import yaml
from cloudformation import ROOT, Loader, Template
from jobs.generate import generate

DIGEST = "@sha256:" + "1" * 64

PLAIN = {
    "description": None,
    "command": ["python3", "wordcount.py"],
    "image": {"build": "examples/container"},
    "cpu": 256,
    "memory": 512,
    "ephemeralStorageGiB": None,
    "capacity": None,
    "architecture": None,
    "user": None,
    "readonlyRootFilesystem": False,
    "environment": {},
    "secrets": {},
    "permissions": [],
    "taskRole": None,
    "sidecars": [],
    "logRetentionDays": None,
    "timeoutSeconds": 86400,
    "stopTimeoutSeconds": 30,
    "retry": {"maxAttempts": None, "onExitCodes": None, "backoffSeconds": None},
    "input": None,
    "allow": {"environment": [], "cpu": False, "memory": False},
}


def plain(**said):
    return copy.deepcopy(PLAIN) | said


def everything(number=0):
    """A job that uses everything that the file can say."""
    return plain(
        description=f"Counts the words of orders, part {number}",
        image={"reference": f"444455556666.dkr.ecr.us-east-1.amazonaws.com/team/orders-{number}:1"} if number % 2 else {"build": "examples/container"},
        cpu=512,
        memory=1024,
        ephemeralStorageGiB=50,
        capacity="spot" if number % 2 else "on-demand",
        architecture="arm64",
        user="65532:65532",
        readonlyRootFilesystem=True,
        environment={"PYTHONUNBUFFERED": "1", "PATTERN": "${NAME}"},
        secrets={
            "API_KEY": f"ssm:/orders/{number}/key",
            "PASSWORD": f"secretsmanager:orders/{number}#password",
            "TOKEN": f"secretsmanager:token-{number}",
        },
        permissions=[
            {"actions": ["s3:GetObject", "s3:ListBucket"], "resources": [f"arn:aws:s3:::orders-{number}", f"arn:aws:s3:::orders-{number}/*"]},
            {"actions": ["dynamodb:Query"], "resources": [f"arn:aws:dynamodb:us-east-1:444455556666:table/orders-{number}"]},
        ],
        sidecars=[
            {"name": "proxy", "image": "444455556666.dkr.ecr.us-east-1.amazonaws.com/proxy:1", "command": ["--quiet"], "environment": {"PORT": "8080"}}
        ],
        logRetentionDays=7,
        timeoutSeconds=7200,
        stopTimeoutSeconds=60,
        retry={"maxAttempts": 3, "onExitCodes": [75], "backoffSeconds": {"first": 5, "longest": 300}},
        input={"type": "object", "properties": {"order": {"type": "string", "pattern": "^${order}-[0-9]+$"}}, "required": ["order"]},
        allow={"environment": ["DEBUG"], "cpu": True, "memory": True},
    )


def jobs(count):
    return {f"orders-{number}": everything(number) for number in range(count)}


def generated(of, **options):
    """What is generated from template.yaml for these jobs."""
    return generate(yaml.load((ROOT / "template.yaml").read_text(), Loader), of, **options)


@functools.cache
def template_of(count):
    """The template of so many jobs, each using everything."""
    return Template(generated(jobs(count)).template)


if __name__ == "__main__":
    print(json.dumps(generated(jobs(int(sys.argv[1]))).template, indent=1))
