"""Durable functions on AWS's own Python SDK: one for each kind of operation, and those that they invoke."""

import os
import threading

from aws_durable_execution_sdk_python import (
    CallbackError,
    DurableContext,
    InvokeError,
    StepError,
    durable_execution,
)
from aws_durable_execution_sdk_python.config import (
    CallbackConfig,
    Duration,
    MapConfig,
    ParallelConfig,
    StepConfig,
    WaitForCallbackConfig,
)
from aws_durable_execution_sdk_python.retries import RetryDecision
from aws_durable_execution_sdk_python.waits import WaitForConditionConfig, WaitForConditionDecision

# A test that compares histories makes this longer than the test, so that a pause ends only when the test moves the clock forward. The
# order of events is then always the same.
PAUSE = Duration.from_seconds(int(os.environ.get("PAUSE_SECONDS", "2")))


@durable_execution
def steps(event, context: DurableContext):
    first = context.step(lambda _: event["n"] + 1, name="first")
    context.wait(PAUSE, name="pause")
    return context.step(lambda _: first * 2, name="second")


@durable_execution
def retries(event, context: DurableContext):
    def attempt(step):
        if step.attempt < event["until"]:
            raise ValueError(f"attempt {step.attempt}")
        return step.attempt

    def strategy(error, made):
        return RetryDecision.retry(PAUSE) if made < 3 else RetryDecision.no_retry()

    try:
        return context.step(attempt, name="flaky", config=StepConfig(retry_strategy=strategy))
    except StepError as error:
        return f"gave up: {error.message}"


@durable_execution
def callback(event, context: DurableContext):
    config = CallbackConfig(timeout=Duration.from_seconds(event.get("timeout", 60)))
    handle = context.create_callback(name="answer", config=config)
    context.step(lambda _: handle.callback_id, name="tell")
    try:
        return handle.result()
    except CallbackError as error:
        return f"{type(error).__name__}: {error.message}"


@durable_execution
def wait_for_callback(event, context: DurableContext):
    def submit(callback_id, _):
        print("submitted", callback_id)

    config = WaitForCallbackConfig(timeout=Duration.from_seconds(60))
    return context.wait_for_callback(submit, name="approval", config=config)


@durable_execution
def wait_for_condition(event, context: DurableContext):
    def decide(state, made):
        if state >= 3:
            return WaitForConditionDecision.stop_polling()
        return WaitForConditionDecision.continue_waiting(PAUSE)

    config = WaitForConditionConfig(wait_strategy=decide, initial_state=0)
    return context.wait_for_condition(lambda state, _: state + 1, config=config, name="poll")


@durable_execution
def child(event, context: DurableContext):
    def inside(inner: DurableContext):
        inner.wait(PAUSE, name="inner-wait")
        return inner.step(lambda _: "deep", name="inner-step")

    outer = context.run_in_child_context(inside, name="child")
    context.wait(PAUSE, name="outer-wait")
    return outer


@durable_execution
def parallel(event, context: DurableContext):
    def branch(name):
        def run(inner: DurableContext):
            inner.wait(PAUSE, name=f"wait-{name}")
            return inner.step(lambda _: name, name=f"step-{name}")

        return run

    # One at a time, so that the order of the history is always the same.
    config = ParallelConfig(max_concurrency=event.get("at_once", 1))
    return context.parallel([branch("a"), branch("b")], name="branches", config=config).get_results()


@durable_execution
def mapped(event, context: DurableContext):
    def square(inner: DurableContext, item, index, items):
        return inner.step(lambda _: item * item, name=f"square-{index}")

    return context.map(event["items"], square, name="squares", config=MapConfig(max_concurrency=1)).get_results()


@durable_execution
def invoke(event, context: DurableContext):
    try:
        return context.invoke(event["function"], event.get("payload"), name="other")
    except InvokeError as error:
        return f"{error.error_type}: {error.message}"


@durable_execution
def fails(event, context: DurableContext):
    raise RuntimeError("no luck")


def plain(event, context):
    # A test creates the file when it wants the response. Under libfaketime, time.sleep fails.
    while (file := os.environ.get("WAIT_FOR_FILE")) and not os.path.exists(file):
        threading.Event().wait(0.02)
    if event == "fail":
        raise ValueError("refused")
    return {"plain": event}
