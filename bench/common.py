"""Shared by the parts of the benchmark: a local stack, the resource use of its processes, and statistics."""

import contextlib
import http.client
import json
import os
import pathlib
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse

BENCH = pathlib.Path(__file__).resolve().parent
ROOT = BENCH.parent
RELEASE = pathlib.Path(os.environ.get("BIN", ROOT / "target/release")).resolve()
PATIENCE_SECONDS = 120
# Any value works: the local stack uses only the access key's id.
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "any", "AWS_REGION": "us-east-1", "AWS_DEFAULT_REGION": "us-east-1",
               "AWS_EC2_METADATA_DISABLED": "true"}
TABLE = "longhaul-executions"
# The variables that the local stack and template.yaml set for the functions.
FUNCTIONS = {"EXECUTIONS_TABLE": TABLE, "DATA_BUCKET": "longhaul-data", "ECS_CLUSTER": "longhaul", "LOG_GROUP": "/ecs/longhaul", "SYNC_FUNCTION": "longhaul-sync:live",
             "CALLBACK_FUNCTION": "longhaul-callback:live", "RECONCILER_FUNCTION": "longhaul-reconciler",
             "JOBS": json.dumps({"demo": {"taskDefinition": "longhaul-demo"}})}


def number(name, default):
    """An option of the benchmark from the environment, or its default."""
    return type(default)(os.environ.get(name, default))


