"""A cheap durable function for measuring an engine. It makes one checkpoint for each step, and its input says how many steps.

    engine_function.py DONE_PORT                     uses the Runtime API, as a process of the local stack
    engine_function.py DONE_PORT ENGINE PORT         serves Invoke on that port, and checkpoints at that engine

It sends a datagram to DONE_PORT for each execution that ends.
"""

import http.client
import json
import os
import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import quote, urlparse

DONE = ("127.0.0.1", int(sys.argv[1]))
done = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
local = threading.local()
# Every AWS client sends a signature. The local stack does not verify it.
SIGNATURE = "AWS4-HMAC-SHA256 Credential=bench/20260101/us-east-1/lambda/aws4_request, SignedHeaders=host, Signature=0"


def call(netloc, method, path, body=None):
    """Sends a request on a kept connection, or on a new one if the server has closed it."""
    connections = local.__dict__.setdefault("connections", {})
    headers = {"Content-Type": "application/json", "Authorization": SIGNATURE}
    for last in (False, True):
        connection = connections.get(netloc) or connections.setdefault(netloc, http.client.HTTPConnection(netloc))
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            content = response.read()
            if response.status >= 300:
                raise RuntimeError(f"{method} {path}: {response.status} {content[:300]}")
            return response, content
        except (http.client.HTTPException, OSError):
            connections.pop(netloc).close()
            if last:
                raise


def run(event, engine):
    path = f"/2025-12-01/durable-executions/{quote(event['DurableExecutionArn'], safe='')}/checkpoint"
    token = event["CheckpointToken"]
    payload = event["InitialExecutionState"]["Operations"][0]["ExecutionDetails"]["InputPayload"]
    for number in range(json.loads(payload)["steps"]):
        step = {"Id": f"s{number}", "Type": "STEP", "SubType": "Step", "Name": "step"}
        updates = [{**step, "Action": "START"}, {**step, "Action": "SUCCEED", "Payload": "1"}]
        _, answer = call(engine, "POST", path, json.dumps({"CheckpointToken": token, "Updates": updates}))
        token = json.loads(answer)["CheckpointToken"]
    done.sendto(b".", DONE)
    return json.dumps({"Status": "SUCCEEDED", "Result": "1"})


def on_runtime_api():
    runtime, engine = os.environ["AWS_LAMBDA_RUNTIME_API"], urlparse(os.environ["AWS_ENDPOINT_URL"]).netloc
    base = "/2018-06-01/runtime/invocation"
    while True:
        response, event = call(runtime, "GET", f"{base}/next")
        id = response.headers["Lambda-Runtime-Aws-Request-Id"]
        call(runtime, "POST", f"{base}/{id}/response", run(json.loads(event), engine))


class Invoke(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        event = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        answer = run(event, sys.argv[2]).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


if len(sys.argv) == 2:
    try:
        on_runtime_api()
    except (OSError, http.client.HTTPException):
        pass  # the stack has ended
else:
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[3])), Invoke).serve_forever()
