"""Runs the contract tests against the local stack.

With AWS_CONTRACT=1 it runs them against AWS: it deploys a stack for the tests and deletes it afterwards. That needs
credentials, a Region, and the `sam` of deploy/requirements.txt.
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import boto3

ROOT = pathlib.Path(__file__).resolve().parents[1]
FUNCTIONS = ROOT / "emulator/tests/python"
HANDLERS = ("steps", "retries", "fails", "callback", "wait_for_callback", "wait_for_condition", "child", "parallel", "mapped")
# The function whose versions the tests publish. A function given on the command line has only one version, so this one is
# created through the API.
DEPLOYED = "deployed"
STACK = "longhaul-contract"


def test(**environment):
    command = [sys.executable, "-m", "unittest", "--verbose", "test_contract"]
    return subprocess.run(command, cwd=ROOT / "contract", env=os.environ | environment).returncode


def command_for(handler):
    return f"env PYTHONPATH={FUNCTIONS} {sys.executable} -m awslambdaric durable_functions.{handler}"


def create_deployed(aws):
    credentials = {"region_name": "us-east-1", "aws_access_key_id": "any", "aws_secret_access_key": "any"}
    boto3.client("lambda", endpoint_url=aws, **credentials).create_function(
        FunctionName=DEPLOYED,
        PackageType="Image",
        Code={"ImageUri": f"local:{command_for('callback')}"},
        Role="arn:aws:iam::000000000000:role/any",
        Timeout=30,
        DurableConfig={"ExecutionTimeout": 900, "RetentionPeriodInDays": 1},
    )


def against_the_local_stack():
    with tempfile.TemporaryDirectory() as data:
        command = [ROOT / "target/debug/longhaul", "--listen", "127.0.0.1:0", "--aws-listen", "127.0.0.1:0", "--json", "--data", data]
        for handler in HANDLERS:
            command += ["--durable-function", f"{handler}={command_for(handler)}"]
        stack = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)
        try:
            aws = json.loads(stack.stdout.readline())["aws"]
            create_deployed(aws)
            return test(CONTRACT_ENDPOINT=aws, CONTRACT_QUALIFIER="1")
        finally:
            stack.terminate()
            stack.wait()


def against_aws():
    session = boto3.session.Session()
    missing = [what for what, present in (
        ("a Region: set AWS_REGION", os.environ.get("AWS_REGION") or session.region_name),
        ("credentials: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY", session.get_credentials()),
        ("the SAM CLI: pip install --requirement deploy/requirements.txt", shutil.which("sam")),
    ) if not present]
    if missing:
        sys.exit("AWS_CONTRACT=1 runs the tests against AWS. Missing: " + "; ".join(missing))
    region = os.environ.get("AWS_REGION") or session.region_name
    code = ROOT / "target/contract"
    shutil.rmtree(code, ignore_errors=True)
    code.mkdir(parents=True)
    shutil.copy(FUNCTIONS / "durable_functions.py", code)
    pinned = (ROOT / "tests/requirements.txt").read_text().splitlines()
    sdk = [line for line in pinned if line.startswith("aws-durable-execution-sdk-python==")]
    (code / "requirements.txt").write_text("\n".join(sdk) + "\n")

    def sam(*arguments):
        subprocess.run(["sam", *arguments, "--region", region], cwd=ROOT / "contract", check=True)

    sam("build")
    try:
        sam("deploy", "--stack-name", STACK, "--resolve-s3", "--capabilities", "CAPABILITY_IAM", "--no-fail-on-empty-changeset")
        return test(CONTRACT_PREFIX=f"{STACK}-", CONTRACT_QUALIFIER="live", AWS_DEFAULT_REGION=region)
    finally:
        sam("delete", "--stack-name", STACK, "--no-prompts")


if __name__ == "__main__":
    sys.exit(against_aws() if os.environ.get("AWS_CONTRACT") == "1" else against_the_local_stack())
