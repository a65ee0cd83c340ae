"""A durable function that uses only the standard library and no SDK, so that it starts fast.

It runs a step and a wait four times. The second step fails at its first attempt. Each attempt of a step appends a line to a file.
"""

import http.client
import json
import os
import sys
from urllib.parse import quote, urlparse

RUNTIME = os.environ["AWS_LAMBDA_RUNTIME_API"]
LAMBDA = urlparse(os.environ["AWS_ENDPOINT_URL"]).netloc
ROUNDS = 4
# Every AWS client sends a signature. The emulator does not verify it.
HEADERS = {"authorization": "AWS4-HMAC-SHA256 Credential=by-hand/20260101/us-east-1/lambda/aws4_request, SignedHeaders=host, Signature=0"}


def call(host, method, path, body=None):
    connection = http.client.HTTPConnection(host)
    connection.request(method, path, None if body is None else json.dumps(body), HEADERS)
    response = connection.getresponse()
    content = response.read()
    connection.close()
    if response.status >= 300:
        raise RuntimeError(f"{response.status} {content[:200]}")
    return response, json.loads(content or "null")


class Suspended(Exception):
    pass


class Execution:
    def __init__(self, event):
        self.path = "/2025-12-01/durable-executions/" + quote(event["DurableExecutionArn"], safe="")
        self.token = event["CheckpointToken"]
        self.operations = {}
        state = event["InitialExecutionState"]
        while True:
            self.learn(state["Operations"])
            if not state.get("NextMarker"):
                break
            query = f"?CheckpointToken={quote(self.token, safe='')}&Marker={state['NextMarker']}"
            state = call(LAMBDA, "GET", f"{self.path}/state{query}")[1]
        self.name = event["InitialExecutionState"]["Operations"][0]["Name"]

    def learn(self, operations):
        self.operations.update((operation["Id"], operation) for operation in operations)

    def record(self, **update):
        body = {"CheckpointToken": self.token, "Updates": [update]}
        answer = call(LAMBDA, "POST", f"{self.path}/checkpoint", body)[1]
        self.token = answer["CheckpointToken"]
        self.learn(answer["NewExecutionState"]["Operations"])

    def status(self, id):
        return self.operations.get(id, {}).get("Status")

    def step(self, id, file, fails):
        if self.status(id) == "SUCCEEDED":
            return
        if self.status(id) == "PENDING":
            raise Suspended
        if self.status(id) in (None, "READY"):
            self.record(Id=id, Type="STEP", Action="START")
        attempt = self.operations[id]["StepDetails"]["Attempt"] + 1
        with open(file, "a") as lines:
            lines.write(f"{self.name} {id} {attempt}\n")
        if fails and attempt == 1:
            options = {"NextAttemptDelaySeconds": 1}
            self.record(Id=id, Type="STEP", Action="RETRY", Error={"ErrorMessage": "first"}, StepOptions=options)
            raise Suspended
        self.record(Id=id, Type="STEP", Action="SUCCEED", Payload=json.dumps(attempt))

    def wait(self, id):
        if self.status(id) is None:
            self.record(Id=id, Type="WAIT", Action="START", WaitOptions={"WaitSeconds": 1})
        if self.status(id) != "SUCCEEDED":
            raise Suspended

    def run(self, file):
        try:
            for number in range(ROUNDS):
                self.step(f"step-{number}", file, fails=number == 1)
                self.wait(f"wait-{number}")
        except Suspended:
            return {"Status": "PENDING"}
        return {"Status": "SUCCEEDED", "Result": json.dumps(self.name)}


def main(file):
    base = "/2018-06-01/runtime/invocation"
    while True:
        response, event = call(RUNTIME, "GET", f"{base}/next")
        id = response.headers["Lambda-Runtime-Aws-Request-Id"]
        try:
            call(RUNTIME, "POST", f"{base}/{id}/response", Execution(event).run(file))
        except RuntimeError as error:
            call(RUNTIME, "POST", f"{base}/{id}/error", {"errorType": "Error", "errorMessage": str(error)})


try:
    main(sys.argv[1])
except (OSError, http.client.HTTPException):
    pass  # The emulator has ended.
