"""An alternative to Longhaul: the same two durable functions with AWS's Python SDK, as in the pattern that Longhaul is based on.
`sync` polls every 5 seconds, without the pattern's limit of 60 polls. `condition` polls with the SDK's `wait_for_condition` and
its default intervals. Both checkpoint each poll's result, as the pattern does."""

import json
import os

import boto3

from aws_durable_execution_sdk_python import DurableContext, durable_execution
from aws_durable_execution_sdk_python.config import Duration, JitterStrategy
from aws_durable_execution_sdk_python.waits import WaitForConditionConfig, WaitStrategyConfig, create_wait_strategy

CLUSTER = os.environ.get("ECS_CLUSTER", "longhaul")
TABLE = os.environ.get("EXECUTIONS_TABLE", "longhaul-executions")
ecs = boto3.client("ecs")
dynamodb = boto3.client("dynamodb")


def run_task(event):
    variables = {"EXECUTION_INPUT": json.dumps(event.get("input"))}
    started = ecs.run_task(
        cluster=CLUSTER,
        taskDefinition=event["taskDefinition"],
        launchType="FARGATE",
        startedBy=event["id"],
        overrides={"containerOverrides": [{"name": "job", "environment": [{"name": name, "value": value} for name, value in variables.items()]}]},
    )
    return started["tasks"][0]["taskArn"]


def describe(arn):
    """The whole task, with its times as strings, for JSON."""
    task = ecs.describe_tasks(cluster=CLUSTER, tasks=[arn])["tasks"][0]
    return json.loads(json.dumps(task, default=str))


def outcome(task):
    return {"taskArn": task["taskArn"], "exitCode": task["containers"][0].get("exitCode"), "reason": task.get("stoppedReason")}


@durable_execution
def sync(event, context: DurableContext):
    arn = context.step(lambda _: run_task(event), name="run-task")
    while True:
        context.wait(Duration.from_seconds(5), name="wait")
        task = context.step(lambda _: describe(arn), name="check-task")
        if task["lastStatus"] == "STOPPED":
            return outcome(task)


@durable_execution
def condition(event, context: DurableContext):
    arn = context.step(lambda _: run_task(event), name="run-task")
    # 5 s × 1.5ⁿ, at most 5 minutes, as in the SDK's default; but without jitter, and without the limit of 60 attempts.
    strategy = create_wait_strategy(WaitStrategyConfig(
        should_continue_polling=lambda task: task.get("lastStatus") != "STOPPED", max_attempts=1_000_000, jitter_strategy=JitterStrategy.NONE))
    task = context.wait_for_condition(
        lambda _state, _context: describe(arn), config=WaitForConditionConfig(wait_strategy=strategy, initial_state={}), name="poll")
    return outcome(task)


@durable_execution
def callback(event, context: DurableContext):
    execution_id = event["id"]

    def create(_):
        dynamodb.put_item(TableName=TABLE, Item={"executionId": {"S": execution_id}, "status": {"S": "PENDING"}})

    def update(arn):
        dynamodb.update_item(
            TableName=TABLE, Key={"executionId": {"S": execution_id}}, UpdateExpression="SET #status = :running, taskArn = :arn",
            ExpressionAttributeNames={"#status": "status"}, ExpressionAttributeValues={":running": {"S": "RUNNING"}, ":arn": {"S": arn}})

    context.step(create, name="create-record")
    arn = context.step(lambda _: run_task(event), name="run-task")
    context.step(lambda _: update(arn), name="record-task")
    return {"executionId": execution_id, "taskArn": arn}
