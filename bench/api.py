"""Measures every API endpoint with 1, 32 and 256 connections. Compares it with handlers that only make the same AWS calls (the
limit) and with FastAPI and boto3. All of them call the same local stack. The time that the stack takes for these calls is the same for
all of them, which moves each ratio towards 1.

In the part `local`, each is a separate server. The API is also measured inside the stack, where it shares threads with the AWS
emulation. In the part `lambda`, the API and the limit run behind `lambda_http`, and are invoked through the stack's Invoke and Runtime
API. While starts are measured, the durable functions and the reconciler do nothing and return at once."""

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
# Method, path and body of each endpoint.
ENDPOINTS = {
    "start sync": ("POST", "/executions/sync", START), "start callback": ("POST", "/executions/callback", START),
    "get": ("GET", "/executions/{id}", None), "list": ("GET", "/executions", None), "cancel": ("POST", "/executions/{id}/cancel", None),
    "rerun": ("POST", "/executions/{id}/rerun", None), "logs": ("GET", "/executions/{id}/logs", None),
    "history": ("GET", "/executions/{id}/history", None), "jobs": ("GET", "/jobs", None), "document": ("GET", "/openapi.json", None),
    "health": ("GET", "/healthz", None),
}
# The endpoints that start an execution.
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
    """The event that an HTTP API of API Gateway sends, in payload format 2.0."""
    http = {"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1", "userAgent": "bench"}
    context = {"accountId": "123456789012", "apiId": "abc", "authorizer": {"jwt": {"claims": {"sub": "ada"}, "scopes": None}},
               "domainName": "abc.execute-api.us-east-1.amazonaws.com", "domainPrefix": "abc", "http": http, "requestId": "r1",
               "routeKey": "$default", "stage": "$default", "time": "01/Jan/2026:00:00:00 +0000", "timeEpoch": 1767225600000}
    return {"version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": "", "isBase64Encoded": False,
            "headers": {"content-type": "application/json", "host": context["domainName"]}, "requestContext": context,
            "body": None if body is None else json.dumps(body)}


# The API limits how often each caller reads logs. The benchmark is a single caller.
UNLIMITED = {"LOG_READS": "4294967295"}


@contextlib.contextmanager
def server(local, program):
    environment = os.environ | CREDENTIALS | FUNCTIONS | UNLIMITED | {"AWS_ENDPOINT_URL": local.aws_url, "JOBS": json.dumps(JOBS)}
    with running([RELEASE / program, "127.0.0.1:0"], stdout=subprocess.PIPE, env=environment) as process:
        yield process.stdout.readline().decode().strip(), lambda: [process.pid]


@contextlib.contextmanager
def fastapi(local):
    """Runs FastAPI with one process for each core, as its documentation recommends."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    environment = os.environ | CREDENTIALS | {"AWS_ENDPOINT_URL": local.aws_url, "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "uvicorn", "fastapi_app:app", "--app-dir", BENCH / "python", "--port", str(port), "--workers", str(os.cpu_count()),
               "--no-access-log", "--log-level", "warning"]
    with running(command, env=environment) as process:
        answering = set()

        def all_answer():
            with contextlib.suppress(OSError):
                # Each new connection reaches one of the processes.
                answering.add(Http(f"http://127.0.0.1:{port}").request("GET", "/process"))
            return len(answering) == os.cpu_count()

        until(all_answer, pause=0.1)
        yield f"http://127.0.0.1:{port}", lambda: [process.pid, *children(process.pid)]


def through_lambda(local, function, execution):
    """Sends requests as API Gateway does. Checks one response first, because an invocation succeeds even if the API returns an error."""
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
    """Processor seconds of the server's processes, and of the stack."""
    return sum(processor_seconds(pid) or 0.0 for pid in pids), processor_seconds(local.process.pid)


def compare(local, sides, names):
    """Measures each endpoint on all sides in turn, so that other load on the machine affects them equally."""
    results = {}
    for name in names:
        for connections in CONNECTIONS:
            laps = {side: [] for side in sides if side != "FastAPI" or name in FASTAPI}
            for _ in range(LAPS):
                for side in laps:
                    asking, pids = sides[side]
                    # Wait for the work that the previous lap started.
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
        # The events have another caller, who cannot see the executions of `local`. So this caller starts its own.
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
