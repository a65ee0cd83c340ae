"""Tests the behaviour of Lambda durable functions that Longhaul relies on. They use the API only, so they run on AWS too.

CONTRACT_ENDPOINT is the endpoint; the default is AWS. CONTRACT_PREFIX is the prefix of the functions' names, and
CONTRACT_QUALIFIER is their version or alias. run.py sets all three.
"""

import json
import os
import pathlib
import sys
import unittest
import uuid

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "emulator/tests/python"))

from clients import client, refused, until  # noqa: E402

PREFIX, QUALIFIER = os.environ.get("CONTRACT_PREFIX", ""), os.environ["CONTRACT_QUALIFIER"]
# This client validates every response against the service's model.
lam = client("lambda", os.environ.get("CONTRACT_ENDPOINT"))


def start(function, payload, name=None, qualifier=QUALIFIER):
    name = name or str(uuid.uuid4())
    arguments = dict(InvocationType="Event", DurableExecutionName=name, Payload=json.dumps(payload))
    answer = lam.invoke(FunctionName=f"{PREFIX}{function}:{qualifier}", **arguments)
    assert answer["StatusCode"] == 202, answer
    return answer["DurableExecutionArn"]


def ended(arn):
    return until(lambda: (e := lam.get_durable_execution(DurableExecutionArn=arn))["Status"] != "RUNNING" and e)


def history(arn):
    events = lam.get_durable_execution_history(DurableExecutionArn=arn, IncludeExecutionData=True, MaxItems=1000)
    return events["Events"]


def publish(function):
    """Publishes a version, as a deployment does. The description changes because Lambda publishes no version without a change."""
    name = f"{PREFIX}{function}"
    lam.update_function_configuration(FunctionName=name, Description=f"Deployed by {uuid.uuid4()}")
    until(lambda: lam.get_function_configuration(FunctionName=name)["LastUpdateStatus"] == "Successful")
    version = lam.publish_version(FunctionName=name)["Version"]
    until(lambda: lam.get_function_configuration(FunctionName=name, Qualifier=version)["State"] == "Active")
    return version


def named(function, name, **qualifier):
    """The ARNs of a function's durable executions with this name."""
    found = lam.list_durable_executions_by_function(FunctionName=f"{PREFIX}{function}", DurableExecutionName=name, **qualifier)
    return [execution["DurableExecutionArn"] for execution in found["DurableExecutions"]]


def callback_of(arn):
    def started():
        events = history(arn)
        # Wait until the function is suspended, so that the history is the same every time.
        if any(event["EventType"] == "InvocationCompleted" for event in events):
            callbacks = (event.get("CallbackStartedDetails") for event in events)
            return next((callback["CallbackId"] for callback in callbacks if callback), None)

    return until(started)


def outline(events):
    """The events' types and names, without the invocations, whose number varies."""
    steps = [(event["EventType"], event.get("SubType"), event.get("Name")) for event in events]
    return [step for step in steps if step[0] not in ("InvocationCompleted", "ExecutionStarted")][:-1]


def recorded(name):
    """The history in a snapshot of the local stack's tests."""
    text = (ROOT / f"emulator/tests/lambda/snapshots/lambda__python__{name}.snap").read_text()
    return json.loads(text.split("---", 2)[2])


class Histories(unittest.TestCase):
    """Functions written with AWS's Python SDK return the right result after suspension and replay, and have the recorded histories."""

    def check(self, function, payload, result, answer=None):
        arn = start(function, payload)
        if answer is not None:
            lam.send_durable_execution_callback_success(CallbackId=callback_of(arn), Result=json.dumps(answer).encode())
        execution = ended(arn)
        self.assertEqual((execution["Status"], json.loads(execution["Result"])), ("SUCCEEDED", result))
        events = history(arn)
        self.assertEqual([event["EventId"] for event in events], list(range(1, len(events) + 1)))
        self.assertEqual(outline(events), outline(recorded(function)))

    def test_steps_and_a_wait_complete(self):
        self.check("steps", {"n": 20}, 42)

    def test_a_failed_step_is_retried(self):
        self.check("retries", {"until": 2}, 2)

    def test_a_callback_resumes_the_execution(self):
        self.check("callback", {}, '"yes"', answer="yes")

    def test_waiting_for_a_condition_polls_until_it_holds(self):
        self.check("wait_for_condition", {}, 3)

    def test_a_child_context_returns_its_result(self):
        self.check("child", {}, "deep")

    def test_parallel_branches_return_their_results_in_order(self):
        self.check("parallel", {}, ["a", "b"])

    def test_a_map_returns_its_results_in_order(self):
        self.check("mapped", {"items": [1, 2, 3]}, [1, 4, 9])

    def test_a_callback_with_a_submitter_resumes_the_execution(self):
        arn = start("wait_for_callback", {})
        lam.send_durable_execution_callback_success(CallbackId=callback_of(arn), Result=b'"approved"')
        self.assertEqual(ended(arn)["Status"], "SUCCEEDED")

    def test_an_exception_fails_the_execution(self):
        execution = ended(start("fails", {}))
        self.assertEqual((execution["Status"], execution["Error"]["ErrorType"]), ("FAILED", "RuntimeError"))


