"""What is generated for the jobs of longhaul.toml."""

import json
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

import yaml
from cloudformation import ROOT, Loader, Template
from jobs import limits
from jobs.catalog import filled
from jobs.generate import Refused, deployed_jobs
from jobs_file import PLAIN, everything, generated, jobs, plain, template_of

VALUES = {"StackName": "STACK", "Region": "us-east-1", "AccountId": "111122223333", "Partition": "aws"}


def containers(template, name):
    return {it["Name"]: it for it in template.properties(name)["ContainerDefinitions"]}


class Templates(unittest.TestCase):
    def test_without_jobs_the_template_is_template_yaml(self):
        self.assertEqual(generated({}).template, yaml.load((ROOT / "template.yaml").read_text(), Loader))

    def test_a_plain_job_adds_a_task_definition_and_a_log_group_and_shares_roles(self):
        template, before = Template(generated({"wordcount": plain()}).template), Template()
        self.assertEqual(set(template.resources) - set(before.resources), {"JobWordcountTask", "JobWordcountLog", "SharedTableRole"})
        task, log = template.properties("JobWordcountTask"), template.properties("JobWordcountLog")
        self.assertEqual((task["TaskRoleArn"], task["ExecutionRoleArn"]), ("<TaskRole.Arn>", "<TaskExecutionRole.Arn>"))
        self.assertEqual((task["Family"], task["Cpu"], task["Memory"]), ("STACK_wordcount", "256", "512"))
        self.assertEqual((log["LogGroupName"], log["RetentionInDays"], log["KmsKeyId"]), ("/ecs/STACK/wordcount", "30", "<LogKey.Arn>"))
        self.assertEqual(template.resources["ApiFunction"]["DependsOn"], ["JobWordcountTask"])

    def test_a_job_named_demo_replaces_the_demonstration(self):
        template = Template(generated({"demo": plain()}).template)
        self.assertEqual(list(template.of_type("AWS::ECS::TaskDefinition")), ["DemoTask"])
        self.assertEqual(template.properties("DemoTask")["Family"], "STACK-demo")
        self.assertEqual(containers(template, "DemoTask")["job"]["Command"], ["python3", "wordcount.py"])

    def test_names_that_differ_only_in_case_or_hyphens_get_different_resources(self):
        names = ["a-b", "ab", "Ab", "AB", "a_b", "aB", "a--b", "1", "-"]
        template = Template(generated({name: plain(permissions=everything()["permissions"]) for name in names}).template)
        self.assertEqual(len(template.of_type("AWS::ECS::TaskDefinition")), len(names) + 1)
        for logical in template.resources:
            self.assertRegex(logical, r"^[A-Za-z0-9]+$")
        roles = [template.properties(it)["RoleName"].lower() for it in template.of_type("AWS::IAM::Role") if it.startswith("Job")]
        self.assertEqual(len(set(roles)), 2 * len(names))

    def test_role_names_have_at_most_64_characters(self):
        template = generated({"x" * 64: everything()}).template
        names = [limits.longest(it["Properties"]["RoleName"]) for it in template["Resources"].values() if "RoleName" in it["Properties"]]
        self.assertEqual(len(names), 4)
        self.assertLessEqual(max(map(len, names)), 64)

    def test_the_deployed_template_says_which_jobs_it_has(self):
        of = {"wordcount": plain(), "orders": everything()}
        found = deployed_jobs(json.loads(json.dumps(generated(of).template)))
        self.assertEqual({name: it["job"] for name, it in found.items()}, of)


