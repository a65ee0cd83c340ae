"""Calls every operation of the emulator's ECS, CloudWatch Logs and EventBridge with boto3, and checks the responses against AWS's
model."""

import json
import sys

import clients
from clients import refused, until

url = sys.argv[1]

# Tasks and their definitions.
ecs, cluster = clients.client("ecs", url), "jobs"
options = {"awslogs-group": "/jobs", "awslogs-region": "us-east-1", "awslogs-stream-prefix": "probe"}
logged = {"logDriver": "awslogs", "options": options}
containers = [
    {"name": "job", "image": "any", "command": ["sh", "-c", "echo one; echo two; exit 3"], "logConfiguration": logged},
    {"name": "side", "image": "any", "command": ["sleep", "60"], "essential": False, "stopTimeout": 2},
]
definition = ecs.register_task_definition(family="probe", containerDefinitions=containers)["taskDefinition"]
assert ecs.describe_task_definition(taskDefinition="probe")["taskDefinition"]["revision"] == definition["revision"]
assert definition["taskDefinitionArn"] in ecs.list_task_definitions(familyPrefix="probe")["taskDefinitionArns"]
run = dict(cluster=cluster, taskDefinition="probe", clientToken="t1", startedBy="probe", tags=[{"key": "a", "value": "b"}],
           overrides={"containerOverrides": [{"name": "job", "environment": [{"name": "A", "value": "b"}]}]})
task = ecs.run_task(**run)["tasks"][0]["taskArn"]
assert ecs.run_task(**run)["tasks"][0]["taskArn"] == task, "a clientToken makes it idempotent"
conflict = refused("ConflictException", ecs.run_task, **{**run, "startedBy": "other"})
assert conflict["resourceIds"] == [task], conflict
refused("ClusterNotFoundException", ecs.run_task, cluster="nowhere", taskDefinition="probe")
refused("ClientException", ecs.run_task, cluster=cluster, taskDefinition="nothing")
refused("InvalidParameterException", ecs.run_task, cluster=cluster, taskDefinition="probe", clientToken="x" * 65)


def described():
    tasks = ecs.describe_tasks(cluster=cluster, tasks=[task], include=["TAGS"])["tasks"]
    return tasks[0] if tasks[0]["lastStatus"] == "STOPPED" else None


stopped = until(described)
assert (stopped["stopCode"], stopped["tags"]) == ("EssentialContainerExited", [{"key": "a", "value": "b"}]), stopped
assert {c["name"]: c.get("exitCode") for c in stopped["containers"]}["job"] == 3, stopped
assert task in ecs.list_tasks(cluster=cluster, family="probe", desiredStatus="STOPPED")["taskArns"]
assert ecs.list_tasks(cluster=cluster, startedBy="probe")["taskArns"] == [], "it lists only running tasks"
missing = ecs.describe_tasks(cluster=cluster, tasks=["0" * 32])["failures"]
assert missing[0]["reason"] == "MISSING", missing
other = ecs.run_task(cluster=cluster, taskDefinition="demo", count=2)["tasks"]
assert ecs.stop_task(cluster=cluster, task=other[0]["taskArn"], reason="enough")["task"]["desiredStatus"] == "STOPPED"
assert ecs.stop_task(cluster=cluster, task=other[1]["taskArn"])["task"]["stopCode"] == "UserInitiated"
assert ecs.describe_clusters(clusters=[cluster])["clusters"][0]["status"] == "ACTIVE"

# The task's output.
logs, group = clients.client("logs", url), {"logGroupName": "/jobs"}
stream = f"probe/job/{task.rsplit('/')[-1]}"
page = logs.describe_log_streams(**group, logStreamNamePrefix="probe/", limit=1)
assert page["logStreams"][0]["logStreamName"] == stream, page
events = logs.get_log_events(**group, logStreamName=stream, startFromHead=True, limit=1)
assert [event["message"] for event in events["events"]] == ["one"]
rest = logs.get_log_events(**group, logStreamName=stream, startFromHead=True, nextToken=events["nextForwardToken"])
assert [event["message"] for event in rest["events"]] == ["two"]
assert len(logs.filter_log_events(**group, logStreamNames=[stream], filterPattern="two")["events"]) == 1
refused("ResourceNotFoundException", logs.get_log_events, **group, logStreamName="nothing")

# Rules and events.
bus = clients.client("events", url)
pattern = json.dumps({"source": ["shop"], "detail": {"state": [{"anything-but": ["draft"]}]}})
assert bus.put_rule(Name="shop", EventPattern=pattern, Description="d")["RuleArn"].endswith(":rule/shop")
function = "arn:aws:lambda:us-east-1:000000000000:function:declared"
targets = [{"Id": "one", "Arn": function, "RetryPolicy": {"MaximumRetryAttempts": 2}}]
assert bus.put_targets(Rule="shop", Targets=targets)["FailedEntryCount"] == 0
assert bus.list_targets_by_rule(Rule="shop")["Targets"] == targets
assert bus.describe_rule(Name="shop")["EventPattern"] == pattern
assert {"shop", "declared"} <= {rule["Name"] for rule in bus.list_rules()["Rules"]}
first = bus.list_rules(Limit=1)
assert len(first["Rules"]) == 1 and bus.list_rules(Limit=1, NextToken=first["NextToken"])["Rules"] != first["Rules"]
event = {"id": "1", "source": "shop", "detail-type": "t", "account": "1", "time": "2026-01-01T00:00:00Z", "region": "r",
         "resources": [], "detail": {"state": "sold"}}
assert bus.test_event_pattern(EventPattern=pattern, Event=json.dumps(event))["Result"]
put = bus.put_events(Entries=[{"Source": "shop", "DetailType": "t", "Detail": "{}"}, {"Source": "shop", "Detail": "{}"}])
assert (put["FailedEntryCount"], put["Entries"][1]["ErrorCode"]) == (1, "InvalidArgument"), put
refused("InvalidEventPatternException", bus.put_rule, Name="wrong", EventPattern='{"source": "shop"}')
refused("ValidationException", bus.put_rule, Name="wrong", ScheduleExpression="rate(1 minutes)")
refused("ValidationException", bus.delete_rule, Name="shop")
refused("ResourceNotFoundException", bus.describe_rule, Name="nothing")
refused("ManagedRuleException", bus.delete_rule, Name="declared")
bus.disable_rule(Name="shop")
bus.enable_rule(Name="shop")
assert bus.remove_targets(Rule="shop", Ids=["one"])["FailedEntryCount"] == 0
bus.delete_rule(Name="shop")
print(len(clients.called), "operations called")
