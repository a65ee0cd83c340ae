"""Compares the local stack's durable executions with AWS's engine for tests (dex-local-runner), using one cheap function.

The local stack keeps everything on disk. AWS's engine keeps everything in memory, which is its default. The figures per
processor second depend little on other load on the machine.
"""

import concurrent.futures
import contextlib
import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

from common import BENCH, RELEASE, processor_seconds, running, status_megabytes

LONGHAUL = os.environ.get("LONGHAUL", RELEASE / "longhaul")
FUNCTION = BENCH / "engine_function.py"
# First a few long executions at once, then many short ones. An engine may take PATIENCE seconds for all of them.
LONG, STEPS = 4, int(os.environ.get("STEPS", 500))
EXECUTIONS = int(os.environ.get("EXECUTIONS", 10_000))
AT_ONCE = 4
PATIENCE_SECONDS = int(os.environ.get("PATIENCE", 600))


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Done:
    """Receives a datagram for each execution that has ended."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        self.socket.bind(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]

    def wait_for(self, number, until):
        """Waits for a number of executions to end. Returns how many have ended at that time."""
        for ended in range(number):
            self.socket.settimeout(max(0.001, until - time.monotonic()))
            try:
                self.socket.recv(1)
            except TimeoutError:
                return ended
        return number


# Every AWS client sends a signature. The local stack does not verify it.
SIGNATURE = "AWS4-HMAC-SHA256 Credential=bench/20260101/us-east-1/lambda/aws4_request, SignedHeaders=host, Signature=0"


def post(url, body, headers):
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json", "Authorization": SIGNATURE, **headers})
    with urllib.request.urlopen(request) as answer:
        answer.read()


@contextlib.contextmanager
def local_stack(done):
    with tempfile.TemporaryDirectory() as data:
        ports = ["--listen", "127.0.0.1:0", "--aws-listen", "127.0.0.1:0"]
        function = f"steps={sys.executable} {FUNCTION} {done.port}"
        command = [LONGHAUL, *ports, "--json", "--data", data, "--durable-function", function]
        with running(command, stdout=subprocess.PIPE) as process:
            aws = json.loads(process.stdout.readline())["aws"]
            url = f"{aws}/2015-03-31/functions/steps:1/invocations"
            yield process, lambda _, steps: post(url, {"steps": steps}, {"X-Amz-Invocation-Type": "Event"})


@contextlib.contextmanager
def test_engine(done):
    engine, function = free_port(), free_port()
    runner = pathlib.Path(sys.executable).parent / "dex-local-runner"
    command = [runner, "start-server", "--host", "127.0.0.1", "--port", str(engine), "--log-level", "ERROR",
               "--local-runner-endpoint", f"http://127.0.0.1:{engine}", "--lambda-endpoint", f"http://127.0.0.1:{function}"]
    credentials = {"AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any", "AWS_DEFAULT_REGION": "us-east-1"}
    quiet = dict(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with running([sys.executable, FUNCTION, str(done.port), f"127.0.0.1:{engine}", str(function)], **quiet), \
            running(command, env=os.environ | credentials, **quiet) as process:
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{engine}/health").read()
                break
            except OSError:
                time.sleep(0.1)

        def start(name, steps):
            body = {"AccountId": "123456789012", "FunctionName": "steps", "FunctionQualifier": "$LATEST", "ExecutionName": name,
                    "ExecutionTimeoutSeconds": 900, "ExecutionRetentionPeriodDays": 1, "Input": json.dumps({"steps": steps})}
            post(f"http://127.0.0.1:{engine}/start-durable-execution", body, {})

        yield process, start


def measure(engine):
    done = Done()
    with engine(done) as (process, start):
        idle = status_megabytes(process.pid)
        start("warm-up", 1)
        assert done.wait_for(1, time.monotonic() + 60) == 1, "the first execution did not end"
        until = time.monotonic() + PATIENCE_SECONDS
        began, used = time.monotonic(), processor_seconds(process.pid)
        for number in range(LONG):
            start(f"long-{number}", STEPS)
        through = done.wait_for(LONG, until)
        assert through == LONG, f"only {through} of {LONG} long executions ended"
        steps = LONG * STEPS / (time.monotonic() - began)
        steps_used = LONG * STEPS / (processor_seconds(process.pid) - used)
        began, used = time.monotonic(), processor_seconds(process.pid)
        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            accepted = pool.map(lambda number: start(f"short-{number}", 1), range(EXECUTIONS))
            for _ in accepted:
                if time.monotonic() > until:
                    pool.shutdown(wait=True, cancel_futures=True)
                    break
            else:
                pool.shutdown(wait=True)
            starts = time.monotonic() - began
        ended = done.wait_for(EXECUTIONS, until)
        seconds = time.monotonic() - began
        return {"steps": steps, "steps_used": steps_used, "through_used": ended / (processor_seconds(process.pid) - used), "accepted": EXECUTIONS / starts if ended == EXECUTIONS else ended / starts,
                "through": ended / seconds, "ended": ended, "idle": idle, "resident": status_megabytes(process.pid)}


ours, theirs = measure(local_stack), measure(test_engine)
ratios = {name: ours[name] / theirs[name] for name in ("steps", "steps_used", "accepted", "through", "through_used", "resident")}
print(f"{'':40}{'ratio':>10}{'local stack':>14}{'dex-local-runner':>18}")
for name, text in (("steps", f"steps a second, {LONG} executions at once"), 
                   ("steps_used", "steps per processor second"), ("accepted", "executions accepted a second"),
                   ("through", "executions completed a second"),
                   ("through_used", "executions per processor second"), ("resident", "MB resident afterwards")):
    print(f"{text:40}{ratios[name]:>10.2f}{ours[name]:>14.1f}{theirs[name]:>18.1f}")
print(f"{'MB resident, idle':40}{ours['idle'] / theirs['idle']:>10.2f}{ours['idle']:>14.1f}{theirs['idle']:>18.1f}")
print(f"{'executions that ended':40}{'':>10}{ours['ended']:>14}{theirs['ended']:>18}")
print(f"{LONGHAUL}, {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}")