class Rules(unittest.TestCase):
    """Behaviour that the workflows and the reconciler depend on."""

    def assert_closed(self, callback):
        """The callback cannot be answered any more, and the error is one that the reconciler recognizes."""
        with self.assertRaises(lam.exceptions.ClientError) as refusal:
            lam.send_durable_execution_callback_success(CallbackId=callback, Result=b"2")
        recognized = ["CallbackTimeoutException", "InvalidParameterValueException", "ResourceNotFoundException"]
        self.assertIn(refusal.exception.response["Error"]["Code"], recognized)

    def test_starting_a_name_again_returns_the_first_execution(self):
        name = str(uuid.uuid4())
        arn = start("callback", {"timeout": 60}, name)
        self.assertEqual(start("callback", {"timeout": 60}, name), arn)
        self.assertIn(f"/durable-execution/{name}/", arn)
        lam.stop_durable_execution(DurableExecutionArn=arn)
        self.assertEqual(start("callback", {"timeout": 60}, name), arn, "a stopped execution keeps its name")

    def test_a_repeated_start_after_a_deployment_starts_no_second_execution(self):
        """A repeated start returns the first execution or fails with DurableExecutionAlreadyStartedException. The first can be
        listed without a version. `Workflows::start` in crates/compute/src/workflows.rs accepts either. AWS documents that names are
        unique in an account and Region (https://docs.aws.amazon.com/lambda/latest/dg/durable-execution-idempotency.html), or
        in a function (DurableExecutionAlreadyStartedException). It does not document the effect of a new version."""
        function, alias, name, payload = "deployed", f"live-{uuid.uuid4()}", str(uuid.uuid4()), {"timeout": 60}
        versions = [publish(function)]
        lam.create_alias(FunctionName=f"{PREFIX}{function}", Name=alias, FunctionVersion=versions[0])
        self.addCleanup(lam.delete_alias, FunctionName=f"{PREFIX}{function}", Name=alias)
        arn = start(function, payload, name, alias)
        versions.append(publish(function))
        self.assertNotEqual(*versions)
        lam.update_alias(FunctionName=f"{PREFIX}{function}", Name=alias, FunctionVersion=versions[1])

        def check():
            try:
                self.assertEqual(start(function, payload, name, alias), arn)
            except lam.exceptions.DurableExecutionAlreadyStartedException:
                pass
            self.assertEqual(until(lambda: named(function, name)), [arn], "found by name, without a version")
            self.assertEqual([named(function, name, Qualifier=version) for version in versions], [[arn], []])
            self.assertEqual(json.loads(lam.get_durable_execution(DurableExecutionArn=arn)["InputPayload"]), payload)
            different = {"function": function, "payload": {"timeout": 61}, "name": name, "qualifier": alias}
            refused("DurableExecutionAlreadyStartedException", start, **different)

        callback_of(arn)
        check()
        lam.stop_durable_execution(DurableExecutionArn=arn)
        check()  # a stopped execution keeps its name

    def test_a_callback_can_be_answered_only_once(self):
        arn = start("callback", {})
        callback = callback_of(arn)
        lam.send_durable_execution_callback_heartbeat(CallbackId=callback)
        lam.send_durable_execution_callback_success(CallbackId=callback, Result=b"1")
        self.assert_closed(callback)
        self.assertEqual(json.loads(ended(arn)["Result"]), "1")

    def test_a_callback_does_not_time_out_early(self):
        arn = start("callback", {"timeout": 2})
        execution = ended(arn)
        self.assertIn("timed out", json.loads(execution["Result"]))
        times = {event["EventType"]: event["EventTimestamp"] for event in history(arn)}
        self.assertGreaterEqual((times["CallbackTimedOut"] - times["CallbackStarted"]).total_seconds(), 2)

    def test_stopping_an_execution_closes_its_callback(self):
        arn = start("callback", {})
        callback = callback_of(arn)
        lam.stop_durable_execution(DurableExecutionArn=arn, Error={"ErrorType": "Enough", "ErrorMessage": "enough"})
        execution = ended(arn)
        self.assertEqual((execution["Status"], execution["Error"]["ErrorMessage"]), ("STOPPED", "enough"))
        self.assert_closed(callback)

    def test_invoking_a_durable_function_without_a_qualifier_is_refused(self):
        refused("InvalidParameterValueException", lam.invoke, FunctionName=f"{PREFIX}steps", Payload="{}")

    def test_an_unknown_checkpoint_token_is_refused(self):
        arn = start("callback", {})
        refused("InvalidParameterValueException", lam.checkpoint_durable_execution, DurableExecutionArn=arn, CheckpointToken="bm8=")
        lam.stop_durable_execution(DurableExecutionArn=arn)


if __name__ == "__main__":
    unittest.main()
