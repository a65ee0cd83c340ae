"""Tests the worker's program as it is deployed. `make worker` builds it first."""

import os
import pathlib
import platform
import subprocess
import unittest

from test_functions import MACHINES

ARCHITECTURE = os.environ.get("ARCHITECTURE", platform.machine().replace("aarch64", "arm64"))
WORKER = pathlib.Path(__file__).resolve().parents[2] / "target/image" / ARCHITECTURE / "worker"


class Worker(unittest.TestCase):
    def headers(self, *which):
        return subprocess.run(["readelf", *which, WORKER], capture_output=True, text=True, check=True).stdout

    def test_the_worker_needs_no_shared_library(self):
        headers = self.headers("--program-headers", "--dynamic")
        self.assertNotIn("INTERP", headers)
        self.assertNotIn("NEEDED", headers)

    def test_the_worker_is_built_for_the_deployed_architecture(self):
        self.assertIn(MACHINES[ARCHITECTURE], self.headers("--file-header"))


if __name__ == "__main__":
    unittest.main()