def percentile(values, per_cent):
    """The percentile of the values, or None if there are none."""
    values = sorted(values)
    return values[min(len(values) * per_cent // 100, len(values) - 1)] if values else None


def p50_p99(values):
    return {"p50": percentile(values, 50), "p99": percentile(values, 99), "count": len(values)}


def say(text):
    """Reports progress on standard error."""
    print(f"bench: {text}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def running(command, **options):
    """Runs a command in its own process group, and ends the group at the end."""
    process = subprocess.Popen(command, start_new_session=True, **options)
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def status_megabytes(pid, what="VmRSS"):
    """A process's memory, or None if the process has ended."""
    with contextlib.suppress(OSError):
        lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
        return next((int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{what}:")), None)


def processor_seconds(pid):
    """Processor time of a process with all its threads, or None if the process has ended."""
    with contextlib.suppress(OSError):
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def children(pid):
    """The running child processes of a process."""
    found = []
    for task in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found += [int(child) for child in task.read_text().split()]
    return found


class Refused(Exception):
    """The server responded with an error."""


# Every AWS client sends a signature. The local stack does not verify it.
SIGNATURE = "AWS4-HMAC-SHA256 Credential=bench/20260101/us-east-1/lambda/aws4_request, SignedHeaders=host, Signature=0"


class Http:
    """A connection to a server, reopened if the server has closed it."""

    def __init__(self, url):
        self.host = urllib.parse.urlsplit(url).netloc
        self.connection = None

    def request(self, method, path, body=None, headers=None):
        text = None if body is None else body if isinstance(body, (str, bytes)) else json.dumps(body)
        for last in (False, True):
            try:
                if self.connection is None:
                    self.connection = http.client.HTTPConnection(self.host, timeout=PATIENCE_SECONDS)
                self.connection.request(method, path, text, {"content-type": "application/json", "authorization": SIGNATURE, **(headers or {})})
                answer = self.connection.getresponse()
                content = answer.read()
                break
            except (OSError, http.client.HTTPException):
                self.connection = None
                if last:
                    raise
        if answer.status >= 400:
            raise Refused(f"{method} {path}: {answer.status} {content[:500]!r}")
        return json.loads(content) if content[:1] in (b"{", b"[", b'"') else content


class Stack:
    """A local stack of release binaries, with its own directory and ports."""

    def __init__(self, process, ready, data):
        self.process, self.api_url, self.aws_url, self.data = process, ready["api"], ready["aws"], pathlib.Path(data)
        self.api, self.aws = Http(self.api_url), Http(self.aws_url)
        self.used = {}

    def call(self, target, body):
        """Makes a call in one of AWS's JSON protocols."""
        headers = {"x-amz-target": target, "content-type": "application/x-amz-json-1.0", "x-amz-date": "20260101T000000Z"}
        return self.aws.request("POST", "/", body, headers)

    def ecs(self, operation, **body):
        return self.call(f"AmazonEC2ContainerServiceV20141113.{operation}", {"cluster": "longhaul", **body})

    def invoke(self, function, payload, name=None):
        """Starts a durable execution with a name, or invokes a plain function and returns its response."""
        headers = {"x-amz-invocation-type": "Event", "x-amz-durable-execution-name": name} if name else {}
        return self.aws.request("POST", f"/2015-03-31/functions/{function}/invocations", payload, headers)

    def start(self, pattern, body):
        return self.api.request("POST", f"/executions/{pattern}", body)["executionId"]

    def execution(self, execution_id):
        return self.api.request("GET", f"/executions/{execution_id}")

    def watch(self, by, **more):
        """Starts counting calls. `calls` returns what was counted."""
        return self.aws.request("POST", "/_local/faults", {"on": "*", "does": "watch", "by": by, "times": "all", **more})["id"]

    def arm(self, **fault):
        return self.aws.request("POST", "/_local/faults", fault)["id"]

    def calls(self, watch):
        """The number of calls that a watch has counted, and the most recent ones."""
        return self.aws.request("GET", f"/_local/faults/{watch}")

    def clear(self, fault):
        self.aws.request("DELETE", f"/_local/faults/{fault}")

    def forward(self, seconds):
        self.aws.request("POST", "/_local/clock", {"forward": seconds})

    def durable(self, name):
        """The stack's record of a durable execution, by its name. It has more than AWS's API returns."""
        with contextlib.closing(self.database()) as database:
            row = database.execute("SELECT arn, running, owed_at, body FROM durable_executions WHERE name = ?", [name]).fetchone()
            if row is None:
                return None
            due = database.execute("SELECT min(due) FROM durable_operations WHERE arn = ? AND due IS NOT NULL", [row[0]]).fetchone()[0]
        return {"arn": row[0], "running": bool(row[1]), "owed": row[2] is not None, "due": due, **json.loads(row[3])}

    def busy(self):
        """Whether accepted work is still pending."""
        queries = ("SELECT 1 FROM durable_executions WHERE owed_at IS NOT NULL LIMIT 1", "SELECT 1 FROM lambda_queue LIMIT 1", "SELECT 1 FROM event_deliveries LIMIT 1")
        with contextlib.closing(self.database()) as database:
            return any(database.execute(query).fetchone() for query in queries)

    def database(self):
        return sqlite3.connect(f"file:{self.data}/aws.db?mode=ro", uri=True, timeout=30)

    def reports(self, function):
        """Totals of the REPORT lines that Lambda has written for a function: among others, billed and initialization milliseconds."""
        query = """SELECT message FROM log_events JOIN log_streams ON log_streams.id = stream
                   WHERE group_name = ? AND message LIKE 'REPORT %'"""
        with contextlib.closing(self.database()) as database:
            lines = [message for (message,) in database.execute(query, [f"/aws/lambda/{function}"])]
        fields = [dict(field.split(": ", 1) for field in line.split("\t") if ": " in field) for line in lines]
        ms = lambda name: [float(line[name].split()[0]) for line in fields if name in line]
        return {"invocations": len(lines), "billed_ms": sum(ms("Billed Duration")), "duration_ms": sum(ms("Duration")),
                "init_ms": sum(ms("Init Duration")), "inits": len(ms("Init Duration")), "memory_mb": max(ms("Max Memory Used"), default=0)}

    def processes(self, function):
        """The running processes of a function."""
        return [pid for pid, name in self.functions() if name == function]

    def functions(self):
        """The running processes of all functions, each with its function's name."""
        for pid in children(self.process.pid):
            with contextlib.suppress(OSError):
                environment = pathlib.Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
                name = next((it[25:].decode() for it in environment if it.startswith(b"AWS_LAMBDA_FUNCTION_NAME=")), None)
                if name:
                    yield pid, name

    def note_use(self):
        """Records the processor time of the functions' processes. The stack ends a process after a minute without work."""
        for pid, function in self.functions():
            self.used[function, pid] = processor_seconds(pid) or self.used.get((function, pid), 0.0)

    def processor_ms(self, function):
        self.note_use()
        return 1000 * sum(seconds for (name, _), seconds in self.used.items() if name == function)


@contextlib.contextmanager
def stack(*options, **variables):
    with tempfile.TemporaryDirectory() as data:
        command = [RELEASE / "longhaul", "--listen", "127.0.0.1:0", "--aws-listen", "127.0.0.1:0", "--json", "--data", data, *options]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")} | variables
        with running(command, stdout=subprocess.PIPE, env=environment, cwd=ROOT) as process:
            line = process.stdout.readline()
            assert line, "the local stack did not start"
            yield Stack(process, json.loads(line), data)


def until(what, patience=PATIENCE_SECONDS, pause=0.01):
    """Waits until `what` returns a true value, and returns that."""
    end = time.monotonic() + patience
    while not (found := what()):
        assert time.monotonic() < end, "waited too long"
        time.sleep(pause)
    return found


def python_function(handler):
    """The command that runs a function of `python/pattern.py` with AWS's runtime interface client."""
    return f"env PYTHONPATH={BENCH / 'python'} {sys.executable} -m awslambdaric pattern.{handler}"


def median(values):
    return statistics.median(values) if values else None
