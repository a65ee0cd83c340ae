"""boto3 clients that check every response against AWS's service model in botocore: its members, their types, and which of them are
required."""

import json
import re
import time

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

called = set()


def client(service, url=None):
    """A client of an endpoint that accepts any credentials; without an endpoint, a client of AWS itself."""
    any_credentials = dict(endpoint_url=url, region_name="us-east-1", aws_access_key_id="any", aws_secret_access_key="any")
    made = boto3.client(service, config=Config(retries={"max_attempts": 0}, read_timeout=60), **(any_credentials if url else {}))
    made.meta.events.register(f"after-call.{service}", check)
    return made


def refused(code, call, **arguments):
    """Makes a call that must be refused with this code, and returns the error response."""
    try:
        call(**arguments)
    except ClientError as error:
        assert error.response["Error"]["Code"] == code, error
        # boto3 names the class of an error as the model does.
        assert type(error).__name__ in (code, "ClientError"), type(error)
        return error.response
    raise AssertionError(f"{call.__name__} was not refused")


def until(what):
    for _ in range(900):
        if found := what():
            return found
        time.sleep(0.1)
    raise AssertionError("timed out")


def check(http_response, parsed, model, **_):
    called.add(model.name)
    if http_response.status_code >= 300:
        code = parsed["Error"]["Code"]
        known = {shape.error_code for shape in model.error_shapes} | {shape.name for shape in model.error_shapes}
        # Errors that every call of a service may return are not in the model of each operation.
        common = {"ValidationException", "InvalidParameterValueException", "ClientException", "InvalidRequestContentException"}
        assert code in known | common, f"{model.name} returned {code}, the model has {sorted(known)}"
        return
    shape = model.output_shape
    if shape is None:
        assert http_response.content in (b"", b"{}"), f"{model.name}: {http_response.content}"
        return
    if shape.serialization.get("payload"):
        return  # The function defines the body.
    body = json.loads(http_response.content or b"{}")
    members = {name: member for name, member in shape.members.items() if not member.serialization.get("location")}
    structure(body, members, set(shape.required_members) & set(members), model.name)


def structure(value, members, required, where):
    assert isinstance(value, dict), f"{where} is not a structure: {value}"
    named = {member.serialization.get("name", name): member for name, member in members.items()}
    for name, inside in value.items():
        assert name in named, f"{where}.{name} is not in the model"
        if inside is not None:
            fits(inside, named[name], f"{where}.{name}")
    for name in required:
        assert value.get(members[name].serialization.get("name", name)) is not None, f"{where}.{name} is missing"


def fits(value, shape, where):
    kind = shape.type_name
    if kind == "structure":
        structure(value, shape.members, shape.required_members, where)
    elif kind == "list":
        assert isinstance(value, list), f"{where} is not a list: {value}"
        for place, item in enumerate(value):
            fits(item, shape.member, f"{where}[{place}]")
    elif kind == "map":
        assert isinstance(value, dict), f"{where} is not a map: {value}"
        for name, item in value.items():
            fits(item, shape.value, f"{where}.{name}")
    elif kind in ("string", "blob"):
        assert isinstance(value, str), f"{where} is not a string: {value}"
        assert not shape.metadata.get("enum") or value in shape.metadata["enum"], f"{where} cannot be {value}"
        pattern = shape.metadata.get("pattern")
        # Python's regular expressions do not support Unicode character classes.
        if pattern and r"\p{" not in pattern:
            assert re.fullmatch(pattern, value, re.DOTALL), f"{where} does not match {pattern}: {value}"
    elif kind == "boolean":
        assert isinstance(value, bool), f"{where} is not a boolean: {value}"
    elif kind in ("integer", "long"):
        assert isinstance(value, int) and not isinstance(value, bool), f"{where} is not an integer: {value}"
        low, high = shape.metadata.get("min", value), shape.metadata.get("max", value)
        assert low <= value <= high, f"{where} is out of its range: {value}"
    elif kind in ("timestamp", "float", "double"):
        assert isinstance(value, (int, float)) and not isinstance(value, bool), f"{where} is not a number: {value}"
    else:
        raise AssertionError(f"{where} is a {kind}")
