"""Tests the functions' programs in .aws-sam/build: their size, their architecture, and that they start. `make sam-build` builds them first."""

import os
import pathlib
import platform
import subprocess
import unittest
import zipfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / ".aws-sam/build"
FUNCTIONS = ("ApiFunction", "SyncFunction", "CallbackFunction", "ReconcilerFunction")
MACHINES = {"x86_64": "Advanced Micro Devices X86-64", "arm64": "AArch64"}
ARCHITECTURE = os.environ.get("ARCHITECTURE", "x86_64")

# Amazon Linux 2023 has glibc 2.34.
GLIBC = (2, 34)
MAX_ZIPPED_BYTES = 5_250_000


class Functions(unittest.TestCase):
    def test_each_function_is_one_small_program(self):
        print()
        for name in FUNCTIONS:
            with self.subTest(name):
                self.assertEqual([path.name for path in (BUILD / name).iterdir()], ["bootstrap"])
                archive = ROOT / f"target/{name}.zip"
                with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as zipped:
                    zipped.write(BUILD / name / "bootstrap", "bootstrap")
                program, size = (BUILD / name / "bootstrap").stat().st_size, archive.stat().st_size
                print(f"{name}: {size / 1e6:.2f} MB zipped, {program / 1e6:.2f} MB unpacked")
                self.assertLess(size, MAX_ZIPPED_BYTES)

    def test_each_function_is_built_for_the_deployed_architecture(self):
        for name in FUNCTIONS:
            with self.subTest(name):
                headers = subprocess.run(
                    ["readelf", "--file-header", "--version-info", "--wide", BUILD / name / "bootstrap"],
                    capture_output=True, text=True, check=True,
                ).stdout  # fmt: skip
                self.assertIn(MACHINES[ARCHITECTURE], headers)
                versions = {word.strip(")") for word in headers.replace("(", " ").split() if word.startswith("GLIBC_")}
                newest = max(tuple(map(int, version[6:].split("."))) for version in versions)
                self.assertLessEqual(newest, GLIBC)

    @unittest.skipUnless(ARCHITECTURE == platform.machine(), "this machine has another architecture")
    def test_each_function_reports_a_missing_environment_variable_at_its_start(self):
        for name in FUNCTIONS:
            with self.subTest(name):
                environment = {"AWS_LAMBDA_RUNTIME_API": "127.0.0.1:1", "AWS_LAMBDA_FUNCTION_NAME": name}
                environment |= {"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128", "AWS_LAMBDA_FUNCTION_VERSION": "1"}
                done = subprocess.run([BUILD / name / "bootstrap"], env=environment, capture_output=True, text=True, timeout=120)
                self.assertNotEqual(done.returncode, 0)
                self.assertIn("EXECUTIONS_TABLE is not set", done.stdout + done.stderr)


if __name__ == "__main__":
    unittest.main()
