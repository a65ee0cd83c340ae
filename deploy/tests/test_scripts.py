"""deploy.sh and destroy.sh, run against tools that only note how they were called."""

import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

import botocore
import botocore.session

ROOT = pathlib.Path(__file__).resolve().parents[2]

SESSION = botocore.session.get_session()

# What a system has anyway, of which the scripts use some.
SYSTEM = ("bash", "cat", "date", "dirname", "env", "git", "grep", "mkdir", "mktemp", "printf", "rm", "sed", "sleep", "tr")

# Each tool notes its arguments, then looks for an answer: a file named after what its arguments begin with.
STUB = """#!/usr/bin/env bash
echo "{tool} $*" >> "$STUBS/calls"
for answer in "$STUBS/answers/"*; do
    begin=$(sed -n 1p "$answer")
    if [[ "{tool} $*" == "$begin"* ]]; then
        sed -n '3,$p' "$answer"
        exit "$(sed -n 2p "$answer")"
    fi
done
"""

DIGEST = "sha256:" + "1" * 64
REPOSITORY = "111122223333.dkr.ecr.eu-west-1.amazonaws.com/longhaul-worker"



def executions(function, qualifier="", statuses="RUNNING"):
    """Looks for durable executions."""
    query = f"{qualifier}--query DurableExecutions[].DurableExecutionArn --output text --statuses {statuses}"
    return f"aws lambda list-durable-executions-by-function --function-name longhaul-{function} {query}"


# What a working account says.
ANSWERS = {
    "aws sts get-caller-identity": (0, "111122223333"),
    "aws ec2 describe-subnets": (0, "eu-west-1b"),
    "aws lambda get-account-settings": (0, "1000"),
    "aws lambda get-function --function-name longhaul-probe": (254, "ResourceNotFoundException"),
    "aws iam get-role --role-name longhaul-probe": (254, "NoSuchEntity"),
    "aws ecr describe-repositories": (0, "{}"),
    "aws ecr describe-repositories --repository-names longhaul-probe": (254, "RepositoryNotFoundException"),
    "aws ecr get-login-password": (0, "secret"),
    "aws ecr describe-images": (0, DIGEST),
    "aws ec2 describe-managed-prefix-lists --filters Name=prefix-list-name,Values=com.amazonaws.eu-west-1.s3": (0, "pl-53"),
    "aws ec2 describe-managed-prefix-lists --filters Name=prefix-list-name,Values=com.amazonaws.eu-west-1.dynamodb": (0, "pl-db"),
    "aws cloudformation describe-stacks --stack-name longhaul --query Stacks[0].[StackStatus": (0, "UPDATE_COMPLETE\t2026-01-02"),
    "aws cloudformation describe-stacks --stack-name longhaul --output text --query Stacks[0].Outputs[?OutputKey=='ApiUrl']": (
        0,
        "https://api.example",
    ),
    "aws cloudformation describe-stacks --stack-name longhaul --output text --query Stacks[0].Outputs[?OutputKey=='Auth": (
        0,
        "AWS_IAM",
    ),
    "aws lambda list-versions-by-function --function-name longhaul-sync": (0, "$LATEST\t7"),
    executions("sync"): (0, "arn:e1\tarn:e2"),
    executions("sync", "--qualifier 7 "): (0, "arn:e3"),
    executions("callback"): (0, "None"),
    "aws ecs list-tasks --cluster longhaul --query": (0, "arn:t1\tarn:t2"),
    "aws ecs list-task-definitions": (0, "arn:demo:1"),
    "aws logs describe-log-groups --log-group-name-prefix /aws/lambda/longhaul-api": (0, "/aws/lambda/longhaul-api"),
}

STATUS = "aws cloudformation describe-stacks --stack-name longhaul --query Stacks[0].[StackStatus"

# Calls that change something in the account.
CHANGES = (
    "aws ecr create",
    "aws ecr delete",
    "aws ecs stop",
    "aws ecs delete",
    "aws dynamodb update",
    "aws iam create",
    "aws lambda put",
    "aws lambda stop-durable-execution --durable-execution-arn",
    "aws logs delete",
    "docker push",
    "sam deploy",
    "sam delete",
)


