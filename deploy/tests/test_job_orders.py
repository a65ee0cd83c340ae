"""Runs deploy.sh and destroy.sh with the jobs of a file, against a simulated account."""

import copy
import json
import subprocess

from account import ACCOUNT, DIGEST, Account
from cloudformation import Template
from jobs_file import everything, jobs, plain
from test_orders import Simulated

REGISTRY = f"{ACCOUNT}.dkr.ecr.eu-west-1.amazonaws.com"

# In place of `cargo run --package job_file -- resolved FILE`. Here, a file has what that prints.
CARGO = """#!/usr/bin/env bash
[ "$1" = run ] && cat "${@: -1}"
"""


class Jobs(Simulated):
    def setUp(self):
        super().setUp()
        self.write("cargo", CARGO)

    def file(self, of, name="longhaul.toml"):
        (self.tree / name).parent.mkdir(exist_ok=True)
        (self.tree / name).write_text(json.dumps({"jobs": of}))

    def deploy_jobs(self, of):
        self.file(of)
        return self.deploy()

    def template(self):
        return Template(json.loads(self.account.stack["template"]), FunctionImage="image")

    def catalog(self):
        return json.loads(self.template().properties("ApiFunction")["Environment"]["Variables"]["JOBS"])

    def families(self):
        template = self.template()
        return sorted(template.properties(it)["Family"] for it in template.of_type("AWS::ECS::TaskDefinition"))

    def image(self, logical):
        return self.template().properties(logical)["ContainerDefinitions"][0]["Image"]

    # ------------------------------------------------------------------------------------------------------- images

    def test_images_are_built_beside_the_file_and_run_by_their_digest(self):
        self.file({"wordcount": plain(image={"build": "my job"})}, "jobs/mine.toml")
        self.deploy(JOBS="jobs/mine.toml")
        self.calls = self.account.calls
        self.order(
            f"docker build --platform linux/arm64 --tag {REGISTRY}/longhaul-worker:job-wordcount-2",
            "sam build",
            f"docker push {REGISTRY}/longhaul-worker:job-wordcount-2",
            "sam deploy",
        )
        (build,) = [call for call in self.calls if ":job-wordcount-" in call and call.startswith("docker build")]
        self.assertTrue(build.endswith(" jobs/my job"))
        self.assertEqual(self.image("JobWordcountTask"), f"{REGISTRY}/longhaul-worker@{DIGEST}")
        self.assertEqual(self.families(), ["STACK-demo", "STACK_wordcount"])

    def test_an_image_in_ecr_is_looked_up_and_runs_by_its_digest(self):
        self.account.images.add(("team/orders", "1"))
        self.deploy_jobs({"orders": plain(image={"reference": f"{REGISTRY}/team/orders:1"})})
        self.assertEqual(self.image("JobOrdersTask"), f"{REGISTRY}/team/orders@{DIGEST}")
        self.file({"orders": plain(image={"reference": f"{REGISTRY}/team/orders:2"})})
        self.assert_refused("jobs.orders", "team/orders:2", "push it first")

    def test_an_image_that_cannot_be_looked_up_keeps_its_tag(self):
        other = "444455556666.dkr.ecr.eu-west-1.amazonaws.com/orders:1"
        done = self.deploy_jobs({"orders": plain(image={"reference": other}), "hub": plain(image={"reference": "python:3"})})
        self.assertEqual((self.image("JobOrdersTask"), self.image("JobHubTask")), (other, "python:3"))
        self.assertIn(f"Cannot look up {other}", done.stdout)
        self.assertIn("warning: jobs.hub", done.stderr)
        done = self.deploy(PARAMETERS="InternetEgress=true")
        self.assertNotIn("warning", done.stderr)

    # ----------------------------------------------------------------------------------------------------- refusals

    def test_what_cannot_be_deployed_stops_before_anything_is_changed(self):
        for of, word in (
            ({"local": plain(image=None)}, "jobs.local has no image"),
            ({"big": plain(architecture="x86_64")}, "jobs.big needs x86_64"),
            (jobs(100), "500"),
        ):
            self.file(of)
            self.assert_refused(word)
            self.assertEqual(self.account.changes, 0)

    def test_the_zones_need_the_endpoints_of_the_jobs_secrets(self):
        secret = {"orders": plain(secrets={"KEY": "ssm:/orders/key"})}
        self.account.offered["ssm"] = ["eu-west-1b", "eu-west-1c"]
        self.deploy_jobs(secret)
        self.assertEqual((self.parameters()["ZoneA"], self.parameters()["ZoneB"]), ("eu-west-1b", "eu-west-1c"))
        self.use(Account())
        self.deploy_jobs({})
        self.account.offered["ssm"] = ["eu-west-1b", "eu-west-1c"]
        self.file(secret)
        self.assert_refused("ssm", "eu-west-1a", "InternetEgress=true")
        self.assertEqual(self.account.changes, 0)
        self.deploy(PARAMETERS="InternetEgress=true")

    def test_a_stack_with_jobs_is_not_deployed_without_a_file(self):
        self.deploy_jobs({"wordcount": plain()})
        (self.tree / "longhaul.toml").unlink()
        self.assert_refused("wordcount", "JOBS=FILE")
        self.assertEqual(self.account.changes, 0)

    # ------------------------------------------------------------------------------------------------------ removal

    def test_a_job_that_is_gone_is_disabled_and_then_removed_when_no_execution_is_in_flight(self):
        both = {"orders": everything() | {"architecture": None}, "wordcount": plain()}
        self.deploy_jobs(both)
        before = self.template()
        self.account.in_flight = {"e1": "wordcount", "e2": "orders", "e3": "orders"}
        done = self.deploy_jobs({"wordcount": plain()})
        self.assertIn("jobs.orders is gone from the file", done.stderr)
        self.assertEqual(self.families(), ["STACK-demo", "STACK_orders", "STACK_wordcount"])
        self.assertEqual([name for name, it in self.catalog().items() if it.get("disabled")], ["orders"])
        self.assertEqual(self.template().properties("JobOrdersTask"), before.properties("JobOrdersTask"))
        self.assertEqual(set(self.template().resources), set(before.resources))

        done = self.deploy() # executions are still in flight
        self.assertIn("jobs.orders is gone from the file, but stays", done.stderr)
        self.assertEqual(self.families(), ["STACK-demo", "STACK_orders", "STACK_wordcount"])

        self.account.in_flight = {"e1": "wordcount"}
        done = self.deploy()
        self.assertIn("jobs.orders is removed", done.stderr)
        self.assertEqual(self.families(), ["STACK-demo", "STACK_wordcount"])
        self.assertFalse([it for it in self.template().resources if it.startswith("JobOrders") or it.startswith("Ssm")])

    def test_a_job_that_comes_back_accepts_executions_again(self):
        self.deploy_jobs({"wordcount": plain()})
        self.deploy_jobs({})
        self.assertTrue(self.catalog()["wordcount"]["disabled"])
        self.deploy_jobs({"wordcount": plain()})
        self.assertNotIn("disabled", self.catalog()["wordcount"])

    def test_removing_the_last_job_leaves_the_stack_without_jobs(self):
        self.deploy_jobs({})
        first = self.template().resources
        self.deploy_jobs({"wordcount": plain()})
        for _ in range(3):
            self.deploy_jobs({})
        self.assertEqual(self.template().resources, first)
        (self.tree / "longhaul.toml").unlink()
        self.deploy()

    def test_a_job_keeps_the_roles_that_its_executions_in_flight_have(self):
        self.deploy_jobs({"orders": everything() | {"architecture": None}})
        role = "arn:aws:iam::111122223333:role/one"
        self.account.in_flight = {"e1": "orders"}
        self.deploy_jobs({"orders": plain(taskRole=role)})
        roles = self.template().of_type("AWS::IAM::Role")
        self.assertLessEqual({"JobOrdersTaskRole", "JobOrdersTableRole", "JobOrdersExecutionRole"}, set(roles))
        said = [it["Sid"] for it in self.template().properties("JobOrdersTaskRole")["Policies"][0]["PolicyDocument"]["Statement"]]
        self.assertEqual(said, ["Report", "Input", "Artifacts"], "the file no longer allows anything else")

        def passed():
            statements = self.template().properties("SyncRole")["Policies"][0]["PolicyDocument"]["Statement"]
            return [it for it in next(one for one in statements if one["Sid"] == "Pass")["Resource"] if "role/one" in it or "role/two" in it]

        other = role.replace("one", "two")
        self.deploy_jobs({"orders": plain(taskRole=other)})
        self.assertEqual(passed(), [role, other])
        self.deploy()
        self.assertEqual(passed(), [role, other], "an execution is in flight")
        self.account.in_flight = {}
        self.deploy()
        self.assertEqual(passed(), [other])

    # ------------------------------------------------------------------------------------------------------- orders

    def test_a_second_deployment_changes_nothing(self):
        self.deploy_jobs({"orders": everything() | {"architecture": None}})
        first = self.account.snapshot()
        self.deploy()
        self.assertEqual(self.account.snapshot(), first)

    def test_a_killed_deployment_is_completed_by_another_or_destroyed(self):
        self.file({"wordcount": plain()})
        start = Account()
        self.use(copy.deepcopy(start))
        self.deploy()
        expected = self.account.snapshot()
        for _ in self.killed_at_every_change("deploy.sh", start):
            here = copy.deepcopy(self.account)
            self.deploy()
            self.assertEqual(self.account.snapshot(), expected)
            self.use(here)
            self.destroy()
            self.assert_nothing_is_left()

    def test_a_catalog_that_is_too_large_for_the_environment_is_in_the_functions_packages(self):
        many = {f"job-{number}": plain(description="x" * 100) for number in range(30)}
        for package in ("zip", "image"):
            self.use(Account())
            self.file(many)
            self.deploy(PACKAGE=package)
            self.assertEqual(self.template().properties("SyncFunction")["Environment"]["Variables"]["JOBS"], "@jobs.json")
            places = [self.tree / ".aws-sam/build/jobs.json"]
            places += [self.tree / f".aws-sam/build/{it}Function/jobs.json" for it in ("Api", "Sync", "Callback") if package == "zip"]
            for place in places:
                job = json.loads(place.read_text())["job-7"]
                self.assertEqual(job["taskDefinition"], "longhaul_job-7")
                self.assertEqual(job["tableRole"], f"arn:aws:iam::{ACCOUNT}:role/longhaul/eu-west-1/longhaul-eu-west-1-table")

    def test_make_template_needs_no_account(self):
        self.file({"wordcount": plain()})
        for tool in ("aws", "sam", "docker"):
            self.remove(tool)
        done = subprocess.run([self.tree / "deploy/template.sh"], env={"PATH": str(self.stubs / "bin")}, capture_output=True, text=True)
        resources = r"resources: \d+ of 500, with those that SAM adds"
        catalog = r"catalog:   \d+ bytes, in the variable JOBS of the functions"
        self.assertEqual(done.returncode, 0)
        self.assertRegex(done.stderr, rf"\Ajobs:      1 of the file: wordcount; also demo\n{resources}\n{catalog}\n\Z")
        self.assertIn("JobWordcountTask", json.loads(done.stdout)["Resources"])
