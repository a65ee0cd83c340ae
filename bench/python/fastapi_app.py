"""An alternative to Longhaul's API: FastAPI with boto3. It makes the same AWS calls and does little else, like the limit. Handlers
are plain functions, which FastAPI runs on threads, because boto3 blocks."""

import json
import os
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import boto3
from botocore.config import Config
from fastapi import Body, FastAPI

TABLE = "longhaul-executions"
config = Config(max_pool_connections=64)
dynamodb = boto3.client("dynamodb", config=config)
lambdas = boto3.client("lambda", config=config)
parts = ThreadPoolExecutor(16)
app = FastAPI()


@app.post("/executions/sync", status_code=202)
def start(body: dict = Body()):
    execution_id, now = str(uuid.uuid4()), time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    text = {"executionId": execution_id, "ownerShard": "0:fastapi", "created": f"{now}#{execution_id}", "pattern": "sync", "status": "PENDING",
            "owner": "fastapi", "job": "demo", "input": json.dumps(body.get("input")), "fingerprint": "0" * 64, "createdAt": now,
            "deadline": now, "activeShard": "0"}
    numbers = {"version": 1, "timeoutSeconds": 31_536_000, "maxAttempts": 1, "expiresAt": 4_102_444_800, "due": 4_102_444_800}
    item = {name: {"S": value} for name, value in text.items()} | {name: {"N": str(value)} for name, value in numbers.items()}
    item["timeline"] = {"L": [{"M": {"at": {"S": now}, "what": {"S": "created"}}}]}
    dynamodb.put_item(TableName=TABLE, Item=item, ConditionExpression="attribute_not_exists(executionId)")
    lambdas.invoke(FunctionName="longhaul-sync:live", InvocationType="Event", DurableExecutionName=execution_id,
                   Payload=json.dumps({"longhaul": {"executionId": execution_id}}))
    return {"executionId": execution_id, "status": "PENDING"}


@app.get("/executions/{execution_id}")
def get(execution_id: str):
    item = dynamodb.get_item(TableName=TABLE, Key={"executionId": {"S": execution_id}}, ConsistentRead=True).get("Item", {})
    return {name: next(iter(value.values())) for name, value in item.items()}


@app.get("/executions")
def listing():
    def part(number):
        return dynamodb.query(
            TableName=TABLE, IndexName="byOwner", ScanIndexForward=False, Limit=51, KeyConditionExpression="ownerShard = :shard",
            ExpressionAttributeValues={":shard": {"S": f"{number}:local"}})["Items"]

    items = [item for items in parts.map(part, range(4)) for item in items]
    items.sort(key=lambda item: item["created"]["S"], reverse=True)
    return {"executions": [{name: next(iter(value.values())) for name, value in item.items()} for item in items[:50]]}


@app.get("/process")
def process():
    """The id of the worker process that answers. The benchmark waits until all of them do."""
    return os.getpid()


@app.get("/healthz")
def healthz():
    return {"status": "ok"}