class Containers(unittest.TestCase):
    def test_the_job_runs_by_the_worker_that_another_container_has_copied_into_a_volume(self):
        template = Template(generated({"wordcount": plain(environment={"A": "1"}, stopTimeoutSeconds=60)}).template)
        definition, found = template.properties("JobWordcountTask"), containers(template, "JobWordcountTask")
        job, worker = found["job"], found["longhaul-worker"]
        self.assertEqual((job["EntryPoint"], job["Command"]), (["/longhaul/worker", "--"], ["python3", "wordcount.py"]))
        self.assertEqual(job["DependsOn"], [{"ContainerName": "longhaul-worker", "Condition": "SUCCESS"}])
        self.assertEqual((job["Essential"], worker["Essential"]), (True, False), "a container with SUCCESS cannot be essential")
        self.assertEqual((worker["Image"], worker["Command"]), (template.ref("WorkerImage"), ["install", "/longhaul"]))
        self.assertNotIn("EntryPoint", worker)
        self.assertEqual((worker["User"], worker["LinuxParameters"]["Capabilities"]), ("0:0", {"Drop": ["ALL"]}))
        self.assertEqual(definition["Volumes"], [{"Name": "longhaul"}])
        for container, read_only in ((job, True), (worker, False)):
            self.assertEqual(container["MountPoints"], [{"SourceVolume": "longhaul", "ContainerPath": "/longhaul", "ReadOnly": read_only}])
        variables = {it["Name"]: it["Value"] for it in job["Environment"]}
        self.assertEqual((job["StopTimeout"], variables), (60, {"A": "1", "EXECUTION_STOP_TIMEOUT": "60"}))
        self.assertNotIn("User", job, "the image's own user")

    def test_everything_that_the_file_says_is_in_the_task_definition(self):
        template = template_of(1)
        definition = next(template.properties(it) for it in template.of_type("AWS::ECS::TaskDefinition") if it != "DemoTask")
        found = {it["Name"]: it for it in definition["ContainerDefinitions"]}
        job, proxy = found["job"], found["proxy"]
        self.assertEqual((definition["Cpu"], definition["Memory"], definition["EphemeralStorage"]), ("512", "1024", {"SizeInGiB": 50}))
        self.assertEqual((job["User"], job["ReadonlyRootFilesystem"], job["StopTimeout"]), ("65532:65532", True, 60))
        self.assertIn({"SourceVolume": "tmp", "ContainerPath": "/tmp", "ReadOnly": False}, job["MountPoints"])
        self.assertEqual(found["longhaul-worker"]["Command"], ["install", "/longhaul", "--temporary", "/tmp"])
        arn = "arn:aws:{}:us-east-1:111122223333:{}".format
        self.assertEqual({it["Name"]: it["ValueFrom"] for it in job["Secrets"]}, {
            "API_KEY": arn("ssm", "parameter/orders/0/key"),
            "PASSWORD": arn("secretsmanager", "secret:orders/0:password::"),
            "TOKEN": arn("secretsmanager", "secret:token-0"),
        })  # fmt: skip
        self.assertEqual((proxy["Essential"], proxy["Command"], proxy["Environment"]), (False, ["--quiet"], [{"Name": "PORT", "Value": "8080"}]))
        self.assertIn({"ContainerName": "proxy", "Condition": "START"}, job["DependsOn"])
        logs = {container["LogConfiguration"]["Options"]["awslogs-group"] for container in found.values()}
        self.assertEqual(logs, {"/ecs/STACK/orders-0"})
        self.assertEqual({it["LogConfiguration"]["Options"]["mode"] for it in found.values()}, {"blocking"})

    def test_a_given_task_role_is_used_for_all_tasks_of_the_job(self):
        role = "arn:aws:iam::111122223333:role/orders"
        template = Template(generated({"orders": plain(taskRole=role)}).template)
        catalog = json.loads(template.properties("ApiFunction")["Environment"]["Variables"]["JOBS"])
        self.assertEqual((template.properties("JobOrdersTask")["TaskRoleArn"], catalog["orders"]["tableRole"]), (role, role))
        statements = template.properties("SyncRole")["Policies"][0]["PolicyDocument"]["Statement"]
        self.assertIn(role, next(it for it in statements if it["Sid"] == "Pass")["Resource"])


