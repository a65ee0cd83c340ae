"""Runs deploy.sh and destroy.sh in every order against a simulated account, and kills them at every change that they make."""

import copy
import os
import shutil
import signal
import subprocess
import unittest

from account import CLIENT, DIGEST, Account, serve
from test_scripts import Scripts


class Simulated(Scripts):
    """Runs the scripts against a simulated account."""

    def setUp(self):
        super().setUp()
        self.use(Account())

    def use(self, account):
        self.account = account
        account.tree = self.tree
        server = serve(account)
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        for tool in ("aws", "sam", "docker"):
            file = self.stubs / "bin" / tool
            file.write_text(CLIENT.format(port=server.server_address[1], tool=tool))
            file.chmod(0o755)

    def run_once(self, script, **environment):
        self.account.calls.clear()
        self.account.changes = 0
        env = {"PATH": str(self.stubs / "bin"), "AWS_REGION": "eu-west-1", "CONFIRM": "longhaul", "PROBE_PAUSE": "0"}
        command = [shutil.which("bash"), self.tree / "deploy" / script]
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        running = subprocess.Popen(command, env=env | environment, text=True, start_new_session=True, **pipes)
        self.account.kill = lambda: os.killpg(running.pid, signal.SIGKILL)
        out, err = running.communicate(timeout=300)
        self.account.kill = None
        self.assertNotIn("the simulated account failed", err + out)
        return subprocess.CompletedProcess(command, running.returncode, out, err)

    def deploy(self, **environment):
        done = self.run_once("deploy.sh", **environment)
        self.assertEqual(done.returncode, 0, done.stderr + done.stdout)
        return done

    def destroy(self):
        done = self.run_once("destroy.sh")
        self.assertEqual(done.returncode, 0, done.stderr + done.stdout)

    def parameters(self):
        return self.account.stack["parameters"]

    def killed_at_every_change(self, script, start, **environment):
        """Runs the script on copies of the account `start`, and kills it before and after each change that it makes."""
        number = 0
        while True:
            for after in (False, True):
                self.use(copy.deepcopy(start))
                self.account.fails_at, self.account.after = number, after
                done = self.run_once(script, **environment)
                if self.account.changes <= number:
                    self.assertEqual(done.returncode, 0, done.stderr)
                    return
                self.assertEqual(done.returncode, -signal.SIGKILL)
                self.account.fails_at = None
                with self.subTest(change=number, after=after, call=self.account.calls[-1]):
                    yield
            number += 1

    def in_use(self):
        """A deployed stack with an execution and a task in flight."""
        self.deploy()
        start = copy.deepcopy(self.account)
        start.executions, start.tasks, start.bucket = ["arn:e1"], ["arn:t1"], ["uploads/35/owner/input"]
        return start

    def assert_refused(self, *words, **environment):
        """The script stops before it builds anything, and says that nothing has been changed."""
        done = self.run_once("deploy.sh", **environment)
        self.assertNotEqual(done.returncode, 0)
        for word in (*words, "Nothing has been changed"):
            self.assertIn(word, done.stderr)
        self.assertFalse([call for call in self.account.calls if call.startswith("sam build") or "crates/worker/Dockerfile" in call])
        return done

    def assert_nothing_is_left(self):
        self.assertEqual(self.account.snapshot(), [None, {}, None, [], [], False])
        self.assertEqual((self.account.backups, self.account.objects), ([], set()))


