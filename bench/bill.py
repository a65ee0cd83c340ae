"""Measures what an execution costs: what Lambda charges for, what is checkpointed, and which AWS calls are made. It does so for jobs
of 10 seconds to a year, with Longhaul and with the alternatives.

The clock is moved forward to each time that the execution waits for, so a year takes minutes. The functions run without
libfaketime, because with it Python's threads spin and an invocation takes sixteen times as long. Their own clock is therefore
not moved. This does not matter, because they wait through Lambda, whose clock is moved. An execution that uses up its
operations ends early. Its costs are not extrapolated beyond its end."""

import contextlib
import datetime
import pathlib
import tempfile
import time
import uuid

from common import RELEASE, number, python_function, say, stack, until

HOUR, DAY = 3600, 86_400
# An execution's deadline is a year after its start. The longest job ends an hour before that.
JOBS = {"10 s": 10, "10 min": 600, "10 h": 10 * HOUR, "365 d": number("DAYS", 365) * DAY - HOUR}
RUNS = {"10 s": number("RUNS", 5), "10 min": 2}
KINDS = ("dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem", "ecs:RunTask", "ecs:DescribeTasks", "ecs:ListTasks", "ecs:StopTask",
         "lambda:CheckpointDurableExecution", "lambda:GetDurableExecutionState", "logs:GetLogEvents")
SYNC, CALLBACK, RECONCILER = "longhaul-sync", "longhaul-callback", "longhaul-reconciler"
# ECS allows this many DescribeTasks a second in an account (ECS API, request throttling).
DESCRIBES_A_SECOND = 20
# A sweep calls GetDurableExecution for workflows from this age on. It does so 15 times a second during 40 s of each minute
# (crates/reconciler/src/checks.rs), which is 10 a second on average. Lambda allows 30 a second in an account.
ASKED_FROM = HOUR
QUESTIONS_A_SECOND = 10
VARIANTS = {
    "Longhaul sync": (SYNC, None), "Python, every 5 s": (SYNC, "sync"), "Python, wait_for_condition": (SYNC, "condition"),
    "Longhaul callback": (CALLBACK, None), "Python callback": (CALLBACK, "callback"),
}


def clock(local):
    """Milliseconds since 1970, as the stack's programs see them."""
    text = local.aws.request("GET", "/_local/clock")["now"]
    return 1000 * datetime.datetime.fromisoformat(text[:26].rstrip("Z") + "+00:00").timestamp()


def begin(local, function, handler):
    """Starts an execution, and returns its name."""
    if handler is None:
        return local.start(function.removeprefix("longhaul-"), {"job": "waits", "input": None, "timeoutSeconds": 365 * DAY})
    name = str(uuid.uuid4())
    local.invoke(f"{function}:live", {"id": name, "taskDefinition": "longhaul-waits", "input": None}, name)
    return name


def tasks(local, name):
    """The states of the tasks that an execution has started."""
    arns = [arn for desired in ("RUNNING", "STOPPED") for arn in local.ecs("ListTasks", desiredStatus=desired)["taskArns"]]
    described = local.ecs("DescribeTasks", tasks=arns)["tasks"] if arns else []
    return [task["lastStatus"] for task in described if task.get("startedBy") == name]


def live(local, name, seconds, end, woken):
    """Follows an execution until it ends or has used up its operations. Returns its duration on the stack's clock.

    The clock is moved only while the execution is suspended: no invocation is pending, and the time that it waits for is in the
    future. So no wait is skipped."""
    until(lambda: "RUNNING" in tasks(local, name))
    began, ended = clock(local), False
    while True:
        now = local.durable(name)
        local.note_use()
        if not now["running"]:
            return (clock(local) - began) / 1000
        at = clock(local)
        if now["owed"] or now["due"] is None or now["due"] <= at:
            time.sleep(0.002)
            continue
        if not ended and now["due"] - began >= 1000 * seconds:
            local.forward(max(0.0, seconds - (at - began) / 1000))
            end.touch()
            until(lambda: "STOPPED" in tasks(local, name))
            ended = True
            if woken:  # wait for the event of the task's end
                with contextlib.suppress(AssertionError):
                    until(lambda: (seen := local.durable(name))["owed"] or not seen["running"], patience=10)
            continue
        # A little more, so that rounding does not leave the clock just before the due time.
        local.forward((now["due"] - at) / 1000 + 0.005)


def delta(after, before):
    return {name: after[name] - before[name] if name not in ("memory_mb",) else after[name] for name in after}


