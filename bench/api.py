"""The API: every endpoint, on 1, 32 and 256 connections, beside a handler that makes only the same calls of AWS (the limit) and
beside FastAPI with boto3. All of them on the same local stack: what AWS takes is in every figure, and pulls each ratio towards 1.

Through `local`, each is a server of its own, and the API is measured inside the stack as well, where it shares threads with AWS;
through Lambda the API and the limit are programs behind `lambda_http`, the stack's Runtime API and its Invoke. The durable functions
and the reconciler answer at once and do nothing while starts are measured."""

import contextlib
import json
import os
import socket
import subprocess
import sys

from common import BENCH, CREDENTIALS, FUNCTIONS, RELEASE, SIGNATURE, Http, children, median, number, processor_seconds, running, say, stack, until

CONNECTIONS = tuple(int(number) for number in str(number("CONNECTIONS", "1,32,256")).split(","))
SECONDS = number("SECONDS", 1.5)
LAPS = number("LAPS", 3)
STARTED = 60
JOBS = {"quick": {"taskDefinition": "longhaul-quick"}}
START = {"job": "quick", "input": {"message": "Hello", "processingTime": 3}}
# Method, path behind the execution's id, body; which of them start something.
ENDPOINTS = {
    "start sync": ("POST", "/executions/sync", START), "start callback": ("POST", "/executions/callback", START),
    "get": ("GET", "/executions/{id}", None), "list": ("GET", "/executions", None), "cancel": ("POST", "/executions/{id}/cancel", None),
    "rerun": ("POST", "/executions/{id}/rerun", None), "logs": ("GET", "/executions/{id}/logs", None),
    "history": ("GET", "/executions/{id}/history", None), "jobs": ("GET", "/jobs", None), "document": ("GET", "/openapi.json", None),
    "health": ("GET", "/healthz", None),
}
STARTS = ("start sync", "start callback", "rerun")
FASTAPI = ("start sync", "get", "list", "health")


def ask(url, connections, method, path, body, seconds=SECONDS, headers=()):
    text = [] if body is None else [body if isinstance(body, str) else json.dumps(body)]
    command = [RELEASE / "load", url + path, str(connections), str(seconds), method, *text, *headers]
    done = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    wrong = {status: count for status, count in done["statuses"].items() if status[0] != "2"}
    assert not wrong and not done["failed"], f"{method} {path}: {done}"
    return done


def event(method, path, body):
    """What API Gateway's HTTP API sends, payload format 2.0."""
    http = {"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1", "userAgent": "bench"}
    context = {"accountId": "123456789012", "apiId": "abc", "authorizer": {"jwt": {"claims": {"sub": "ada"}, "scopes": None}},
               "domainName": "abc.execute-api.us-east-1.amazonaws.com", "domainPrefix": "abc", "http": http, "requestId": "r1",
               "routeKey": "$default", "stage": "$default", "time": "01/Jan/2026:00:00:00 +0000", "timeEpoch": 1767225600000}
    return {"version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": "", "isBase64Encoded": False,
            "headers": {"content-type": "application/json", "host": context["domainName"]}, "requestContext": context,
            "body": None if body is None else json.dumps(body)}


# Each caller's reading of logs is limited, and this is one caller.
UNLIMITED = {"LOG_READS": "4294967295"}


@contextlib.contextmanager
def server(local, program):
    environment = os.environ | CREDENTIALS | FUNCTIONS | UNLIMITED | {"AWS_ENDPOINT_URL": local.aws_url, "JOBS": json.dumps(JOBS)}
    with running([RELEASE / program, "127.0.0.1:0"], stdout=subprocess.PIPE, env=environment) as process:
        yield process.stdout.readline().decode().strip(), lambda: [process.pid]


