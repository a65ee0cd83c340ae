"""Finds the AWS calls that the Rust code makes, by reading its source.

It understands only the patterns that this code base uses. `named_calls` checks it: every error of a call contains the call's
name (`"ecs:RunTask"`), so a call that is not found here leaves a name without a call.
"""

import dataclasses
import functools
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[2]

# The crates that call AWS.
CALLERS = ("store", "compute")
# The IAM actions that differ from the SDK's names.
SERVICES = {"cloudwatchlogs": "logs"}
ACTIONS = {"lambda:Invoke": "lambda:InvokeFunction"}


@dataclasses.dataclass(frozen=True)
class Function:
    """A function. `owner` is the type whose method it is, if any."""

    file: pathlib.Path
    owner: str | None
    name: str
    body: str


CALL = re.compile(r'"(?:dynamodb|ecs|lambda|logs|events):[A-Z]\w+"')
# Tokens in which braces and names have no meaning: raw strings, strings, characters, comments.
TOKEN = re.compile(r'''\br(#*)".*?"\1|"(?:\\.|[^"\\])*"|'(?:\\.[^']*|[^\\'])'|//[^\n]*|/\*.*?\*/''', re.S)


@functools.cache
def source(path):
    """A file without comments, tests, and strings other than names of calls."""
    text = TOKEN.sub(lambda it: it[0] if CALL.fullmatch(it[0]) else " ", path.read_text())
    while found := re.search(r"#\[cfg\(test\)\]\s*(?:pub )?mod \w+\s*\{", text):
        text = text[: found.start()] + text[end_of_block(text, found.end()) :]
    return text


def end_of_block(text, start):
    """The position after the brace that closes the one before `start`."""
    depth = 1
    for brace in re.finditer(r"[{}]", text[start:]):
        depth += 1 if brace[0] == "{" else -1
        if depth == 0:
            return start + brace.end()
    raise ValueError("a brace is not closed")


def files(folder):
    """The Rust sources of a crate, without tests."""
    found = sorted((ROOT / "crates" / folder / "src").rglob("*.rs"))
    assert found, f"there is no crate {folder}"
    return [path for path in found if path.name != "tests.rs" and "tests" not in path.parent.parts]


@functools.cache
def functions(folder):
    """Every function of a crate."""
    found = []
    for path in files(folder):
        text = source(path)
        impls = []
        for impl in re.finditer(r"\bimpl\b(?:<[^{]*?>)?\s+(?:[\w:<>, ]+\s+for\s+)?(?:[\w]+::)*(\w+)[^{;]*\{", text):
            impls.append((impl.end(), end_of_block(text, impl.end()), impl[1]))
        for head in re.finditer(r"\bfn\s+(\w+)", text):
            opened = re.compile(r"[{;]").search(text, head.end())
            if opened is None or opened[0] == ";":
                continue  # declared in a trait
            body = text[opened.end() : end_of_block(text, opened.end())]
            owner = next((name for start, end, name in impls if start <= head.start() < end), None)
            found.append(Function(path, owner, head[1], body))
    return found


def action(service, operation):
    camel = "".join(word.capitalize() for word in operation.split("_"))
    return f"{SERVICES.get(service, service)}:{camel}"


def services_of(path):
    """The AWS services whose `Client` a file imports, or its parent module."""
    found = set(re.findall(r"\baws_sdk_(\w+)::(?:\w+::)*\{?[^;]*\bClient\b", source(path)))
    module = path.parent.with_suffix(".rs")
    return found or (services_of(module) if module.exists() else found)


@functools.cache
def fields():
    """The fields of structs in the crates that call AWS, as `{struct: {field: type}}`."""
    paths = (path for crate in CALLERS for path in files(crate))
    structs = (it for path in paths for it in re.finditer(r"\bstruct (\w+)[^;{(]*\{([^}]*)\}", source(path)))
    return {struct[1]: dict(re.findall(r"(\w+):\s*(\w+)", struct[2])) for struct in structs}


@functools.cache
def aws_calls():
    """The calls of each method of the crates that call AWS, as `{(type, method): {"service:Operation"}}`."""
    direct, edges = {}, {}
    for function in (function for crate in CALLERS for function in functions(crate)):
        services = services_of(function.file)
        key = (function.owner, function.name)
        operations = re.findall(r"\.\s*client\s*\.\s*(\w+)\s*\(", function.body)
        assert not operations or len(services) == 1, f"{function.file} has clients of {services}"
        direct[key] = {action(service, operation) for operation in operations for service in services}
        edges[key] = {(function.owner, name) for name in re.findall(r"\bself\s*\.\s*(\w+)\s*\(", function.body)}
        types = fields().get(function.owner, {})
        for field, name in re.findall(r"\bself\s*\.\s*(\w+)\s*\.\s*(\w+)\s*\(", function.body):
            edges[key].add((types.get(field), name))
    calls = {}
    for key in direct:
        reached, pending = set(), [key]
        while pending:
            current = pending.pop()
            if current in direct and current not in reached:
                reached.add(current)
                pending.extend(edges[current])
        calls[key] = set().union(*(direct[one] for one in reached))
    return calls


def named_calls():
    """The calls that the errors of the crates that call AWS name. Names of permissions are left out."""
    texts = (source(path) for crate in CALLERS for path in files(crate))
    return {name.strip('"') for text in texts for name in CALL.findall(text)} - set(ACTIONS.values())


def handles(folder):
    """The variables and fields of a crate whose type makes calls, as `{name: type}`."""
    types = {owner for (owner, _), calls in aws_calls().items() if owner and calls}
    found = {}
    for path in files(folder):
        text = source(path)
        for pattern in (r"\b(\w+):\s*&?(?:(?:store|compute)::)?(%s)\b", r"\blet\s+(\w+)\s*=\s*(?:(?:store|compute)::)?(%s)::new"):
            found |= dict(re.findall(pattern % "|".join(types), text))
    return found


def calls_in(function, holders):
    """The calls that a function makes directly."""
    made = set()
    for holder, method in re.findall(r"\b(\w+)\s*\.\s*(\w+)\s*\(", function.body):
        if holder in holders:
            made |= aws_calls().get((holders[holder], method), set())
    return made


def calls_of_crate(folder):
    """The calls that a crate makes."""
    holders = handles(folder)
    return set().union(*(calls_in(function, holders) for function in functions(folder)))


def calls_from(folder, root):
    """The calls that a crate's function `root` makes, directly or through other functions of the crate."""
    every, holders = functions(folder), handles(folder)
    reached, pending = set(), [function for function in every if function.name == root and function.owner is None]
    assert pending, f"{folder} has no function {root}"
    while pending:
        current = pending.pop()
        if current in reached:
            continue
        reached.add(current)
        methods = set(re.findall(r"\b(?:self|activities)\s*\.\s*(\w+)\s*\(", current.body))
        plain = set(re.findall(r"(?<![.\w])(?:\w+::)*(\w+)\s*\(", current.body))
        pending += [it for it in every if it.name in (methods if it.owner else plain)]
    return set().union(*(calls_in(function, holders) for function in reached))