class Scripts(unittest.TestCase):
    def setUp(self):
        self.stubs = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.stubs)
        (self.stubs / "bin").mkdir()
        for program in SYSTEM:
            (self.stubs / "bin" / program).symlink_to(shutil.which(program))
        # The one that runs this, which has what deploy/requirements.txt installs.
        self.write("python3", f'#!/usr/bin/env bash\nexec "{sys.executable}" "$@"\n')
        for tool in ("aws", "sam", "cargo", "cargo-lambda", "docker"):
            self.install(tool)
        # The tree, as far as the scripts read it, with something built.
        self.tree = self.stubs / "tree"
        (self.tree / ".aws-sam/build/ApiFunction").mkdir(parents=True)
        (self.tree / ".aws-sam/build/ApiFunction/bootstrap").write_text("program")
        shutil.copy(ROOT / "template.yaml", self.tree)
        (self.tree / "deploy").mkdir()
        for path in (ROOT / "deploy").iterdir():
            if path.is_file():
                shutil.copy(path, self.tree / "deploy")

    def write(self, tool, text):
        path = self.stubs / "bin" / tool
        path.write_text(text)
        path.chmod(0o755)

    def install(self, tool):
        self.write(tool, STUB.format(tool=tool))

    def remove(self, tool):
        (self.stubs / "bin" / tool).unlink()

    def run_script(self, script, answers=(), **environment):
        folder = self.stubs / "answers"
        folder.mkdir()
        # The longest beginning first: it says the most.
        told = sorted((ANSWERS | dict(answers)).items(), key=lambda it: -len(it[0]))
        for number, (begin, (code, text)) in enumerate(told):
            (folder / f"{number:02}").write_text(f"{begin}\n{code}\n{text}\n")
        env = {"PATH": str(self.stubs / "bin"), "STUBS": str(self.stubs), "AWS_REGION": "eu-west-1"} | environment
        done = subprocess.run(
            [self.tree / "deploy" / script],
            env={name: value for name, value in env.items() if value is not None},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )
        calls = self.stubs / "calls"
        self.calls = calls.read_text().splitlines() if calls.exists() else []
        self.changes = [call for call in self.calls if call.startswith(CHANGES)]
        return done

    def assert_stopped(self, done, *words):
        self.assertNotEqual(done.returncode, 0)
        self.assertEqual(self.changes, [])
        self.assertEqual(done.stdout, "", "it began")
        self.assertRegex(done.stderr, r"^error: .*Nothing has been changed\.")
        for word in words:
            self.assertIn(word, done.stderr)

    def order(self, *begins):
        """The calls that begin so were made, each after the one before."""
        at = -1
        for begin in begins:
            at = next((n for n, call in enumerate(self.calls) if n > at and call.startswith(begin)), None)
            self.assertIsNotNone(at, f"no {begin!r} in its place in {self.calls}")