def one(local, function, handler, seconds, end):
    """Runs one execution and measures its costs."""
    end.unlink(missing_ok=True)
    watches = {kind: local.arm(on=kind, does="watch", by=function, times="all") for kind in ("*", *KINDS)}
    before = [(local.reports(name), local.processor_ms(name)) for name in (function, RECONCILER)]
    reconciler_watch = local.watch(RECONCILER)
    began = time.monotonic()
    name = begin(local, function, handler)
    until(lambda: local.durable(name))
    if function == CALLBACK:
        until(lambda: not local.durable(name)["running"])
        lived = 0.0
        end.touch()
        until(lambda: "STOPPED" in tasks(local, name))
    else:
        lived = live(local, name, seconds, end, woken=handler is None)
        end.touch()
    took = time.monotonic() - began
    time.sleep(0.05)  # the last REPORT line
    bill, of_reconciler = ((delta(local.reports(it), was), local.processor_ms(it) - used) for it, (was, used) in zip((function, RECONCILER), before))
    durable = local.durable(name)
    seen = {kind: local.calls(watch)["seen"] for kind, watch in watches.items()}
    reconciler_calls = local.calls(reconciler_watch)["seen"]
    local.aws.request("DELETE", "/_local/faults")
    calls = {kind: count for kind, count in seen.items() if kind != "*" and count}
    calls["other"] = seen["*"] - sum(calls.values())
    return {"status": durable["status"], "lived_s": lived, "real_s": took, "operations": durable["operations"], "written": durable["written"],
            "invocations": bill[0]["invocations"], "billed_ms": bill[0]["billed_ms"], "init_ms": bill[0]["init_ms"], "processor_ms": bill[1],
            "memory_mb": bill[0]["memory_mb"], "calls": calls, "calls_total": seen["*"],
            "reconciler": {"invocations": of_reconciler[0]["invocations"], "billed_ms": of_reconciler[0]["billed_ms"], "calls": reconciler_calls},
            "error": (durable.get("error") or {}).get("ErrorMessage") or (durable.get("error") or {}).get("errorMessage")}


def swept(seconds, since=0):
    """How often sweeps visit an execution of Longhaul after the age `since`. The first visit is after a minute. The interval
    between visits is a tenth of the execution's age, from one minute to half an hour."""
    age, looks = 60, 0
    while age < seconds:
        age, looks = age + min(max(age / 10, 60), 1800), looks + (age >= since)
    return looks


def at_once(bill, ours):
    """How many such executions at once use up a quota. There are two: `DescribeTasks` is called by the executions themselves and by the
    sweep, for up to 100 tasks at once. `GetDurableExecution` is called by the sweep. None if no such calls are made."""
    lived, describes = bill["lived_s"], bill["calls"].get("ecs:DescribeTasks", 0)
    asked = [(DESCRIBES_A_SECOND, describes + (swept(lived) / 100 if ours else 0)), (QUESTIONS_A_SECOND, swept(lived, ASKED_FROM) if ours else 0)]
    return min((rate * lived / calls for rate, calls in asked if calls and lived), default=None)


def mean(runs):
    """The mean of each number over several runs. Values that are not numbers are those of the first run."""
    first = runs[0]
    if isinstance(first, dict):
        names = dict.fromkeys(name for run in runs for name in run)
        return {name: mean([run.get(name, 0) for run in runs]) for name in names}
    return sum(runs) / len(runs) if isinstance(first, (int, float)) and not isinstance(first, bool) else first


def measure():
    results = {}
    wanted = [name for name in str(number("JOBS", ",".join(JOBS))).split(",") if name]
    for variant, (function, handler) in VARIANTS.items():
        results[variant], over = {}, None
        with tempfile.TemporaryDirectory() as directory:
            end = pathlib.Path(directory) / "end"
            job = f"waits=until test -e {end}; do sleep 0.05; done; echo 1"
            program = python_function(handler) if handler else RELEASE / function.removeprefix("longhaul-")
            own = f"{function}=env -u LD_PRELOAD {program}"
            with stack("--movable-clock", "--job", job, "--durable-function", own) as local:
                one(local, function, handler, 10, end)  # warm up: on AWS, only the first invocation is a cold start
                for label in wanted if function == SYNC else wanted[:1]:
                    if over:
                        results[variant][label] = {**over, "same_as": over["label"]}
                        continue
                    runs = [one(local, function, handler, JOBS[label], end) for _ in range(RUNS.get(label, 1))]
                    bill = mean(runs) | {"label": label, "job_s": JOBS[label], "runs": len(runs)}
                    bill["at_once"] = at_once(bill, ours=function == SYNC and handler is None)
                    results[variant][label] = bill
                    say(f"bill: {variant}, {label}: {bill['status']}, {bill['operations']:.0f} operations, {bill['billed_ms']:.0f} ms billed, "
                        f"in {bill['real_s']:.0f} s")
                    if function == SYNC and bill["status"].upper() not in ("SUCCEEDED",):
                        over = bill
    return {"jobs": JOBS, "variants": results}
