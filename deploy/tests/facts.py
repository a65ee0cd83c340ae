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


def calls_of(program):
    """The AWS calls that a program makes, as IAM actions."""
    # The only action that is not named like its call.
    return {{"lambda:Invoke": "lambda:InvokeFunction"}.get(call, call) for call in facts()["programs"][program]["calls"]}