class Orders(Simulated):
    def test_a_second_deployment_changes_nothing(self):
        self.deploy()
        first = self.account.snapshot()
        self.deploy()
        self.assertEqual(self.account.snapshot(), first)

    def test_parameters_that_are_not_given_keep_their_values(self):
        self.deploy(ARCHITECTURE="x86_64", PARAMETERS="InternetEgress=true ReconcilerConcurrency=3 LogRetentionDays=90")
        first = self.account.snapshot()
        self.deploy()
        self.assertEqual(self.account.snapshot(), first)
        self.assertEqual((self.parameters()["Architecture"], self.parameters()["InternetEgress"]), ("x86_64", "true"))
        self.assertIn("docker build --platform linux/amd64", " ".join(self.account.calls))
        self.deploy(ARCHITECTURE="arm64")
        self.assertEqual(self.parameters()["Architecture"], "arm64")

    def test_destroying_leaves_nothing_and_can_be_repeated(self):
        self.deploy()
        self.account.executions, self.account.tasks = ["arn:e1"], ["arn:t1"]
        self.destroy()
        self.assert_nothing_is_left()
        self.destroy()
        self.assert_nothing_is_left()
        self.deploy()

    def test_a_bucket_with_data_is_emptied_before_it_is_deleted(self):
        self.deploy()
        self.account.bucket = ["uploads/35/owner/input", "outputs/creation/1/result"]
        self.deploy()
        self.assertEqual(len(self.account.bucket), 2, "a deployment keeps them")
        self.account.executions, self.account.tasks = ["arn:e1"], ["arn:t1"]
        self.destroy()
        self.calls = self.account.calls
        self.order("aws ecs wait tasks-stopped", "aws s3 rm", "sam delete")
        self.assert_nothing_is_left()

    def test_what_is_uploaded_while_the_stack_is_deleted_is_deleted_too(self):
        self.deploy()
        self.account.late_uploads = ["uploads/35/owner/late"]
        self.destroy()
        self.calls = self.account.calls
        self.order("aws s3 rm", "sam delete", "aws s3 rm", "sam delete")
        self.assert_nothing_is_left()

    def test_a_stack_without_a_bucket_can_be_deleted_and_gets_one_from_a_deployment(self):
        """Stacks of earlier versions have none."""
        for script in ("deploy.sh", "destroy.sh"):
            self.use(Account())
            self.deploy()
            expected = self.account.snapshot()
            self.account.bucket = None
            self.assertEqual(self.run_once(script).returncode, 0)
            if script == "deploy.sh":
                self.assertEqual(self.account.snapshot(), expected)
            else:
                self.assert_nothing_is_left()

    def test_a_killed_destroy_is_undone_by_a_deployment_or_completed_by_another_destroy(self):
        start, expected, killed = self.in_use(), self.account.snapshot(), 0
        for _ in self.killed_at_every_change("destroy.sh", start):
            killed += 1
            here = copy.deepcopy(self.account)
            self.deploy()
            self.assertEqual(self.account.snapshot(), expected)
            self.use(here)
            self.destroy()
            self.assert_nothing_is_left()
        self.assertGreaterEqual(killed, 20)

    def test_a_killed_deployment_is_completed_by_another_or_destroyed(self):
        for package in ("zip", "image"):
            start = Account()
            self.use(copy.deepcopy(start))
            self.deploy(PACKAGE=package)
            expected = self.account.snapshot()
            for _ in self.killed_at_every_change("deploy.sh", start, PACKAGE=package):
                here = copy.deepcopy(self.account)
                self.deploy(PACKAGE=package)
                self.assertEqual(self.account.snapshot(), expected)
                self.use(here)
                self.destroy()
                self.assert_nothing_is_left()

    # -------------------------------------------------------------------------------------------------------- zones

    def test_zones_are_chosen_that_offer_every_service(self):
        self.account.zones = {"eu-west-1a": "euw1-az1", "eu-west-1b": "use1-az3", "eu-west-1c": "euw1-az3", "eu-west-1d": "euw1-az4"}
        self.account.offered = dict.fromkeys(self.account.offered, list(self.account.zones)) | {"logs": ["eu-west-1b", "eu-west-1c", "eu-west-1d"]}
        self.deploy()
        self.assertEqual((self.parameters()["ZoneA"], self.parameters()["ZoneB"]), ("eu-west-1c", "eu-west-1d"))

    def test_a_stack_stays_in_its_zones(self):
        """A subnet cannot move to another zone."""
        self.deploy(PARAMETERS="ZoneA=eu-west-1c ZoneB=eu-west-1b")
        self.deploy()
        self.assertEqual((self.parameters()["ZoneA"], self.parameters()["ZoneB"]), ("eu-west-1c", "eu-west-1b"))

    def test_a_deployment_stops_if_too_few_zones_offer_every_service(self):
        self.account.offered["ecr.dkr"] = ["eu-west-1a"]
        done = self.run_once("deploy.sh")
        self.assertNotEqual(done.returncode, 0)
        for word in ("eu-west-1a", "ZoneA=", "Nothing has been changed"):
            self.assertIn(word, done.stderr)
        self.assertEqual(self.account.changes, 0)

    # -------------------------------------------------------------------------------------------------------- probe

    def test_a_durable_function_is_created_as_a_probe_before_anything_is_built(self):
        self.account.assumable_after = 3 # Lambda can assume a new role only after some seconds
        self.deploy()
        self.calls = self.account.calls
        self.order(
            "aws iam create-role --role-name longhaul-probe",
            "aws lambda create-function --function-name longhaul-probe --runtime provided.al2023",
            "aws lambda wait function-active-v2 --function-name longhaul-probe",
            "aws lambda delete-function --function-name longhaul-probe",
            "aws iam delete-role --role-name longhaul-probe",
            "docker build",
        )
        self.assertNotIn("longhaul-probe", self.account.functions)

    def test_a_refused_archive_stops_the_deployment_and_suggests_an_image(self):
        self.account.refuses_durable = {"Zip": "InvalidParameterValueException: DurableConfig is not supported for provided.al2023"}
        self.assert_refused("is not supported", "PACKAGE=image", "AWS_REGION")
        self.assert_nothing_is_left()
        self.deploy(PACKAGE="image")

    def test_a_refused_image_stops_the_deployment_and_leaves_nothing(self):
        self.account.refuses_durable = {"Image": "InvalidParameterValueException: DurableConfig is not supported"}
        done = self.assert_refused("is not supported", "AWS_REGION", "container images", PACKAGE="image")
        self.assertNotIn("PACKAGE=image", done.stderr)
        self.assert_nothing_is_left()

    def test_an_existing_stack_is_updated_without_a_probe(self):
        self.deploy()
        self.deploy()
        self.assertFalse([call for call in self.account.calls if "create-function" in call])

    # ---------------------------------------------------------------------------------------------------- packaging

    def test_functions_are_packaged_as_an_image(self):
        self.deploy(PACKAGE="image")
        self.calls = self.account.calls
        registry = "111122223333.dkr.ecr.eu-west-1.amazonaws.com"
        self.order(
            f"docker build --platform linux/arm64 --file deploy/functions.Dockerfile --tag {registry}/longhaul-probe:probe",
            "aws ecr create-repository --repository-name longhaul-probe",
            f"docker push {registry}/longhaul-probe:probe",
            "aws lambda create-function --function-name longhaul-probe --package-type Image",
            "aws ecr delete-repository --repository-name longhaul-probe",
            f"docker build --platform linux/arm64 --file crates/worker/Dockerfile --tag {registry}/longhaul-worker:2",
            "sam build",
            f"docker build --platform linux/arm64 --file deploy/functions.Dockerfile --tag {registry}/longhaul-worker:functions-2",
            f"docker push {registry}/longhaul-worker:2",
            f"docker push {registry}/longhaul-worker:functions-2",
            f"sam deploy --template-file .aws-sam/build/template.json --image-repository {registry}/longhaul-worker",
        )
        self.assertEqual(self.parameters()["FunctionImage"], f"{registry}/longhaul-worker@{DIGEST}")
        self.assertEqual({it["package"] for it in self.account.functions.values()}, {"Image"})
        self.destroy()
        self.assert_nothing_is_left()

    def test_a_stack_keeps_its_packaging(self):
        for package, other in (("zip", "image"), ("image", "zip")):
            with self.subTest(package):
                self.use(Account())
                self.deploy(PACKAGE=package)
                first = self.account.snapshot()
                self.deploy()
                self.deploy(PACKAGE=package)
                self.assertEqual(self.account.snapshot(), first)
                self.assert_refused(f"PACKAGE is {other}", f"packaged as {package}", "STACK", "make destroy", PACKAGE=other)
                self.assertEqual((self.account.changes, self.account.snapshot()), (0, first))

    # -------------------------------------------------------------------------------------------------- concurrency

    def test_concurrency_is_reserved_only_in_accounts_that_have_enough(self):
        for unreserved, expected in ((1000, ("10", "400")), (300, ("10", "0")), (10, ("0", "0"))):
            with self.subTest(unreserved):
                self.use(Account(unreserved))
                done = self.deploy()
                self.assertEqual((self.parameters()["ReconcilerConcurrency"], self.parameters()["ApiConcurrency"]), expected)
                self.assertEqual("too little Lambda concurrency" in done.stdout, "0" in expected)


if __name__ == "__main__":
    unittest.main()
