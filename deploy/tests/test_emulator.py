"""Runs the unmodified SAM CLI with the local stack as its emulator of durable functions."""

import json
import os
import pathlib
import subprocess
import tempfile
import time
import unittest
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
PATIENCE_SECONDS = 90
# Every AWS client sends a signature. The local stack does not verify it.
SIGNATURE = "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/lambda/aws4_request, SignedHeaders=host, Signature=0"


class Emulator(unittest.TestCase):
    def setUp(self):
        data = tempfile.TemporaryDirectory()
        self.addCleanup(data.cleanup)
        ports = ["--listen", "127.0.0.1:0", "--aws-listen", "127.0.0.1:0"]
        command = [ROOT / "target/debug/longhaul", *ports, "--json", "--data", data.name]
        self.stack = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT)
        self.addCleanup(self.stack.stdout.close)
        self.addCleanup(self.stack.wait)
        self.addCleanup(self.stack.terminate)
        self.aws = json.loads(self.stack.stdout.readline())["aws"]

    def start(self):
        """Starts the demonstration job, and returns the ARN of its durable execution."""
        url = f"{self.aws}/2015-03-31/functions/longhaul-callback:live/invocations"
        body = json.dumps({"message": "Hello", "processingTime": 1}).encode()
        request = urllib.request.Request(url, body, {"x-amz-invocation-type": "Event", "authorization": SIGNATURE})
        with urllib.request.urlopen(request) as answer:
            return answer.headers["x-amz-durable-execution-arn"]

    def sam(self, *arguments):
        port = self.aws.rsplit(":", 1)[1]
        environment = {**os.environ, "DURABLE_EXECUTIONS_EXTERNAL_EMULATOR_PORT": port, "SAM_CLI_TELEMETRY": "0"}
        command = ["sam", "local", "execution", *arguments, "--format", "json"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def test_sam_reads_an_execution_and_its_history(self):
        arn = self.start()
        deadline = time.monotonic() + PATIENCE_SECONDS
        while (execution := self.sam("get", arn))["Status"] == "RUNNING":
            self.assertLess(time.monotonic(), deadline)
            time.sleep(1)
        self.assertEqual((execution["DurableExecutionArn"], execution["Status"]), (arn, "SUCCEEDED"))
        self.assertEqual(json.loads(execution["InputPayload"])["message"], "Hello")
        events = self.sam("history", arn)["Events"]
        self.assertEqual([event["EventId"] for event in events], list(range(1, len(events) + 1)))
        kinds = [event["EventType"] for event in events]
        self.assertEqual((kinds[0], kinds[-1]), ("ExecutionStarted", "ExecutionSucceeded"))
        steps = [event["Name"] for event in events if event["EventType"] == "StepSucceeded"]
        self.assertEqual(steps, ["create-record", "run-task", "record-task"])


if __name__ == "__main__":
    unittest.main()