class Catalog(unittest.TestCase):
    def catalog(self, of, **options):
        made = generated(of, **options)
        variables = [Template(made.template).properties(f"{it}Function")["Environment"]["Variables"]["JOBS"] for it in ("Api", "Sync", "Callback")]
        self.assertEqual(len(set(variables)), 1)
        if made.catalog is None:
            return json.loads(variables[0])
        self.assertEqual(variables[0], "@jobs.json")
        return json.loads(filled(made.catalog, **VALUES))

    def test_an_entry_has_what_the_file_says(self):
        for count in (1, 50): # in the variable, and in a file
            found = self.catalog(jobs(count))["orders-0"]
            role = found.pop("tableRole")
            self.assertRegex(role, r"^arn:aws:iam::111122223333:role/STACK/us-east-1/STACK-us-east-1-[0-9a-f]{8}-table$")
            self.assertEqual(found, {
                "taskDefinition": "STACK_orders-0",
                "logGroup": "/ecs/STACK/orders-0",
                "description": "Counts the words of orders, part 0",
                "timeoutSeconds": 7200,
                "cpu": 512,
                "memory": 1024,
                "capacityProvider": "FARGATE",
                "retry": {"maxAttempts": 3, "onExitCodes": [75], "backoffSeconds": {"first": 5, "longest": 300}},
                "input": everything()["input"],
                "allow": {"environment": ["DEBUG"], "cpu": True, "memory": True},
            })  # fmt: skip

    def test_an_entry_leaves_out_what_the_file_does_not_say(self):
        found = self.catalog({"wordcount": plain()})["wordcount"]
        self.assertEqual(set(found), {"taskDefinition", "tableRole", "logGroup", "timeoutSeconds", "cpu", "memory"})
        spot = self.catalog({"wordcount": plain(capacity="spot")})["wordcount"]
        self.assertEqual(spot["capacityProvider"], "FARGATE_SPOT")

    def test_the_demonstration_stays_in_the_catalog(self):
        here = self.catalog({"wordcount": plain()})
        self.assertEqual(here["demo"], {"taskDefinition": "STACK-demo", "tableRole": "<TableTaskRole.Arn>"})
        # The name of TableTaskRole is not known before the deployment.
        in_file = self.catalog(jobs(50))["demo"]["tableRole"]
        self.assertEqual(in_file, "arn:aws:iam::111122223333:role/STACK/us-east-1/STACK-us-east-1-table")
        self.assertEqual(in_file, template_of(50).value({"Fn::GetAtt": ["SharedTableRole", "Arn"]}))

    def test_the_programs_that_read_the_catalog_accept_it(self):
        for count in (0, 1, 50):  # 50 are in a file
            for name, program in (("Api", "api"), ("Sync", "sync"), ("Callback", "callback")):
                with self.subTest(name, jobs=count), tempfile.TemporaryDirectory() as folder:
                    variables = Template(generated(jobs(count)).template).properties(f"{name}Function")["Environment"]["Variables"]
                    catalog = self.catalog(jobs(count))
                    if count == 50:
                        (pathlib.Path(folder) / "jobs.json").write_text(json.dumps(catalog))
                    variables |= {"AWS_LAMBDA_RUNTIME_API": "127.0.0.1:1", "AWS_LAMBDA_FUNCTION_NAME": name, "LAMBDA_TASK_ROOT": folder}
                    variables |= {"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128", "AWS_LAMBDA_FUNCTION_VERSION": "1", "AWS_REGION": "us-east-1"}
                    # It reads its environment, and then finds that there is no Lambda.
                    done = subprocess.run([ROOT / "target/debug" / program], env=variables, capture_output=True, text=True, timeout=120)
                    self.assertIn("Connection refused", done.stdout + done.stderr)
                    self.assertNotIn("JOBS", done.stdout + done.stderr)

    def test_a_catalog_that_exceeds_the_environment_is_a_file(self):
        sizes = {count: generated({f"j{number}": plain() for number in range(count)}) for count in (1, 3, 30)}
        self.assertEqual([made.catalog is None for made in sizes.values()], [True, True, False])
        for made in sizes.values():
            for name in ("ApiFunction", "SyncFunction", "CallbackFunction"):
                self.assertLessEqual(limits.environment_bytes(made.template["Resources"][name]), 4096)


