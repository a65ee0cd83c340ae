#!/usr/bin/env python3
"""Prints the names of the jobs that have executions in flight, one a line: in_flight.py TABLE.

It reads the keys in the index `active`, which has the unfinished executions only, and then their jobs.
"""

import json
import subprocess
import sys

BATCH = 100 # https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html


def aws(*words):
    printed = subprocess.run(["aws", "dynamodb", *words, "--output", "json"], check=True, stdout=subprocess.PIPE, text=True).stdout
    return json.loads(printed)


def in_flight(table):
    # The client reads all pages.
    items = aws("scan", "--table-name", table, "--index-name", "active", "--projection-expression", "executionId")["Items"]
    keys, jobs = [{"executionId": it["executionId"]} for it in items], set()
    while keys:
        batch, keys = keys[:BATCH], keys[BATCH:]
        wanted = {table: {"Keys": batch, "ProjectionExpression": "job"}}
        answer = aws("batch-get-item", "--request-items", json.dumps(wanted))
        # An execution may have expired since.
        jobs |= {it["job"]["S"] for it in answer["Responses"].get(table, [])}
        keys += answer.get("UnprocessedKeys", {}).get(table, {}).get("Keys", [])
    return sorted(jobs)


if __name__ == "__main__":
    try:
        print("".join(f"{name}\n" for name in in_flight(sys.argv[1])), end="")
    except subprocess.CalledProcessError as failed:
        sys.exit(failed.returncode)
