"""Measures end-to-end latency: from the POST to the task's start, and from the task's end to the final state that a caller sees.
It does so with events, and with polling alone, where every event of a task or workflow is lost."""

import datetime
import json
import random
import uuid

from common import number, p50_p99, python_function, say, stack, until

RUNS = number("LATENCY_RUNS", 60)
AT_ONCE = 6
# Durations vary, so that jobs end at any point between two polls of the Python functions.
LONGEST_SECONDS = 8.0


def seconds(text):
    """Converts a time of the API or of ECS to seconds since 1970."""
    if isinstance(text, (int, float)):
        return float(text)
    head, _, fraction = text.rstrip("Z").partition(".")
    return datetime.datetime.fromisoformat(head + "+00:00").timestamp() + float(f"0.{fraction or 0}")


def task_of(local, arn):
    return local.ecs("DescribeTasks", tasks=[arn])["tasks"][0]


def ours(pattern):
    def start(local, nap):
        return local.start(pattern, {"job": "nap", "input": nap})

    def end(local, name):
        execution = until(lambda: (seen := local.execution(name))["done"] and seen, patience=400, pause=0.05)
        assert execution["status"] == "COMPLETED", execution
        # A callback execution completes before its task stops.
        task = until(lambda: (seen := task_of(local, execution["taskArn"])).get("stoppedAt") and seen, pause=0.05)
        return seconds(task["createdAt"]) - seconds(execution["createdAt"]), seconds(execution["timeline"][-1]["at"]) - seconds(task["stoppedAt"])

    return start, end


def theirs():
    def start(local, nap):
        name = str(uuid.uuid4())
        local.invoke("longhaul-sync:live", {"id": name, "taskDefinition": "longhaul-nap", "input": nap}, name)
        return name

    def end(local, name):
        durable = until(lambda: (seen := local.durable(name)) and not seen["running"] and seen, pause=0.05)
        task = task_of(local, json.loads(durable["result"])["taskArn"])
        return seconds(task["createdAt"]) - seconds(durable["startedAt"]), seconds(durable["endedAt"]) - seconds(task["stoppedAt"])

    return start, end


def lags(local, start, end, at_once=AT_ONCE):
    random.seed(7)
    started, ended = [], []
    for _ in range(RUNS // at_once):
        names = [start(local, round(random.uniform(0, LONGEST_SECONDS), 2)) for _ in range(at_once)]
        for name in names:
            to_start, to_end = end(local, name)
            started.append(1000 * to_start)
            ended.append(1000 * to_end)
    return {"start_ms": p50_p99(started), "end_ms": p50_p99(ended)}


def measure():
    nap = ["--job", "nap=read nap; sleep $nap; echo 1"]
    results = {"runs": RUNS // AT_ONCE * AT_ONCE, "longest_s": LONGEST_SECONDS, "ways": {}}
    with stack(*nap) as local:
        lags_of = lambda way, pair, at_once=AT_ONCE: results["ways"].__setitem__(way, lags(local, *pair, at_once))
        lags_of("Longhaul sync, events", ours("sync"))
        lags_of("Longhaul callback", ours("callback"))
        say(f"latency: {results['ways']}")
        for event in ("ECS Task State Change", "Durable Execution Status Change"):
            local.arm(on=f"events:{event}", does="cutBefore", times="all")
        # The sweep sees each end only minutes later, so all executions are started at once.
        lags_of("Longhaul sync, polling alone", ours("sync"), RUNS)
    for way, handler in (("Python, every 5 s", "sync"), ("Python, wait_for_condition", "condition")):
        with stack(*nap, "--durable-function", f"longhaul-sync={python_function(handler)}") as local:
            results["ways"][way] = lags(local, *theirs())
            say(f"latency: {way}: {results['ways'][way]}")
    return results
