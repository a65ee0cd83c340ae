"""Schemathesis hooks. They apply rules for requests that the OpenAPI document cannot express."""

import datetime
import hashlib
import json
import unicodedata

import schemathesis


def in_a_tag(text):
    """The part of a text that ECS allows in a tag. Its rule uses Unicode categories, which not all validators support in patterns."""
    kept = "".join(c for c in text if c in "_.:/=+-@" or unicodedata.category(c)[0] in "LNZ")
    return f"-{kept}"[:len(text)] if kept.lower().startswith("aws:") else kept


def soon(seconds):
    """A time this many seconds from now."""
    return (datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def corrected(body):
    """A request for one execution, or a change of one, as this installation accepts it."""
    # The names of jobs differ between installations, so the document does not list them.
    if body.get("job") is not None:
        body["job"] = "demo"
    tags = body.get("tags")
    if isinstance(tags, dict):
        body["tags"] = {in_a_tag(key) or "key": in_a_tag(value) for key, value in tags.items()}
    # What a request may override differs between jobs (run.sh has this one), and a size has to be one that Fargate has.
    if isinstance(body.get("environment"), dict):
        values = [value.replace("\0", "")[:100] for value in body["environment"].values()]
        body["environment"] = {"DEBUG": value for value in values}
    if isinstance(body.get("resources"), dict):
        wanted = body["resources"].get("cpu") or 256
        cpu = max(size for size in (256, 512, 1024, 2048, 4096, 8192, 16384) if size <= max(wanted, 256))
        body["resources"] = {"cpu": cpu, "memoryMiB": 2 * cpu}
    # Only a file that was uploaded can be an input.
    body.pop("inputUpload", None)
    # Times are limited relative to now and to each other, and only one of two may be given.
    if body.get("startAt") is not None or body.get("startBefore") is not None:
        body.pop("delaySeconds", None)
    for name, seconds in (("startAt", 60), ("startBefore", 120)):
        if body.get(name) is not None:
            body[name] = soon(seconds)
    # A member that is null counts as absent, and a rule for retries needs one that is not.
    retry = body.get("retry")
    if isinstance(retry, dict) and all(value is None for value in retry.values()):
        retry["maxAttempts"] = 2
    return body


@schemathesis.hook
def before_call(context, case, kwargs):
    """Corrects requests that are meant to be valid."""
    # A response that is held until a later execution is over takes as long as it may.
    if isinstance(case.body, dict) and any(case.body.get(name) is not None for name in ("startAt", "delaySeconds")):
        (case.headers or {}).pop("Prefer", None)
    if not case.meta or case.meta.generation.mode.value != "positive":
        return
    if isinstance(case.body, dict) and isinstance(case.body.get("start"), dict):
        # A schedule: few texts are cron expressions or names of time zones, and some members of a start are not for schedules.
        case.body |= {"cron": "0 2 * * *", "timeZone": "Europe/Berlin"}
        for name in ("inputUpload", "startAt", "delaySeconds", "startBefore"):
            case.body["start"].pop(name, None)
        corrected(case.body["start"])
    elif isinstance(case.body, dict):
        corrected(case.body)
        # The largest batches would keep a machine busy for minutes.
        if isinstance(case.body.get("executions"), list):
            case.body["executions"] = [corrected(one) for one in case.body["executions"][:5] if isinstance(one, dict)]
    # A page token is valid only with the query parameters of the request that returned it.
    for token in ("pageToken", "nextToken"):
        (case.query or {}).pop(token, None)
    # A key is refused with a second body, although each request alone is valid. So make each body's key different.
    key = (case.headers or {}).get("Idempotency-Key")
    if key:
        sent = json.dumps([case.operation.label, case.path_parameters, case.body], default=str, sort_keys=True)
        case.headers["Idempotency-Key"] = key[:200] + hashlib.sha256(sent.encode()).hexdigest()[:16]