@contextlib.contextmanager
def fastapi(local):
    """With a process for each core, as its own documents have it deployed."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    environment = os.environ | CREDENTIALS | {"AWS_ENDPOINT_URL": local.aws_url, "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "uvicorn", "fastapi_app:app", "--app-dir", BENCH / "python", "--port", str(port), "--workers", str(os.cpu_count()),
               "--no-access-log", "--log-level", "warning"]
    with running(command, env=environment) as process:
        answering = set()

        def all_answer():
            with contextlib.suppress(OSError):
                # A new connection goes to any of them.
                answering.add(Http(f"http://127.0.0.1:{port}").request("GET", "/process"))
            return len(answering) == os.cpu_count()

        until(all_answer, pause=0.1)
        yield f"http://127.0.0.1:{port}", lambda: [process.pid, *children(process.pid)]


def through_lambda(local, function, execution):
    """Asks as API Gateway does, and looks at the answer once: a refusal is a success of the invocation."""
    def asking(name, connections):
        method, path, body = ENDPOINTS[name]
        payload = json.dumps(event(method, path.format(id=execution), body))
        answer = local.aws.request("POST", f"/2015-03-31/functions/{function}/invocations", payload)
        assert answer["statusCode"] in (200, 202), (name, answer)
        return ask(local.aws_url, connections, "POST", f"/2015-03-31/functions/{function}/invocations", payload,
                   headers=[f"authorization: {SIGNATURE}"])

    return asking


def directly(url, execution):
    def asking(name, connections):
        method, path, body = ENDPOINTS[name]
        return ask(url, connections, method, path.format(id=execution), body)

    return asking


@contextlib.contextmanager
def servers(local, execution):
    with server(local, "server") as longhaul, server(local, "limit") as limit, fastapi(local) as theirs:
        inside = (local.api_url, list)
        sides = {"Longhaul": longhaul, "inside": inside, "limit": limit, "FastAPI": theirs}
        yield {side: (directly(url, execution), pids) for side, (url, pids) in sides.items()}


def used(local, pids):
    """Processor seconds of a server's own processes, and of the stack's."""
    return sum(processor_seconds(pid) or 0.0 for pid in pids), processor_seconds(local.process.pid)


def compare(local, sides, names):
    """Each endpoint on each side, in turn, so that whatever else the machine does is the same for all."""
    results = {}
    for name in names:
        for connections in CONNECTIONS:
            laps = {side: [] for side in sides if side != "FastAPI" or name in FASTAPI}
            for _ in range(LAPS):
                for side in laps:
                    asking, pids = sides[side]
                    # What the lap before has started is not this one's.
                    until(lambda: not local.busy(), patience=600, pause=0.1)
                    before = used(local, pids())
                    lap = asking(name, connections)
                    own, stacks = (1e6 * (after - was) / lap["asked"] for after, was in zip(used(local, pids()), before))
                    laps[side].append(lap | {"own_us": own, "stack_us": stacks})
            for side, all in laps.items():
                figures = {what: median([lap[what] for lap in all]) for what in ("rate", "p50", "p99", "own_us", "stack_us")}
                results.setdefault(name, {}).setdefault(str(connections), {})[side] = figures | {"count": sum(lap["count"] for lap in all)}
        rates = {side: round(results[name][str(CONNECTIONS[-1])][side]["rate"]) for side in laps}
        say(f"api: {name}: {rates} a second on {CONNECTIONS[-1]}")
    return results


def measure():
    nothing = f"{RELEASE / 'limit'} nothing"
    functions = ["--function", f"api=env LOG_READS={UNLIMITED['LOG_READS']} {RELEASE / 'api'}", "--function", f"limit={RELEASE / 'limit'}"]
    quick = ["--job", "quick=echo 1"]
    idle = ["--durable-function", f"longhaul-sync={nothing}", "--durable-function", f"longhaul-callback={nothing}", "--function", f"longhaul-reconciler={nothing}"]
    reads = [name for name in ENDPOINTS if name not in STARTS]
    results = {"seconds": SECONDS, "laps": LAPS, "connections": CONNECTIONS, "local": {}, "lambda": {}}
    with stack(*quick, *functions, "--log-reads", UNLIMITED["LOG_READS"]) as local:
        ids = [local.start("sync", START) for _ in range(STARTED)]
        for each in ids:
            until(lambda: local.execution(each)["done"])
        with servers(local, ids[-1]) as sides:
            results["local"] |= compare(local, sides, reads)
        # Another caller's executions are not there for this one: it gets some of its own.
        body = json.dumps(event("POST", "/executions/sync", START))
        mine = [json.loads(local.aws.request("POST", "/2015-03-31/functions/api/invocations", body)["body"])["executionId"] for _ in range(STARTED)]
        get = lambda one: json.loads(local.aws.request("POST", "/2015-03-31/functions/api/invocations", json.dumps(event("GET", f"/executions/{one}", None)))["body"])
        for each in mine:
            until(lambda: get(each)["done"])
        sides = {"Longhaul": (through_lambda(local, "api", mine[-1]), lambda: local.processes("api")),
                 "limit": (through_lambda(local, "limit", mine[-1]), lambda: local.processes("limit"))}
        results["lambda"] |= compare(local, sides, reads)
    with stack(*quick, *functions, *idle) as local:
        execution = local.start("sync", START)
        with servers(local, execution) as sides:
            results["local"] |= compare(local, sides, STARTS)
        mine = json.loads(local.aws.request("POST", "/2015-03-31/functions/api/invocations", body)["body"])["executionId"]
        sides = {"Longhaul": (through_lambda(local, "api", mine), lambda: local.processes("api")),
                 "limit": (through_lambda(local, "limit", mine), lambda: local.processes("limit"))}
        results["lambda"] |= compare(local, sides, STARTS)
    return results
