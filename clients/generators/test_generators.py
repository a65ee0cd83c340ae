"""Generates clients from openapi.yaml with the commands of the README, and runs an execution with each of them.

A warning fails, whoever gives it: a generator, a compiler or a type checker.
"""

import importlib.util
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
# The README's commands run here, beside a copy of the document.
OUT = ROOT / "target/generators"
LONGHAUL = os.environ.get("LONGHAUL_BIN", ROOT / "target/debug/longhaul")

# What openapi-generator says of any document of this kind.
EXPECTED = re.compile("|".join([
    # It takes OpenAPI 3.1 since its version 7, and calls that beta.
    r"OpenAPI 3\.1 support is still in beta",
    # It makes a model name of each media type, for Rust too, where none is used.
    r"Application(Json|Problem\+json) cannot be used as a model name",
    # Java's documentation has no room for an example that is an object.
    r"Ignoring complex example on request body",
]))

OUTPUTS = PYTHON, TYPESCRIPT, RUST, JAVA = "longhaul-python", "longhaul.d.ts", "longhaul-rust", "longhaul-java"

api = ""


def setUpModule():
    global api
    OUT.mkdir(parents=True, exist_ok=True)
    shutil.copy(ROOT / "openapi.yaml", OUT)
    modules = OUT / "node_modules"
    modules.unlink(missing_ok=True)
    modules.symlink_to(HERE / "node_modules")

    data = tempfile.TemporaryDirectory()
    unittest.addModuleCleanup(data.cleanup)
    free = "127.0.0.1:0"
    stack = subprocess.Popen(
        [LONGHAUL, "--json", "--listen", free, "--aws-listen", free, "--data", data.name, "--job", "echo=cat"],
        stdout=subprocess.PIPE, env={**os.environ, "RUST_LOG": "error"},
    )
    unittest.addModuleCleanup(stack.communicate, timeout=60)
    unittest.addModuleCleanup(stack.terminate)
    api = json.loads(stack.stdout.readline())["api"]


def commands():
    """The README's commands that generate a client."""
    section = (ROOT / "README.md").read_text().split("### In other languages\n")[1]
    console = section.split("```console\n")[1].split("```")[0].replace("\\\n", " ")
    return [shlex.split(line.removeprefix("$ ")) for line in console.splitlines()]


class Generators(unittest.TestCase):
    maxDiff = None

    def run_clean(self, *command, **environment):
        """Runs a command that has to succeed without a warning."""
        here = {**os.environ, **{name: str(value) for name, value in environment.items()}}
        done = subprocess.run(
            [str(word) for word in command], cwd=OUT, env=here, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )
        self.assertEqual(done.returncode, 0, done.stdout)
        lines = [line for line in done.stdout.splitlines() if not EXPECTED.search(line)]
        self.assertEqual([line for line in lines if re.search(r"\bwarn", line, re.IGNORECASE)], [], done.stdout)

    def generate(self, output):
        """Runs the README's command that makes this output; returns where it is."""
        made = OUT / output
        if made.is_dir():
            shutil.rmtree(made)
        made.unlink(missing_ok=True)
        command, = (command for command in commands() if output in command)
        self.run_clean(*command)
        self.assertTrue(made.exists(), command)
        return made

    def test_every_command_of_the_readme_is_tried(self):
        tried = [next(word for word in command if word in OUTPUTS) for command in commands()]
        self.assertEqual(sorted(tried), sorted(OUTPUTS))

    def test_python(self):
        made = self.generate(PYTHON)
        run = HERE / "python/run.py"
        self.run_clean(
            sys.executable, "-m", "mypy", "--strict", "--cache-dir", OUT / "mypy", made / "longhaul_client", run, MYPYPATH=made,
        )
        self.run_clean(sys.executable, "-W", "error", run, api, PYTHONPATH=made)

    def test_typescript(self):
        self.generate(TYPESCRIPT)
        self.run_clean(HERE / "node_modules/.bin/tsc", "--project", HERE / "typescript")
        self.run_clean("node", "typescript/run.mjs", api)

    def test_rust(self):
        self.generate(RUST)
        manifest = HERE / "rust/Cargo.toml"
        # The lock file was the workspace's once: two thirds of the crates are built for it already.
        self.run_clean("cargo", "run", "--locked", "--manifest-path", manifest, "--", api, CARGO_TARGET_DIR=ROOT / "target")

    def test_java(self):
        made = self.generate(JAVA)
        classes = OUT / "java"
        shutil.rmtree(classes, ignore_errors=True)
        classes.mkdir()
        # Maven Central is not needed: the generator's own jar has Jackson in it, and Debian has the annotations.
        jars = [
            Path(importlib.util.find_spec("openapi_generator_cli").origin).with_name("openapi-generator.jar"),
            Path("/usr/share/java/geronimo-annotation-1.3-spec.jar"),
        ]
        path = ":".join(map(str, [*jars, classes]))
        # That Jackson is newer than the one that the generator writes for, which has not deprecated a method yet.
        lint = ["-Xlint:all,-processing,-deprecation", "-Werror"]
        sources = [*(made / "src/main/java").rglob("*.java"), HERE / "java/Run.java"]
        self.run_clean("javac", *lint, "-d", classes, "-cp", path, *sources)
        self.run_clean("java", "-cp", path, "Run", api)


if __name__ == "__main__":
    unittest.main()
