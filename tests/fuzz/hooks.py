"""What the document cannot say about a request."""

import hashlib
import json
import unicodedata

import schemathesis


def in_a_tag(text):
    """What ECS takes of a text in a tag: by Unicode's categories, which no pattern says to every validator."""
    kept = "".join(c for c in text if c in "_.:/=+-@" or unicodedata.category(c)[0] in "LNZ")
    return f"-{kept}"[:len(text)] if kept.lower().startswith("aws:") else kept


@schemathesis.hook
def before_call(context, case, kwargs):
    """Leaves what is meant to be valid so."""
    if not case.meta or case.meta.generation.mode.value != "positive":
        return
    # Which jobs there are, only the installation knows.
    if isinstance(case.body, dict) and case.body.get("job") is not None:
        case.body["job"] = "demo"
    tags = case.body.get("tags") if isinstance(case.body, dict) else None
    if isinstance(tags, dict):
        case.body["tags"] = {in_a_tag(key) or "key": in_a_tag(value) for key, value in tags.items()}
    # A token is what an answer gave, together with the request that it came from.
    for token in ("pageToken", "nextToken"):
        (case.query or {}).pop(token, None)
    # A key is for one body: with a second one it is refused, as it must be, though each request by itself is valid.
    key = (case.headers or {}).get("Idempotency-Key")
    if key:
        sent = json.dumps([case.operation.label, case.path_parameters, case.body], default=str, sort_keys=True)
        case.headers["Idempotency-Key"] = key[:200] + hashlib.sha256(sent.encode()).hexdigest()[:16]
