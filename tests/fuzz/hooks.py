"""What the document cannot say about a request."""

import hashlib
import json

import schemathesis


@schemathesis.hook
def before_call(context, case, kwargs):
    """Leaves what is meant to be valid so."""
    if not case.meta or case.meta.generation.mode.value != "positive":
        return
    # Which jobs there are, only the installation knows.
    if isinstance(case.body, dict) and case.body.get("task") is not None:
        case.body["task"] = "demo"
    # A token is what an answer gave, together with the request that it came from.
    for token in ("pageToken", "nextToken"):
        (case.query or {}).pop(token, None)
    # A key is for one body: with a second one it is refused, as it must be, though each request by itself is valid.
    key = (case.headers or {}).get("Idempotency-Key")
    if key:
        sent = json.dumps([case.operation.label, case.path_parameters, case.body], default=str, sort_keys=True)
        case.headers["Idempotency-Key"] = key[:200] + hashlib.sha256(sent.encode()).hexdigest()[:16]
