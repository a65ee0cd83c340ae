"""Calls every operation of the emulator's Lambda with boto3, and checks the responses against AWS's model."""

import http.client
import json
import sys
import tempfile
from pathlib import Path

import clients
from clients import until

url, command, durable_command = sys.argv[1:]
lam = clients.client("lambda", url)


def call(name, **arguments):
    return getattr(lam, name)(**arguments)


def refused(code, name, **arguments):
    clients.refused(code, getattr(lam, name), **arguments)


def new(name, command, **more):
    image = {"ImageUri": f"local:{command}"}
    role = "arn:aws:iam::000000000000:role/any"
    return call("create_function", FunctionName=name, Role=role, Code=image, PackageType="Image", Timeout=30, **more)


# Functions, versions and aliases.
made = new("plain", command, Environment={"Variables": {"A": "b"}}, MemorySize=256)
assert (made["Version"], made["Environment"]["Variables"]) == ("$LATEST", {"A": "b"}), made
durable_config = {"ExecutionTimeout": 600, "RetentionPeriodInDays": 7}
assert new("durable", durable_command, DurableConfig=durable_config)["DurableConfig"] == durable_config
refused("ResourceConflictException", "create_function", FunctionName="plain", Role="arn:aws:iam::000000000000:role/any",
        Code={"ImageUri": "local:true"}, PackageType="Image")
assert call("get_function", FunctionName="plain")["Code"]["ImageUri"] == f"local:{command}"
assert call("get_function_configuration", FunctionName="plain")["MemorySize"] == 256
assert {"plain", "durable", "declared"} <= {f["FunctionName"] for f in call("list_functions")["Functions"]}
assert call("update_function_configuration", FunctionName="plain", Timeout=20)["Timeout"] == 20
assert call("publish_version", FunctionName="plain")["Version"] == "1"
call("update_function_code", FunctionName="plain", ImageUri=f"local:{command} ")
assert call("publish_version", FunctionName="plain", Description="two")["Version"] == "2"
assert [v["Version"] for v in call("list_versions_by_function", FunctionName="plain")["Versions"]] == ["$LATEST", "1", "2"]
call("create_alias", FunctionName="plain", Name="live", FunctionVersion="1")
call("update_alias", FunctionName="plain", Name="live", FunctionVersion="2")
assert call("get_alias", FunctionName="plain", Name="live")["FunctionVersion"] == "2"
assert len(call("list_aliases", FunctionName="plain")["Aliases"]) == 1
refused("ResourceNotFoundException", "get_alias", FunctionName="plain", Name="dead")
refused("ResourceNotFoundException", "get_function", FunctionName="nobody")

# Invoke.
answer = call("invoke", FunctionName="plain:live", Payload=json.dumps("x"), LogType="Tail")
assert (answer["StatusCode"], answer["ExecutedVersion"]) == (200, "2") and answer["LogResult"], answer
assert json.load(answer["Payload"]) == {"plain": "x"}
failed = call("invoke", FunctionName="plain", Payload=json.dumps("fail"))
assert failed["FunctionError"] == "Unhandled" and json.load(failed["Payload"])["errorType"] == "ValueError"
assert call("invoke", FunctionName="plain", InvocationType="Event", Payload="{}")["StatusCode"] == 202
assert call("invoke", FunctionName="plain", InvocationType="DryRun")["StatusCode"] == 204
refused("InvalidRequestContentException", "invoke", FunctionName="plain", Payload="{")
refused("InvalidParameterValueException", "invoke", FunctionName="durable", Payload="{}")


def start(name, payload):
    arguments = dict(FunctionName="durable:$LATEST", InvocationType="Event", DurableExecutionName=name)
    return call("invoke", Payload=json.dumps(payload), **arguments)["DurableExecutionArn"]


# Durable executions and their callbacks.
arns = {name: start(name, {}) for name in ("success", "failure", "stopped")}
assert start("success", {}) == arns["success"]
refused("DurableExecutionAlreadyStartedException", "invoke", FunctionName="durable:$LATEST", InvocationType="Event",
        DurableExecutionName="success", Payload=json.dumps({"other": 1}))


def callback(arn):
    def started():
        events = call("get_durable_execution_history", DurableExecutionArn=arn, IncludeExecutionData=True)["Events"]
        return next((e["CallbackStartedDetails"]["CallbackId"] for e in events if e["EventType"] == "CallbackStarted"), None)

    return until(started)


def ended(arn):
    return until(lambda: (e := call("get_durable_execution", DurableExecutionArn=arn))["Status"] != "RUNNING" and e)


