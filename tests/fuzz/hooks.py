"""Schemathesis hooks. They apply rules for requests that the OpenAPI document cannot express."""

import hashlib
import json
import unicodedata

import schemathesis


def in_a_tag(text):
    """The part of a text that ECS allows in a tag. Its rule uses Unicode categories, which not all validators support in patterns."""
    kept = "".join(c for c in text if c in "_.:/=+-@" or unicodedata.category(c)[0] in "LNZ")
    return f"-{kept}"[:len(text)] if kept.lower().startswith("aws:") else kept


@schemathesis.hook
def before_call(context, case, kwargs):
    """Corrects requests that are meant to be valid."""
    if not case.meta or case.meta.generation.mode.value != "positive":
        return
    # The names of jobs differ between installations, so the document does not list them.
    if isinstance(case.body, dict) and case.body.get("job") is not None:
        case.body["job"] = "demo"
    tags = case.body.get("tags") if isinstance(case.body, dict) else None
    if isinstance(tags, dict):
        case.body["tags"] = {in_a_tag(key) or "key": in_a_tag(value) for key, value in tags.items()}
    # What a request may override differs between jobs (run.sh has this one), and a size has to be one that Fargate has.
    overrides = case.body if isinstance(case.body, dict) else {}
    if isinstance(overrides.get("environment"), dict):
        values = [value.replace("\0", "")[:100] for value in overrides["environment"].values()]
        overrides["environment"] = {"DEBUG": value for value in values}
    if isinstance(overrides.get("resources"), dict):
        wanted = overrides["resources"].get("cpu") or 256
        cpu = max(size for size in (256, 512, 1024, 2048, 4096, 8192, 16384) if size <= max(wanted, 256))
        overrides["resources"] = {"cpu": cpu, "memoryMiB": 2 * cpu}
    # Only a file that was uploaded can be an input.
    overrides.pop("inputUpload", None)
    # A member that is null counts as absent, and a rule for retries needs one that is not.
    retry = overrides.get("retry")
    if isinstance(retry, dict) and all(value is None for value in retry.values()):
        retry["maxAttempts"] = 2
    # A page token is valid only with the query parameters of the request that returned it.
    for token in ("pageToken", "nextToken"):
        (case.query or {}).pop(token, None)
    # A key is refused with a second body, although each request alone is valid. So make each body's key different.
    key = (case.headers or {}).get("Idempotency-Key")
    if key:
        sent = json.dumps([case.operation.label, case.path_parameters, case.body], default=str, sort_keys=True)
        case.headers["Idempotency-Key"] = key[:200] + hashlib.sha256(sent.encode()).hexdigest()[:16]
