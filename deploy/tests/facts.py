"""What the programs declare that they need: variables, AWS calls, the table, limits, routes, CORS and events. See the program `facts`."""

import functools
import json
import subprocess

from cloudformation import ROOT


@functools.cache
def facts():
    """The facts. `make template-test` builds the program that prints them."""
    printed = subprocess.run([ROOT / "target/debug/facts"], check=True, capture_output=True, text=True)
    return json.loads(printed.stdout)


# The actions that a call needs, if it is not the one action that is named like it. For HeadObject, see the role of the API in template.yaml.
ACTIONS = {"lambda:Invoke": {"lambda:InvokeFunction"}, "s3:HeadObject": {"s3:GetObject", "s3:ListBucket"}}


def calls_of(program):
    """The AWS calls that a program makes, as IAM actions."""
    return set().union(*(ACTIONS.get(call, {call}) for call in facts()["programs"][program]["calls"]))
