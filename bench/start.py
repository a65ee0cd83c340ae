"""Measures how a function starts: the time until it first polls for work, its memory at that point, and the size of its zip file.

The programs are the deployed ones. Each polls a Runtime API of this benchmark, and is then killed. By then, the programs have built
the AWS clients that they build before the first invocation. The Python SDK builds its own client with the first invocation only."""

import importlib.metadata
import io
import os
import pathlib
import socket
import subprocess
import sys
import time
import zipfile

from common import BENCH, CREDENTIALS, FUNCTIONS, ROOT, median, number, percentile, say, status_megabytes

ROUNDS = number("ROUNDS", 30)
OURS = ("api", "sync", "callback", "reconciler")
THEIRS = {"Python sync": "sync", "Python callback": "callback"}
# The variables that Lambda sets. There is no endpoint variable, so the AWS clients are built for TLS, as on AWS.
BASE = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "TZ": ":UTC", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128", "AWS_LAMBDA_FUNCTION_VERSION": "1",
        "AWS_LAMBDA_LOG_GROUP_NAME": "group", "AWS_LAMBDA_LOG_STREAM_NAME": "stream", "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand"}


def deployed(name):
    """The program of a function, as built by `make sam-build`."""
    return ROOT / f".aws-sam/build/{name.capitalize()}Function/bootstrap"


def program(name):
    """The function's command, and its additional variables."""
    if name in OURS:
        return [deployed(name)], {}
    return [sys.executable, "-m", "awslambdaric", f"pattern.{THEIRS[name]}"], {"PYTHONPATH": str(BENCH / "python")}


def once(name):
    command, own = program(name)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(30)
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        environment = BASE | CREDENTIALS | FUNCTIONS | own | {"AWS_LAMBDA_RUNTIME_API": address, "AWS_LAMBDA_FUNCTION_NAME": name.replace(" ", "-")}
        began = time.perf_counter()
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            connection, _ = listener.accept()
            head = connection.recv(4096)
            took = time.perf_counter() - began
            assert b"/runtime/invocation/next" in head, head
            memory = status_megabytes(process.pid)
        finally:
            process.kill()
            _, _, usage = os.wait4(process.pid, 0)
            process.returncode = -9
        connection.close()
        return 1000 * took, memory, 1000 * (usage.ru_utime + usage.ru_stime)


def zip_megabytes(name):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as zipped:
        if name in OURS:
            zipped.write(deployed(name), "bootstrap")
        else:
            zipped.write(BENCH / "python/pattern.py", "pattern.py")
            for path, place in installed("aws-durable-execution-sdk-python", "awslambdaric", "boto3"):
                zipped.write(path, place)
    return buffer.getbuffer().nbytes / 1e6


def installed(*names):
    """The files of packages and their dependencies, as `pip install --target` would place them, without compiled Python files."""
    found, ahead = {}, list(names)
    while ahead:
        name = ahead.pop().lower().replace("_", "-")
        if name in found:
            continue
        distribution = importlib.metadata.distribution(name)
        files = [(path.locate(), str(path)) for path in distribution.files or () if ".." not in path.parts and "__pycache__" not in path.parts]
        found[name] = [(path, place) for path, place in files if pathlib.Path(path).is_file()]
        for needed in distribution.requires or ():
            if "extra ==" not in needed:
                ahead.append("".join(letter if letter.isalnum() or letter in "-_." else " " for letter in needed.split(";")[0]).split()[0])
    return [file for files in found.values() for file in files]


def measure():
    runs = {name: [] for name in (*OURS, *THEIRS)}
    for name in runs:
        once(name)  # reads the files into the page cache
    for lap in range(ROUNDS):
        for name in runs:
            runs[name].append(once(name))
        if lap % 10 == 9:
            say(f"start: {lap + 1} of {ROUNDS} rounds")
    return {"rounds": ROUNDS, "functions": {
        name: {"fastest_ms": min(run[0] for run in all), "init_ms": median([run[0] for run in all]), "init_p99_ms": percentile([run[0] for run in all], 99),
               "resident_mb": median([run[1] for run in all]), "processor_ms": median([run[2] for run in all]), "zip_mb": zip_megabytes(name)}
        for name, all in runs.items()}}