class Deploy(Scripts):
    def test_each_missing_tool_stops_it(self):
        for tool in ("aws", "sam", "cargo", "cargo-lambda", "git"):
            with self.subTest(tool):
                self.setUp()
                self.remove(tool)
                self.assert_stopped(self.run_script("deploy.sh"), tool)

    def test_no_engine_stops_it(self):
        self.remove("docker")
        self.assert_stopped(self.run_script("deploy.sh"), "docker, podman or buildah")

    def test_a_sleeping_docker_stops_it(self):
        done = self.run_script("deploy.sh", {"docker info": (1, "cannot connect")})
        self.assert_stopped(done, "engine does not answer")

    def test_podman_stands_in_for_docker(self):
        self.install("podman")
        done = self.run_script("deploy.sh", {"docker info": (1, "cannot connect")})
        self.assertEqual(done.returncode, 0, done.stderr)
        self.order("podman build --platform linux/arm64", "podman login", "podman push")
        self.assertFalse([call for call in self.calls if call.startswith("docker") and call != "docker info"])

    def test_no_credentials_stop_it(self):
        done = self.run_script("deploy.sh", {"aws sts get-caller-identity": (255, "Unable to locate credentials")})
        self.assert_stopped(done, "credentials", "Unable to locate credentials")

    def test_no_region_stops_it(self):
        self.assert_stopped(self.run_script("deploy.sh", AWS_REGION=None), "Region")

    def test_nonsense_stops_it(self):
        for wrong in ({"ARCHITECTURE": "mips"}, {"PACKAGE": "tar"}, {"JWT_ISSUER": "https://i"}, {"JWT_AUDIENCE": "a"}, {"STACK": "My_Stack"}):
            with self.subTest(wrong):
                self.setUp()
                self.assert_stopped(self.run_script("deploy.sh", **wrong), *wrong)

    def test_the_image_of_the_functions_is_no_parameter_to_give(self):
        self.assert_stopped(self.run_script("deploy.sh", PARAMETERS=f"FunctionImage={REPOSITORY}@{DIGEST}"), "PACKAGE=image")

    def test_an_image_of_the_functions_that_cannot_be_built_stops_it(self):
        """Such as one whose base cannot be pulled. It is tried with the probe, before the rest is built."""
        failing = {STATUS: (0, "REVIEW_IN_PROGRESS\tNone"), "docker build": (1, "it broke")}
        done = self.run_script("deploy.sh", failing, PACKAGE="image")
        self.assertNotEqual(done.returncode, 0)
        self.assertRegex(done.stderr, "cannot build the functions' image.*Nothing has been changed")
        self.assertEqual(self.changes, [])

    def test_images_need_a_python_that_reads_the_template(self):
        self.write("python3", "#!/usr/bin/env bash\nexit 1\n")
        answers = {STATUS: (0, "REVIEW_IN_PROGRESS\tNone")}
        self.assert_stopped(self.run_script("deploy.sh", answers, PACKAGE="image"), "PyYAML")

    def test_a_stack_that_cannot_be_updated_stops_it(self):
        for status, word in {
            "ROLLBACK_COMPLETE": "CONFIRM=longhaul make destroy",
            "ROLLBACK_FAILED": "CONFIRM=longhaul make destroy",
            "DELETE_FAILED": "CONFIRM=longhaul make destroy",
            "UPDATE_ROLLBACK_FAILED": "continue-update-rollback --stack-name longhaul",
            "CREATE_IN_PROGRESS": "wait",
            "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS": "wait",
        }.items():
            with self.subTest(status):
                self.setUp()
                self.assert_stopped(self.run_script("deploy.sh", {STATUS: (0, f"{status}\tNone")}), status, word)
                self.assertFalse([call for call in self.calls if call.startswith("docker build")])

    def test_a_stack_that_is_not_there_or_has_nothing_yet_is_deployed(self):
        absent = (254, "An error occurred (ValidationError): Stack with id longhaul does not exist")
        stack = "aws cloudformation describe-stacks --stack-name longhaul"
        for answers in ({stack: absent, STATUS: absent}, {STATUS: (0, "REVIEW_IN_PROGRESS\tNone")}):
            with self.subTest(answers):
                self.setUp()
                done = self.run_script("deploy.sh", answers)
                self.assertEqual(done.returncode, 0, done.stderr)
                self.order("sam deploy")

    def test_an_unclear_answer_about_the_stack_stops_it(self):
        done = self.run_script("deploy.sh", {"aws cloudformation describe-stacks --stack-name longhaul": (254, "AccessDenied")})
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("AccessDenied", done.stderr)
        self.assertEqual((done.stdout, self.changes), ("", []))

    def deployment(self, status):
        """What names the versions that are published."""
        self.setUp()
        done = self.run_script("deploy.sh", {STATUS: (0, status)})
        self.assertEqual(done.returncode, 0, done.stderr)
        (deploy,) = [call for call in self.calls if call.startswith("sam deploy")]
        return deploy.split("Deployment=")[1]

    def test_what_was_rolled_back_is_another_deployment(self):
        """Lambda retains the versions that it published, and publishes no equal ones."""
        good, again, rolled_back, rolled_back_again = map(
            self.deployment,
            (
                "UPDATE_COMPLETE\t2026-01-02",
                "UPDATE_COMPLETE\t2026-01-03",
                "UPDATE_ROLLBACK_COMPLETE\t2026-01-04",
                "UPDATE_ROLLBACK_COMPLETE\t2026-01-05",
            ),
        )
        self.assertEqual(good, again)
        self.assertEqual(len({good, rolled_back, rolled_back_again}), 3)

    def test_the_role_that_ecs_needs_is_made_where_it_is_missing(self):
        absent = (254, "An error occurred (NoSuchEntity) when calling the GetRole operation")
        done = self.run_script("deploy.sh", {"aws iam get-role": absent})
        self.assertEqual(done.returncode, 0, done.stderr)
        self.order(
            "sam build",
            "aws ec2 describe-managed-prefix-lists",
            "aws iam get-role --role-name AWSServiceRoleForECS",
            "aws iam create-service-linked-role --aws-service-name ecs.amazonaws.com",
            "docker push",
            "sam deploy",
        )

    def test_a_role_that_is_there_is_left_alone(self):
        self.assertEqual(self.run_script("deploy.sh").returncode, 0)
        self.assertFalse([call for call in self.calls if call.startswith("aws iam create")])

    def test_who_may_not_look_at_roles_goes_on(self):
        for made in ("InvalidInput: Service role name AWSServiceRoleForECS has been taken in this account", "AccessDenied"):
            with self.subTest(made):
                self.setUp()
                denied = {"aws iam get-role": (254, "AccessDenied"), "aws iam create-service-linked-role": (254, made)}
                done = self.run_script("deploy.sh", denied)
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertEqual("Cannot check whether this account has" in done.stdout, made == "AccessDenied")

    def test_who_may_not_make_a_role_that_is_missing_is_told_how(self):
        answers = {"aws iam get-role": (254, "NoSuchEntity"), "aws iam create-service-linked-role": (254, "AccessDenied")}
        done = self.run_script("deploy.sh", answers)
        self.assertNotEqual(done.returncode, 0)
        for word in ("aws iam create-service-linked-role --aws-service-name ecs.amazonaws.com", "Nothing has been changed", "AccessDenied"):
            self.assertIn(word, done.stderr)
        self.assertEqual([call for call in self.changes if not call.startswith("aws iam")], [])

    def test_it_looks_then_builds_then_changes(self):
        done = self.run_script("deploy.sh")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.order(
            "docker info",
            "aws sts get-caller-identity",
            "docker build --platform linux/arm64 --file crates/worker/Dockerfile",
            "sam build --parameter-overrides Architecture=arm64",
            "aws ecr get-login-password",
            "docker login --username AWS --password-stdin 111122223333.dkr.ecr.eu-west-1.amazonaws.com",
            f"docker push {REPOSITORY}:",
            "aws ecr describe-images",
            "sam deploy --stack-name longhaul --region eu-west-1",
        )
        (deploy,) = [call for call in self.calls if call.startswith("sam deploy")]
        for parameter in ("Architecture=arm64", f"WorkerImage={REPOSITORY}@{DIGEST}", "S3PrefixList=pl-53", "DynamoDBPrefixList=pl-db"):
            self.assertIn(f" {parameter}", deploy)
        self.assertRegex(deploy, " Deployment=[0-9a-f]{40}$")
        self.assertNotIn("Jwt", deploy)
        self.assertNotIn("aws ecr create-repository", "\n".join(self.calls))
        self.assertIn("https://api.example/executions/sync", done.stdout)
        self.assertIn('--aws-sigv4 "aws:amz:eu-west-1:execute-api"', done.stdout)

    def test_a_missing_repository_is_made_before_the_push(self):
        absent = (254, "An error occurred (RepositoryNotFoundException) when calling DescribeRepositories")
        done = self.run_script("deploy.sh", {"aws ecr describe-repositories": absent})
        self.assertEqual(done.returncode, 0, done.stderr)
        self.order("sam build", "aws ecr create-repository --repository-name longhaul-worker", "docker push")

    def test_an_unclear_answer_about_the_repository_stops_it(self):
        done = self.run_script("deploy.sh", {"aws ecr describe-repositories": (254, "AccessDeniedException")})
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("AccessDeniedException", done.stderr)
        self.assertEqual(self.changes, [])

    def test_everything_that_is_said_reaches_the_stack(self):
        done = self.run_script(
            "deploy.sh",
            {"aws cloudformation describe-stacks": (0, "JWT")}
            | {begin: (0, "JWT") for begin in ANSWERS if "OutputKey=='Auth" in begin},
            ARCHITECTURE="x86_64",
            JWT_ISSUER="https://issuer.example",
            JWT_AUDIENCE="longhaul",
            PARAMETERS="InternetEgress=true LogRetentionDays=90",
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        self.order("docker build --platform linux/amd64", "sam build --parameter-overrides Architecture=x86_64", "sam deploy")
        (deploy,) = [call for call in self.calls if call.startswith("sam deploy")]
        for word in ("Architecture=x86_64", "JwtIssuer=https://issuer.example", "JwtAudience=longhaul", "InternetEgress=true", "LogRetentionDays=90"):
            self.assertIn(f" {word}", deploy)
        self.assertIn("Authorization: Bearer $TOKEN".lower(), done.stdout.lower())

    def test_a_failure_in_the_middle_is_the_end(self):
        steps = ("docker build", "sam build", "docker login", "docker push", "aws ecr describe-images", "sam deploy")
        for step, after in zip(steps, (*steps[1:], "aws lambda get-function-concurrency")):
            with self.subTest(step):
                self.setUp()
                done = self.run_script("deploy.sh", {step: (1, "it broke")})
                self.assertNotEqual(done.returncode, 0)
                self.assertNotIn("A first execution", done.stdout)
                self.assertFalse([call for call in self.calls if call.startswith(after)], "it went on")
                if step.endswith("build"):
                    self.assertEqual(self.changes, [])


class Destroy(Scripts):
    def test_each_missing_tool_stops_it(self):
        for tool in ("aws", "sam"):
            with self.subTest(tool):
                self.setUp()
                self.remove(tool)
                self.assert_stopped(self.run_script("destroy.sh", CONFIRM="longhaul"), tool)

    def test_no_credentials_stop_it(self):
        done = self.run_script("destroy.sh", {"aws sts get-caller-identity": (255, "Expired")}, CONFIRM="longhaul")
        self.assert_stopped(done, "credentials", "Expired")

    def test_it_wants_to_be_told(self):
        self.assert_stopped(self.run_script("destroy.sh"), "CONFIRM=longhaul")

    def test_another_name_is_not_enough(self):
        self.assert_stopped(self.run_script("destroy.sh", CONFIRM="yes"), "longhaul")

    def test_it_stops_what_runs_then_deletes_everything(self):
        done = self.run_script("destroy.sh", CONFIRM="longhaul")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.order(
            "aws lambda put-function-concurrency --function-name longhaul-api --reserved-concurrent-executions 0",
            "aws lambda put-function-concurrency --function-name longhaul-reconciler --reserved-concurrent-executions 0",
            "aws lambda put-function-concurrency --function-name longhaul-sync --reserved-concurrent-executions 0",
            "aws lambda put-function-concurrency --function-name longhaul-callback --reserved-concurrent-executions 0",
            "aws lambda stop-durable-execution --durable-execution-arn arn:e1",
            "aws lambda stop-durable-execution --durable-execution-arn arn:e2",
            "aws lambda stop-durable-execution --durable-execution-arn arn:e3",
            "aws ecs stop-task --cluster longhaul --task arn:t1",
            "aws ecs stop-task --cluster longhaul --task arn:t2",
            "aws ecs wait tasks-stopped --cluster longhaul --tasks arn:t1",
            "aws dynamodb update-table --table-name longhaul-executions --no-deletion-protection-enabled",
            "sam delete --stack-name longhaul --region eu-west-1 --no-prompts",
            "aws ecr delete-repository --repository-name longhaul-worker --force",
            "aws logs delete-log-group --log-group-name /aws/lambda/longhaul-api",
            "aws ecs delete-task-definitions --task-definitions arn:demo:1",
        )
        self.assertEqual(len([call for call in self.calls if call.startswith("aws logs delete")]), 1)

    def test_a_client_that_knows_no_durable_executions_stops_it(self):
        answers = {"aws lambda stop-durable-execution --generate-cli-skeleton": (252, "Invalid choice")}
        self.assert_stopped(self.run_script("destroy.sh", answers, CONFIRM="longhaul"), "update it")

    def stops(self):
        begin = "aws lambda stop-durable-execution --durable-execution-arn "
        return [call.removeprefix(begin).split()[0] for call in self.calls if call.startswith(begin)]

    def test_what_was_paused_is_stopped_too(self):
        answers = {executions("callback", statuses="PAUSING PAUSED"): (0, "arn:p1")}
        done = self.run_script("destroy.sh", answers, CONFIRM="longhaul")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.stops(), ["arn:e1", "arn:e2", "arn:e3", "arn:p1"])

    def test_a_lambda_that_knows_no_pause_is_no_failure(self):
        unknown = (254, "ValidationException: Member must satisfy enum value set: [RUNNING, SUCCEEDED, FAILED, TIMED_OUT, STOPPED]")
        answers = {executions("sync", statuses="PAUSING PAUSED"): unknown}
        done = self.run_script("destroy.sh", answers, CONFIRM="longhaul")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.stops(), ["arn:e1", "arn:e2", "arn:e3"])

    def test_an_execution_that_has_ended_meanwhile_is_no_failure(self):
        stop, get = (f"aws lambda {it}-durable-execution --durable-execution-arn arn:e1" for it in ("stop", "get"))
        for answers in (
            {stop: (254, "InvalidParameterValueException: has ended"), get: (0, "SUCCEEDED")},
            {stop: (254, "ResourceNotFoundException")},
        ):
            with self.subTest(answers):
                self.setUp()
                done = self.run_script("destroy.sh", answers, CONFIRM="longhaul")
                self.assertEqual(done.returncode, 0, done.stderr)
                self.order(stop, "aws lambda stop-durable-execution --durable-execution-arn arn:e2", "sam delete")

    def test_an_execution_that_goes_on_is_the_end(self):
        stop, get = (f"aws lambda {it}-durable-execution --durable-execution-arn arn:e1" for it in ("stop", "get"))
        for state in ((0, "RUNNING"), (254, "AccessDenied")):
            with self.subTest(state):
                self.setUp()
                done = self.run_script("destroy.sh", {stop: (254, "AccessDenied"), get: state}, CONFIRM="longhaul")
                self.assertNotEqual(done.returncode, 0)
                self.assertIn("cannot stop arn:e1: AccessDenied", done.stderr)
                self.assertFalse([call for call in self.calls if call.startswith("sam delete")])

    def test_what_cannot_be_listed_is_the_end(self):
        for call in (executions("sync"), "aws lambda list-versions-by-function"):
            with self.subTest(call):
                self.setUp()
                answers = {it: (254, "AccessDenied") for it in {call, *ANSWERS} if it.startswith(call)}
                self.assertNotEqual(self.run_script("destroy.sh", answers, CONFIRM="longhaul").returncode, 0)
                self.assertFalse([call for call in self.calls if call.startswith("sam delete")])

    def test_what_is_gone_already_is_no_failure(self):
        done = self.run_script(
            "destroy.sh",
            {
                "aws cloudformation describe-stacks": (254, "Stack with id longhaul does not exist"),
                "aws ecr describe-repositories": (254, "RepositoryNotFoundException"),
                "aws ecs list-task-definitions": (0, "None"),
                "aws logs describe-log-groups --log-group-name-prefix /aws/lambda/longhaul-api": (0, ""),
            },
            CONFIRM="longhaul",
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.changes, [])

    def test_a_failure_in_the_middle_is_the_end(self):
        done = self.run_script("destroy.sh", {"sam delete": (1, "it broke")}, CONFIRM="longhaul")
        self.assertNotEqual(done.returncode, 0)
        self.assertFalse([call for call in self.calls if call.startswith("aws ecr delete")])