class Network(unittest.TestCase):
    def test_secrets_add_the_endpoints_of_their_services(self):
        for given, wanted in (({}, {"ssm", "secretsmanager"}), ({"InternetEgress": "true"}, set())):
            template = Template(generated(jobs(2)).template, **given)
            endpoints = {name: template.properties(name)["ServiceName"].split(".", 3)[3] for name in template.of_type("AWS::EC2::VPCEndpoint")}
            self.assertEqual(set(endpoints.values()) & {"ssm", "secretsmanager"}, wanted)
        self.assertEqual(generated(jobs(1)).services, ["secretsmanager", "ssm"])
        self.assertEqual(generated({"a": plain(secrets={"K": "ssm:k"})}).services, ["ssm"])

    def test_what_tasks_cannot_reach_is_told(self):
        of = {
            "fine": everything(1),
            "built": plain(),
            "hub": plain(image={"reference": "docker.io/library/python:3"}),
            "far": plain(image={"reference": "444455556666.dkr.ecr.eu-west-1.amazonaws.com/x:1"}),
            "mail": plain(permissions=[{"actions": ["ses:SendEmail"], "resources": ["*"]}]),
            "role": plain(taskRole="arn:aws:iam::111122223333:role/x"),
        }
        found = generated(of, region="us-east-1").warnings
        self.assertEqual([re.match(r"jobs\.(\w+):", it)[1] for it in found], ["hub", "far", "mail", "role"])
        for warning in found:
            self.assertIn("InternetEgress=true", warning)


class Refusals(unittest.TestCase):
    def refused(self, of, *words, **options):
        with self.assertRaises(Refused) as refused:
            generated(of, **options)
        for word in words:
            self.assertIn(word, " ".join(refused.exception.args))

    def test_a_job_without_an_image_is_refused(self):
        self.refused({"local": plain(image=None)}, "jobs.local", 'image = "build:')

    def test_a_job_for_another_architecture_is_refused(self):
        self.refused({"big": plain(architecture="x86_64")}, "jobs.big", "x86_64", "arm64", architecture="arm64")
        generated({"big": plain(architecture="x86_64")}, architecture="x86_64")

    def test_a_sidecar_with_the_name_of_another_container_is_refused(self):
        for name in ("job", "longhaul-worker"):
            self.refused({"a": plain(sidecars=[{"name": name, "image": "i", "command": [], "environment": {}}])}, name)

    def test_a_reference_that_cloudformation_would_resolve_is_refused(self):
        self.refused({"a": plain(environment={"KEY": "{{resolve:ssm:/app/key}}"})}, "jobs.a", "resolve")

    def test_more_than_cloudformation_iam_and_ecs_allow_is_refused(self):
        self.refused(jobs(100), "500", "resources", "another stack")
        many = [{"actions": ["s3:GetObject"], "resources": [f"arn:aws:s3:::bucket-{number}/*" for number in range(400)]}]
        self.refused({"a": plain(permissions=many)}, "JobATaskRole", "10240")
        self.refused({"a": plain(environment={"BIG": "x" * 70_000})}, "JobATask", "65536")


