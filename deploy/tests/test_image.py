"""Builds the images and runs them, without a Docker engine: `make image-test`.

Differences from `docker build`: deploy/static-worker.sh has built the worker on this machine, instead of the first stage
of crates/worker/Dockerfile in an image with Rust. Debian's Python replaces the image `python:3.13-slim`. An image with
only an entry point replaces AWS's `provided:al2023`. The Dockerfiles are otherwise used unchanged.
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import tomllib
import unittest

from test_worker import WORKER

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "deploy"))

from image_template import image_template  # noqa: E402

CERTIFICATES = pathlib.Path("/etc/ssl/certs/ca-certificates.crt")

# Debian's packages of Python and its dependencies.
PYTHON = ("libc6", "libexpat1", "libgcc-s1", "libpython3.11-minimal", "libpython3.11-stdlib", "python3-minimal", "python3.11-minimal", "zlib1g")


class Images(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="longhaul-image-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.addClassCleanup(cls.buildah, "rm", "--all")
        stage = cls.folder / "build"
        for source, inside in ((WORKER, "out/worker"), (CERTIFICATES, "etc/ssl/certs/ca-certificates.crt")):
            (stage / inside).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, stage / inside)
        # This context replaces the Dockerfile's first stage.
        cls.build("worker", ROOT / "crates/worker/Dockerfile", cls.folder, f"--build-context=build={stage}")

    @classmethod
    def buildah(cls, *arguments, check=True, **more):
        command = ["buildah", "--root", cls.folder / "store", "--runroot", cls.folder / "run", *arguments]
        env = os.environ | {"BUILDAH_ISOLATION": "chroot", "STORAGE_DRIVER": "vfs"}
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=300, **more)
        assert not check or done.returncode == 0, done.stderr
        return done

    @classmethod
    def build(cls, name, dockerfile, context, *more):
        cls.buildah("build", "--tag", f"localhost/{name}", "--file", dockerfile, *more, context)

    def rootfs(self, image):
        container = self.buildah("from", f"localhost/{image}").stdout.strip()
        return pathlib.Path(self.buildah("mount", container).stdout.strip())

    def run_image(self, image, *arguments, **environment):
        container = self.buildah("from", f"localhost/{image}").stdout.strip()
        config = json.loads(self.buildah("inspect", "--type", "image", f"localhost/{image}").stdout)["OCIv1"]["config"]
        env = [f"--env={name}={value}" for name, value in environment.items()]
        command = [*config["Entrypoint"], *(arguments or config.get("Cmd", []))]
        return self.buildah("run", *env, container, "--", *command, check=False, stdin=subprocess.DEVNULL)

    def test_the_image_contains_only_the_worker_and_the_certificates(self):
        root = self.rootfs("worker")
        files = {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}
        self.assertEqual(files, {"worker", "etc/ssl/certs/ca-certificates.crt"})
        size = sum((root / name).stat().st_size for name in files)
        print(f"\nthe worker's image: {size / 1e6:.1f} MB, {(root / 'worker').stat().st_size / 1e6:.1f} MB of it the program")
        self.assertLess(size, 20_000_000)

    def test_the_build_context_contains_only_sources(self):
        probe = self.folder / "Dockerfile.context"
        probe.write_text("FROM scratch\nCOPY . /\n")
        self.build("context", probe, ROOT, f"--ignorefile={ROOT}/crates/worker/Dockerfile.dockerignore")
        root = self.rootfs("context")
        self.assertTrue((root / "crates/worker/Cargo.toml").is_file())
        self.assertTrue((root / "deploy/static-worker.sh").is_file())
        # Cargo reads the manifest of every crate of the workspace.
        for member in tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["members"]:
            self.assertTrue(list(root.glob(f"{member}/Cargo.toml")), member)
        self.assertFalse((root / "target").exists())
        self.assertLess(sum(path.stat().st_size for path in root.rglob("*") if path.is_file()), 10_000_000)

    def test_the_images_user_is_not_root(self):
        inspected = json.loads(self.buildah("inspect", "--type", "image", "localhost/worker").stdout)
        self.assertEqual(inspected["OCIv1"]["config"]["User"], "65532:65532")

    def test_the_demonstration_job_runs_in_the_image(self):
        done = self.run_image("worker", EXECUTION_INPUT='{"message": "Hello", "processingTime": 1}')
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("Hello", json.dumps(json.loads(done.stdout.splitlines()[-1])))

    def test_the_worker_runs_read_only_and_resolves_names_and_verifies_certificates(self):
        root = self.folder / "isolated/root"
        shutil.copytree(self.rootfs("worker"), root, symlinks=True)
        isolated = ROOT / "deploy/tests/isolated.py"
        command = ["unshare", "--net", "--mount", sys.executable, isolated, root]
        done = subprocess.run(command, capture_output=True, text=True, timeout=180)
        self.assertEqual(done.returncode, 0, done.stderr)
        report = json.loads(done.stdout)
        self.assertEqual(report["demo"]["code"], 0, report["demo"])
        self.assertIsInstance(json.loads(report["demo"]["out"].splitlines()[-1]), dict)
        self.assertEqual(report["seen"], [["dynamodb.eu-west-1.amazonaws.com", "DynamoDB_20120810.GetItem"]], report["fromTable"])
        self.assertEqual(report["fromTable"]["code"], 125)
        self.assertIn("there is no execution e1", report["fromTable"]["err"])
        # The same from the volume, in an image without certificates.
        self.assertEqual((report["install"]["code"], report["install"]["err"]), (0, ""))
        self.assertEqual(report["installed"]["code"], 125)
        self.assertIn("there is no execution e2", report["installed"]["err"])

    def test_the_worker_runs_the_example_from_a_volume(self):
        base = self.folder / "python"
        packages = self.folder / "packages"
        packages.mkdir()
        subprocess.run(["apt-get", "download", *PYTHON], cwd=packages, check=True, capture_output=True)
        for package in packages.iterdir():
            subprocess.run(["dpkg-deb", "--extract", package, base], check=True)
        replacement = self.folder / "Dockerfile.python"
        replacement.write_text("FROM scratch\nCOPY . /\nENV PATH=/usr/local/bin:/usr/bin:/bin\n")
        self.build("python-replacement", replacement, base)
        self.build(
            "example",
            ROOT / "examples/container/Dockerfile",
            ROOT / "examples/container",
            "--build-context=docker.io/library/python:3.13-slim=container-image://localhost/python-replacement",
        )
        # As deploy/jobs/tasks.py says: the worker's container installs it, and the job's container runs it.
        volume = self.folder / "longhaul"
        volume.mkdir()
        container = self.buildah("from", "localhost/worker").stdout.strip()
        self.buildah("run", "--user=0:0", f"--volume={volume}:/longhaul", container, "--", "/worker", "install", "/longhaul")

        def job(text):
            container = self.buildah("from", "localhost/example").stdout.strip()
            command = ["/longhaul/worker", "--", "python3", "/job/wordcount.py"]
            given = [f"--volume={volume}:/longhaul:ro", f"--env=EXECUTION_INPUT={text}"]
            return self.buildah("run", *given, container, "--", *command, check=False, stdin=subprocess.DEVNULL)

        done = job('{"text": "to be or not to be"}')
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(json.loads(done.stdout.splitlines()[-1])["words"], 6)
        wrong = job("[]")
        self.assertEqual(wrong.returncode, 2)
        self.assertIn("the input has to be an object", wrong.stderr)

    def test_the_functions_image_has_each_functions_program_at_its_entry_point(self):
        base = self.folder / "lambda"
        base.mkdir()
        replacement = self.folder / "Dockerfile.lambda"
        replacement.write_text('FROM scratch\nWORKDIR /var/task\nENTRYPOINT ["/lambda-entrypoint.sh"]\n')
        self.build("lambda-replacement", replacement, base)
        functions = {
            name: resource["Properties"]["ImageConfig"]["EntryPoint"][0]
            for name, resource in image_template()["Resources"].items()
            if resource["Type"] == "AWS::Serverless::Function"
        }
        built = self.folder / "functions" # as `sam build` leaves it
        for name in functions:
            (built / name).mkdir(parents=True)
            (built / name / "bootstrap").write_text(name)
            (built / name / "bootstrap").chmod(0o755)
        (built / "jobs.json").write_text("{}")
        self.build(
            "functions",
            ROOT / "deploy/functions.Dockerfile",
            built,
            "--build-context=public.ecr.aws/lambda/provided:al2023=container-image://localhost/lambda-replacement",
        )
        root = self.rootfs("functions")
        for name, program in functions.items():
            self.assertEqual((root / program[1:]).read_text(), name)
            self.assertEqual((root / program[1:]).stat().st_mode & 0o777, 0o755, "Lambda's user must be able to run it")
        self.assertEqual({it.name for it in (root / "var/task").iterdir()}, {pathlib.Path(it).name for it in functions.values()} | {"jobs.json"})


if __name__ == "__main__":
    unittest.main()
