"""Measures starts, polls, lists, sweeps and memory with a growing number of executions at once, and of items in the table.

A task is a sleeping process without the worker, so that the machine can run thousands of them: only the stack and the functions are
measured. The items are copies of the item of one completed execution."""

import concurrent.futures
import contextlib
import json
import resource
import threading
import time

from api import ask
from common import TABLE, Http, children, number, percentile, say, stack, status_megabytes, until

AT_ONCE = tuple(int(number) for number in str(number("AT_ONCE", "1,10,100,1000,10000")).split(","))
ITEMS = tuple(int(number) for number in str(number("ITEMS", "1000,10000,100000,1000000")).split(","))
STARTS = 20
SWEEP = {"source": "aws.events", "detail-type": "Scheduled Event", "detail": {}}
THREADS, BATCH = 4, 25
FILES = 65_536


def tasks_that_sleep(local):
    container = {"name": "job", "image": "longhaul/worker", "entryPoint": ["sleep"], "command": ["1000000"], "stopTimeout": 2}
    local.call("AmazonEC2ContainerServiceV20141113.RegisterTaskDefinition", {
        "family": "longhaul-demo", "containerDefinitions": [container], "requiresCompatibilities": ["FARGATE"], "networkMode": "awsvpc",
        "cpu": "256", "memory": "512"})


def timed(call):
    began = time.perf_counter()
    call()
    return 1000 * (time.perf_counter() - began)


def figures(local, execution, starts, middle=None):
    """`middle` is a time before which half of the executions were accepted. If it is given, a page that starts there is listed too."""
    pages = {"list_ms": "/executions?pageSize=100"} | ({"middle_ms": f"/executions?pageSize=100&createdBefore={middle}"} if middle else {})
    listed = {name: ask(local.api_url, 1, "GET", path, None, seconds=1)["p50"] for name, path in pages.items()}
    get = ask(local.api_url, 1, "GET", f"/executions/{execution}", None, seconds=1)
    sweeps = [timed(lambda: local.invoke("longhaul-reconciler", SWEEP)) for _ in range(3)]
    return {"start_ms": percentile([timed(starts) for _ in range(STARTS)], 50), "get_ms": get["p50"], **listed,
            "first_sweep_ms": sweeps[0], "sweep_ms": min(sweeps), "memory_mb": status_megabytes(local.process.pid)}


def open_more_files():
    """Raises the limit of open files: the stack opens several for each task, and there are ten thousand tasks."""
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, FILES))


def executions_at_once(pattern):
    rows = []
    open_more_files()
    with stack() as local:
        tasks_that_sleep(local)
        mine, there, last = threading.local(), 0, None

        def start(_=None):
            if not hasattr(mine, "api"):
                mine.api = Http(local.api_url)
            return mine.api.request("POST", f"/executions/{pattern}", {"input": None})["executionId"]

        for wanted in AT_ONCE:
            wanted = max(wanted, there)
            began = time.monotonic()
            with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
                for last in pool.map(start, range(wanted - there)):
                    pass
            accepted = time.monotonic() - began
            running = lambda: sum(1 for _ in children(local.process.pid)) >= wanted
            until(running, patience=1200, pause=0.5)
            until(lambda: local.execution(last)["status"] == "RUNNING", patience=600)
            row = {"at_once": wanted, "accepted_a_second": (wanted - there) / accepted if wanted > there else None, "running_s": time.monotonic() - began}
            rows.append(row | figures(local, last, start))
            there = wanted + STARTS
            say(f"growth: {pattern}: {rows[-1]}")
    return rows


def shard(execution_id, shards):
    total = 0
    for byte in execution_id.encode():
        total = (total * 31 + byte) % 256
    return total % shards


def at(number):
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(1_760_000_000 - number))


def fill(local, item, first, last):
    """Writes copies of this item, numbered from `first` to `last`, each created one second before the previous one."""
    target = {"x-amz-target": "DynamoDB_20120810.BatchWriteItem", "content-type": "application/x-amz-json-1.0", "x-amz-date": "20260101T000000Z",
              "authorization": "AWS4-HMAC-SHA256 Credential=bench/20260101/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=0"}
    template = json.dumps({"PutRequest": {"Item": item | {"executionId": {"S": "@ID@"}, "ownerShard": {"S": "@SHARD@:local"}, "created": {"S": "@CREATED@"}}}})
    mine = threading.local()

    def put(number):
        stamp = at(number)
        execution_id = f"{number:08x}-0000-7000-8000-000000000000"
        return template.replace("@ID@", execution_id).replace("@SHARD@", str(shard(execution_id, 4))).replace("@CREATED@", f"{stamp}.000Z#{execution_id}")

    def write(begin):
        if not hasattr(mine, "aws"):
            mine.aws = Http(local.aws_url)
        puts = ",".join(put(number) for number in range(begin, min(begin + BATCH, last)))
        answer = mine.aws.request("POST", "/", f'{{"RequestItems":{{"{TABLE}":[{puts}]}}}}', target)
        assert not answer.get("UnprocessedItems"), answer

    with concurrent.futures.ThreadPoolExecutor(THREADS) as pool:
        for _ in pool.map(write, range(first, last, BATCH)):
            pass


def items_in_the_table():
    rows = []
    with stack("--job", "quick=echo 1") as local:
        body = {"job": "quick", "input": {"message": "Hello", "processingTime": 3}}
        execution = local.start("sync", body)
        until(lambda: local.execution(execution)["done"])
        item = local.call("DynamoDB_20120810.GetItem", {"TableName": TABLE, "Key": {"executionId": {"S": execution}}})["Item"]
        there = 0
        for wanted in ITEMS:
            began = time.monotonic()
            fill(local, item, there, wanted)
            row = {"items": wanted, "written_a_second": (wanted - there) / (time.monotonic() - began)}
            rows.append(row | figures(local, f"{wanted // 2:08x}-0000-7000-8000-000000000000", lambda: local.start("sync", body),
                                  f"{at(wanted // 2)}Z"))
            there = wanted
            say(f"growth: {rows[-1]}")
    return rows


def measure():
    return {"sync": executions_at_once("sync"), "items": items_in_the_table()}