class JobFile(unittest.TestCase):
    """`make template-test` builds the program that reads the file."""

    SAYS_EVERYTHING = """
        description = "Counts words"
        image = "build:image"
        cpu = 512
        memory = 1024
        ephemeralStorage = 50
        capacity = "spot"
        architecture = "arm64"
        user = "65532:65532"
        readonlyRootFilesystem = true
        environment = { A = "1" }
        secrets = { KEY = "ssm:/orders/key", PASSWORD = "secretsmanager:orders#password" }
        permissions = ["s3:GetObject arn:aws:s3:::orders/*"]
        sidecars = [{ name = "proxy", image = "proxy:1", command = ["--quiet"], environment = { PORT = "8080" } }]
        timeout = "2h"
        stopTimeout = "60s"
        retry = { maxAttempts = 3, onExitCodes = [75], backoff = "5s..5m" }
        input = "order.json"
        allow = ["environment.DEBUG", "cpu", "memory"]
    """

    def resolved(self, says):
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder) / "longhaul.toml"
            (file.parent / "image").mkdir()
            (file.parent / "image/Dockerfile").write_text("FROM scratch")
            (file.parent / "order.json").write_text('{"type": "object"}')
            file.write_text(f'[jobs.wordcount]\ncommand = ["python3", "wordcount.py"]\n{says}')
            command = [ROOT / "target/debug/job_file", "resolved", file]
            done = subprocess.run(command, capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)["jobs"]["wordcount"]

    def test_the_jobs_of_these_tests_are_like_those_of_the_program(self):
        plainest = self.resolved("")
        self.assertEqual(plainest, plain(image=None, retry=plainest["retry"]))
        self.assertFalse(any((plainest["retry"] or {}).values()))

    def test_a_file_that_says_everything_becomes_a_template(self):
        job = self.resolved(self.SAYS_EVERYTHING)
        said_nothing = {name for name, value in job.items() if value == PLAIN[name]}
        self.assertLessEqual(said_nothing, {"command", "taskRole", "logRetentionDays"})
        template = Template(generated({"wordcount": job}).template)
        found = containers(template, "JobWordcountTask")
        self.assertEqual(set(found), {"job", "longhaul-worker", "proxy"})
        self.assertEqual(found["proxy"]["Command"], ["--quiet"])
        self.assertEqual([it["Name"] for it in found["job"]["Secrets"]], ["KEY", "PASSWORD"])


class Command(unittest.TestCase):
    """deploy/template.py."""

    def run_with(self, of, *arguments):
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump({"jobs": of}, file)
            file.flush()
            command = [sys.executable, ROOT / "deploy/template.py", "--jobs", file.name, *arguments]
            return subprocess.run(command, capture_output=True, text=True)

    def test_it_prints_the_template_and_warns(self):
        hub = {"hub": plain(image={"reference": "python:3"})}
        done = self.run_with(hub)
        self.assertEqual((done.returncode, json.loads(done.stdout)), (0, generated(hub).template))
        self.assertIn("warning: jobs.hub", done.stderr)
        self.assertEqual(self.run_with(hub, "--internet-egress").stderr, "")

    def test_it_refuses_jobs_that_cannot_be_deployed(self):
        done = self.run_with({"local": plain(image=None)})
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertTrue(done.stderr.startswith("error: jobs.local"))

    def test_a_refusal_has_the_place_of_the_job(self):
        with self.assertRaises(Refused) as refused:
            generated({"local": plain(image=None), "other": plain(image=None)}, places={"local": "jobs/longhaul.toml:3:7"})
        first, second = refused.exception.args
        self.assertTrue(first.startswith("jobs/longhaul.toml:3:7: jobs.local has no image"))
        self.assertTrue(second.startswith("error: jobs.other has no image"))

    def test_the_summary_says_what_was_generated_and_where_the_catalog_is(self):
        few = jobs(1)
        found = generated(few)
        count = len(found.template["Resources"]) + 3 * len(Template(found.template).of_type("AWS::Serverless::Function"))
        self.assertIn("jobs:      1 of the file: orders-0; also demo\n", found.summary(few))
        self.assertIn(f"resources: {count} of 500", found.summary(few))
        self.assertIn("bytes, in the variable JOBS", found.summary(few))
        self.assertTrue(generated({}).summary({}).startswith("jobs:      0 of the file; also demo\n"))
        many = jobs(50)
        self.assertIn("bytes, in the file jobs.json", generated(many).summary(many))

    def test_it_generates_for_functions_in_an_image(self):
        template = json.loads(self.run_with(jobs(1), "--package", "image").stdout)
        self.assertIn("FunctionImage", template["Parameters"])
        self.assertEqual(template["Resources"]["ApiFunction"]["Properties"]["PackageType"], "Image")
        self.assertEqual(len(Template(template, FunctionImage="i").of_type("AWS::ECS::TaskDefinition")), 2)


if __name__ == "__main__":
    unittest.main()
