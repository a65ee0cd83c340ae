"""Generates clients from openapi.yaml with the commands of docs/clients.md, and runs an execution with each of them.

A warning from a generator, a compiler or a type checker fails the test.
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
# The page's commands run here, beside a copy of the document.
OUT = ROOT / "target/generators"
LONGHAUL = os.environ.get("LONGHAUL_BIN", ROOT / "target/debug/longhaul")

# Warnings that openapi-generator prints for any document of this kind.
EXPECTED = re.compile("|".join([
    # It has supported OpenAPI 3.1 since version 7, and calls the support beta.
    r"OpenAPI 3\.1 support is still in beta",
    # It derives a model name from each media type, also for Rust, which uses none.
    r"Application(Json|Problem\+json) cannot be used as a model name",
    # The documentation of the generated Java code cannot contain an example that is an object.
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
    """The page's commands that generate a client."""
    section = (ROOT / "docs/clients.md").read_text().split("## In other languages\n")[1]
    console = section.split("```console\n")[1].split("```")[0].replace("\\\n", " ")
    return [shlex.split(line.removeprefix("$ ")) for line in console.splitlines()]


class Generators(unittest.TestCase):
    maxDiff = None

    def run_clean(self, *command, **environment):
        """Runs a command that must succeed without a warning."""
        variables = {**os.environ, **{name: str(value) for name, value in environment.items()}}
        done = subprocess.run(
            [str(word) for word in command], cwd=OUT, env=variables, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )
        self.assertEqual(done.returncode, 0, done.stdout)
        lines = [line for line in done.stdout.splitlines() if not EXPECTED.search(line)]
        self.assertEqual([line for line in lines if re.search(r"\bwarn", line, re.IGNORECASE)], [], done.stdout)

    def generate(self, output):
        """Runs the page's command for this output, and returns the output's path."""
        generated = OUT / output
        if generated.is_dir():
            shutil.rmtree(generated)
        generated.unlink(missing_ok=True)
        command, = (command for command in commands() if output in command)
        self.run_clean(*command)
        self.assertTrue(generated.exists(), command)
        return generated

    def test_every_command_of_the_page_is_tested(self):
        outputs = [next(word for word in command if word in OUTPUTS) for command in commands()]
        self.assertEqual(sorted(outputs), sorted(OUTPUTS))

    def test_the_python_client_runs_an_execution(self):
        generated = self.generate(PYTHON)
        run = HERE / "python/run.py"
        self.run_clean(
            sys.executable, "-m", "mypy", "--strict", "--cache-dir", OUT / "mypy", generated / "longhaul_client", run, MYPYPATH=generated,
        )
        self.run_clean(sys.executable, "-W", "error", run, api, PYTHONPATH=generated)

    def test_the_typescript_types_fit_an_execution(self):
        self.generate(TYPESCRIPT)
        self.run_clean(HERE / "node_modules/.bin/tsc", "--project", HERE / "typescript")
        self.run_clean("node", "typescript/run.mjs", api)

    def test_the_rust_client_runs_an_execution(self):
        self.generate(RUST)
        manifest = HERE / "rust/Cargo.toml"
        # The lock file began as a copy of the workspace's, so most of the crates in this target directory can be reused.
        self.run_clean("cargo", "run", "--locked", "--manifest-path", manifest, "--", api, CARGO_TARGET_DIR=ROOT / "target")

    def test_the_java_client_runs_an_execution(self):
        generated = self.generate(JAVA)
        classes = OUT / "java"
        shutil.rmtree(classes, ignore_errors=True)
        classes.mkdir()
        # Maven Central is not needed: the generator's jar contains Jackson, and Debian has the annotations.
        jars = [
            Path(importlib.util.find_spec("openapi_generator_cli").origin).with_name("openapi-generator.jar"),
            Path("/usr/share/java/geronimo-annotation-1.3-spec.jar"),
        ]
        path = ":".join(map(str, [*jars, classes]))
        # This Jackson is newer than the one that the generated code is written for, and has deprecated a method that it calls.
        lint = ["-Xlint:all,-processing,-deprecation", "-Werror"]
        sources = [*(generated / "src/main/java").rglob("*.java"), HERE / "java/Run.java"]
        self.run_clean("javac", *lint, "-d", classes, "-cp", path, *sources)
        self.run_clean("java", "-cp", path, "Run", api)


if __name__ == "__main__":
    unittest.main()