class Calls(Scripts):
    # What the client does with a service's API instead of passing it through, and what it takes with every call.
    OWN = {"ecr get-login-password", "ecs wait", "lambda wait", "configure get"}
    EVERYWHERE = {"query", "output", "generate-cli-skeleton"}

    def known(self, call):
        """The call is one of AWS's, with parameters that it has."""
        _, service, command, *rest = call.split()
        if f"{service} {command}" in self.OWN:
            return
        model = SESSION.get_service_model(service)
        operations = {botocore.xform_name(name, "-"): name for name in model.operation_names}
        self.assertIn(command, operations)
        members = getattr(model.operation_model(operations[command]).input_shape, "members", {})
        parameters = {botocore.xform_name(name, "-"): shape for name, shape in members.items()}
        parameters |= {f"no-{name}": shape for name, shape in parameters.items() if shape.type_name == "boolean"}
        options = [word.removeprefix("--") for word in rest if word.startswith("--")]
        self.assertLessEqual(set(options), {*parameters, *self.EVERYWHERE})

    def test_each_is_one_that_aws_knows(self):
        absent = {"aws iam get-role": (254, "NoSuchEntity"), "aws ecr describe-repositories": (254, "RepositoryNotFoundException")}
        stop = {"aws lambda stop-durable-execution --durable-execution-arn arn:e1": (254, "it has ended")}
        ended = {"aws lambda get-durable-execution": (0, "SUCCEEDED")}
        for script, answers in (("deploy.sh", absent), ("destroy.sh", stop | ended)):
            self.setUp()
            done = self.run_script(script, answers, CONFIRM="longhaul")
            self.assertEqual(done.returncode, 0, done.stderr)
            for call in self.calls:
                if call.startswith("aws "):
                    with self.subTest(call):
                        self.known(call)


if __name__ == "__main__":
    unittest.main()