call("send_durable_execution_callback_heartbeat", CallbackId=callback(arns["success"]))
call("send_durable_execution_callback_success", CallbackId=callback(arns["success"]), Result=b'"yes"')
error = {"ErrorType": "T", "ErrorMessage": "no", "ErrorData": "d", "StackTrace": ["s"]}
call("send_durable_execution_callback_failure", CallbackId=callback(arns["failure"]), Error=error)
callback(arns["stopped"])
stop = call("stop_durable_execution", DurableExecutionArn=arns["stopped"], Error={"ErrorMessage": "enough"})
assert stop["StopTimestamp"].year > 2000
done = ended(arns["success"])
assert (done["Status"], done["Result"], done["Version"]) == ("SUCCEEDED", json.dumps('"yes"'), "$LATEST"), done
assert ended(arns["failure"])["Result"] == json.dumps("CallbackExternalError: no"), ended(arns["failure"])
assert ended(arns["stopped"])["Error"] == {"ErrorMessage": "enough"}
refused("InvalidParameterValueException", "send_durable_execution_callback_success", CallbackId="bm8=")
refused("CallbackTimeoutException", "send_durable_execution_callback_success", CallbackId=callback(arns["stopped"]))
refused("ResourceNotFoundException", "get_durable_execution", DurableExecutionArn=arns["success"][:-1] + "x")
page = call("list_durable_executions_by_function", FunctionName="durable", Statuses=["SUCCEEDED", "STOPPED"],
            StartedAfter=done["StartTimestamp"].replace(year=2020), MaxItems=2)
assert [e["DurableExecutionName"] for e in page["DurableExecutions"]] == ["stopped", "failure"] and page["NextMarker"]
history = call("get_durable_execution_history", DurableExecutionArn=arns["success"], ReverseOrder=True, MaxItems=1)
assert history["Events"][0]["EventType"] == "ExecutionSucceeded" and history["NextMarker"]

# Operations that only a function calls. The function's process only reports the address of its Runtime API, and this script acts as the
# runtime.
address = Path(tempfile.mkdtemp()) / "api"
new("manual", f"sh -c 'echo $AWS_LAMBDA_RUNTIME_API > {address}.new; mv {address}.new {address}; exec sleep 600'",
    DurableConfig=durable_config)
arn = call("invoke", FunctionName="manual:$LATEST", InvocationType="Event", Payload="{}")["DurableExecutionArn"]
runtime = http.client.HTTPConnection(until(lambda: address.exists() and address.read_text().strip()))
runtime.request("GET", "/2018-06-01/runtime/invocation/next")
token = json.load(runtime.getresponse())["CheckpointToken"]
step = dict(Id="step", Type="STEP", Name="first")
updates = [
    [dict(Id="context", Type="CONTEXT", Action="START", SubType="Parallel")],
    [dict(step, ParentId="context", Action="START"), dict(step, ParentId="context", Action="SUCCEED", Payload="1")],
    [dict(Id="retry", Type="STEP", Action="RETRY", Error={"ErrorMessage": "no"}, StepOptions={"NextAttemptDelaySeconds": 60})],
    [dict(Id="wait", Type="WAIT", Action="START", WaitOptions={"WaitSeconds": 60})],
    [dict(Id="callback", Type="CALLBACK", Action="START", CallbackOptions={"TimeoutSeconds": 60, "HeartbeatTimeoutSeconds": 30})],
    [dict(Id="invoke", Type="CHAINED_INVOKE", Action="START", ChainedInvokeOptions={"FunctionName": "nobody"})],
    [dict(Id="context", Type="CONTEXT", Action="SUCCEED", Payload="2")],
]
for number, update in enumerate(updates):
    arguments = dict(DurableExecutionArn=arn, CheckpointToken=token, Updates=update, ClientToken=f"c{number}")
    answer = call("checkpoint_durable_execution", **arguments)
    repeated = call("checkpoint_durable_execution", **arguments)
    assert repeated["CheckpointToken"] == answer["CheckpointToken"], "a ClientToken makes it idempotent"
    token = answer["CheckpointToken"]
state = call("get_durable_execution_state", DurableExecutionArn=arn, CheckpointToken=token, MaxItems=2)
assert len(state["Operations"]) == 2 and state["NextMarker"], state
shown = call("get_durable_execution_history", DurableExecutionArn=arn, MaxItems=1000)["Events"]
assert {"ContextStarted", "StepSucceeded", "StepFailed", "WaitStarted", "CallbackStarted", "ChainedInvokeFailed"} <= {
    event["EventType"] for event in shown}
call("stop_durable_execution", DurableExecutionArn=arn)

# Without a valid token, they are refused.
stale = dict(DurableExecutionArn=arns["success"], CheckpointToken="bm8=")
refused("InvalidParameterValueException", "checkpoint_durable_execution", **stale)
refused("InvalidParameterValueException", "get_durable_execution_state", **stale)

call("delete_alias", FunctionName="plain", Name="live")
call("delete_function", FunctionName="plain", Qualifier="1")
call("delete_function", FunctionName="plain")
refused("ResourceNotFoundException", "invoke", FunctionName="plain", Payload="{}")
print(len(clients.called), "operations called")
