"""Runs deploy.sh and destroy.sh with stubs of the tools that record how they are called."""

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

# The system's programs that the scripts use.
SYSTEM = ("bash", "cat", "cp", "date", "dirname", "env", "git", "grep", "mkdir", "mktemp", "printf", "rm", "sed", "sleep", "tr")

# Each stub records its arguments. It then prints the first answer whose beginning matches them, and exits with its exit code.
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
    """The call that lists durable executions."""
    query = f"{qualifier}--query DurableExecutions[].DurableExecutionArn --output text --statuses {statuses}"
    return f"aws lambda list-durable-executions-by-function --function-name longhaul-{function} {query}"


# The answers of a working account.
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
    "aws cloudformation list-stack-resources": (0, "longhaul-databucket-1a2b3c"),
    "aws cloudformation get-template": (0, '{"Resources": {}}'),
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
    "aws s3 rm",
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
        # The Python that runs this test, which has the packages of deploy/requirements.txt.
        self.write("python3", f'#!/usr/bin/env bash\nexec "{sys.executable}" "$@"\n')
        for tool in ("aws", "sam", "cargo", "cargo-lambda", "docker"):
            self.install(tool)
        # The parts of the source tree that the scripts read, with a built program.
        self.tree = self.stubs / "tree"
        for function in ("Api", "Sync", "Callback", "Reconciler"):
            (self.tree / f".aws-sam/build/{function}Function").mkdir(parents=True)
            (self.tree / f".aws-sam/build/{function}Function/bootstrap").write_text("program")
        for place in (self.tree, self.tree / ".aws-sam/build"):
            shutil.copy(ROOT / "template.yaml", place)
        shutil.copytree(ROOT / "deploy", self.tree / "deploy", ignore=shutil.ignore_patterns("tests", "__pycache__"))

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
        # The longest beginning comes first, because it is the most specific.
        by_length = sorted((ANSWERS | dict(answers)).items(), key=lambda it: -len(it[0]))
        for number, (begin, (code, text)) in enumerate(by_length):
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
        self.assertEqual(done.stdout, "", "the script has begun to work")
        self.assertRegex(done.stderr, r"^error: .*Nothing has been changed\.")
        for word in words:
            self.assertIn(word, done.stderr)

    def order(self, *begins):
        """Calls with these beginnings were made in this order."""
        at = -1
        for begin in begins:
            at = next((n for n, call in enumerate(self.calls) if n > at and call.startswith(begin)), None)
            self.assertIsNotNone(at, f"no {begin!r} at its position in {self.calls}")


class Deploy(Scripts):
    def test_a_missing_tool_stops_the_deployment(self):
        for tool in ("aws", "sam", "cargo", "cargo-lambda", "git"):
            with self.subTest(tool):
                self.setUp()
                self.remove(tool)
                self.assert_stopped(self.run_script("deploy.sh"), tool)

    def test_a_missing_container_engine_stops_the_deployment(self):
        self.remove("docker")
        self.assert_stopped(self.run_script("deploy.sh"), "docker, podman or buildah")

    def test_a_docker_engine_that_does_not_answer_stops_the_deployment(self):
        done = self.run_script("deploy.sh", {"docker info": (1, "cannot connect")})
        self.assert_stopped(done, "engine does not answer")

    def test_podman_is_used_if_docker_does_not_answer(self):
        self.install("podman")
        done = self.run_script("deploy.sh", {"docker info": (1, "cannot connect")})
        self.assertEqual(done.returncode, 0, done.stderr)
        self.order("podman build --platform linux/arm64", "podman login", "podman push")
        self.assertFalse([call for call in self.calls if call.startswith("docker") and call != "docker info"])

    def test_missing_credentials_stop_the_deployment(self):
        done = self.run_script("deploy.sh", {"aws sts get-caller-identity": (255, "Unable to locate credentials")})
        self.assert_stopped(done, "credentials", "Unable to locate credentials")

    def test_a_missing_region_stops_the_deployment(self):
        self.assert_stopped(self.run_script("deploy.sh", AWS_REGION=None), "Region")

    def test_an_invalid_variable_stops_the_deployment(self):
        for wrong in ({"ARCHITECTURE": "mips"}, {"PACKAGE": "tar"}, {"JWT_ISSUER": "https://i"}, {"JWT_AUDIENCE": "a"}, {"STACK": "My_Stack"}):
            with self.subTest(wrong):
                self.setUp()
                self.assert_stopped(self.run_script("deploy.sh", **wrong), *wrong)

    def test_the_parameter_function_image_is_refused(self):
        self.assert_stopped(self.run_script("deploy.sh", PARAMETERS=f"FunctionImage={REPOSITORY}@{DIGEST}"), "PACKAGE=image")

    def test_a_functions_image_that_cannot_be_built_stops_the_deployment(self):
        """The build can fail because the base image cannot be pulled. The probe builds this image before anything else."""
        failing = {STATUS: (0, "REVIEW_IN_PROGRESS\tNone"), "docker build": (1, "it broke")}
        done = self.run_script("deploy.sh", failing, PACKAGE="image")
        self.assertNotEqual(done.returncode, 0)
        self.assertRegex(done.stderr, "cannot build the functions' image.*Nothing has been changed")
        self.assertEqual(self.changes, [])

    def test_deploying_requires_python_with_pyyaml(self):
        self.write("python3", "#!/usr/bin/env bash\nexit 1\n")
        self.assert_stopped(self.run_script("deploy.sh"), "PyYAML")

    def test_a_mistake_in_the_job_file_stops_the_deployment(self):
        (self.tree / "longhaul.toml").write_text("jobs")
        wrong = {"cargo run --quiet --package job_file -- resolved longhaul.toml": (1, "")}
        self.assert_stopped(self.run_script("deploy.sh", wrong), "longhaul.toml cannot be used")

    def test_a_job_file_that_does_not_exist_stops_the_deployment(self):
        self.assert_stopped(self.run_script("deploy.sh", JOBS="other.toml"), "other.toml")

    def test_a_stack_that_cannot_be_updated_stops_the_deployment(self):
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

    def test_a_stack_is_created_if_there_is_none_or_an_empty_one(self):
        absent = (254, "An error occurred (ValidationError): Stack with id longhaul does not exist")
        stack = "aws cloudformation describe-stacks --stack-name longhaul"
        for answers in ({stack: absent, STATUS: absent}, {STATUS: (0, "REVIEW_IN_PROGRESS\tNone")}):
            with self.subTest(answers):
                self.setUp()
                done = self.run_script("deploy.sh", answers)
                self.assertEqual(done.returncode, 0, done.stderr)
                self.order("sam deploy")

    def test_an_unexpected_error_about_the_stack_stops_the_deployment(self):
        done = self.run_script("deploy.sh", {"aws cloudformation describe-stacks --stack-name longhaul": (254, "AccessDenied")})
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("AccessDenied", done.stderr)
        self.assertEqual((done.stdout, self.changes), ("", []))

    def deployment(self, status):
        """The parameter Deployment, which is part of each published version."""
        self.setUp()
        done = self.run_script("deploy.sh", {STATUS: (0, status)})
        self.assertEqual(done.returncode, 0, done.stderr)
        (deploy,) = [call for call in self.calls if call.startswith("sam deploy")]
        return deploy.split("Deployment=")[1]

    def test_a_deployment_after_a_rollback_publishes_new_versions(self):
        """Lambda keeps the versions that the rolled-back deployment published, and does not publish an identical version again."""
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

    def test_the_service_linked_role_of_ecs_is_created_if_it_is_missing(self):
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

    def test_an_existing_role_is_not_created_again(self):
        self.assertEqual(self.run_script("deploy.sh").returncode, 0)
        self.assertFalse([call for call in self.calls if call.startswith("aws iam create")])

    def test_the_deployment_continues_without_the_permission_to_read_roles(self):
        for made in ("InvalidInput: Service role name AWSServiceRoleForECS has been taken in this account", "AccessDenied"):
            with self.subTest(made):
                self.setUp()
                denied = {"aws iam get-role": (254, "AccessDenied"), "aws iam create-service-linked-role": (254, made)}
                done = self.run_script("deploy.sh", denied)
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertEqual("Cannot check whether this account has" in done.stdout, made == "AccessDenied")

    def test_without_the_permission_to_create_a_missing_role_the_error_names_the_command(self):
        answers = {"aws iam get-role": (254, "NoSuchEntity"), "aws iam create-service-linked-role": (254, "AccessDenied")}
        done = self.run_script("deploy.sh", answers)
        self.assertNotEqual(done.returncode, 0)
        for word in ("aws iam create-service-linked-role --aws-service-name ecs.amazonaws.com", "Nothing has been changed", "AccessDenied"):
            self.assertIn(word, done.stderr)
        self.assertEqual([call for call in self.changes if not call.startswith("aws iam")], [])

    def test_the_deployment_checks_then_builds_then_changes_the_account(self):
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
            "sam deploy --template-file .aws-sam/build/template.json --stack-name longhaul --region eu-west-1",
        )
        (deploy,) = [call for call in self.calls if call.startswith("sam deploy")]
        for parameter in ("Architecture=arm64", f"WorkerImage={REPOSITORY}@{DIGEST}", "S3PrefixList=pl-53", "DynamoDBPrefixList=pl-db"):
            self.assertIn(f" {parameter}", deploy)
        self.assertRegex(deploy, " Deployment=[0-9a-f]{40}$")
        self.assertNotIn("Jwt", deploy)
        self.assertNotIn("aws ecr create-repository", "\n".join(self.calls))
        self.assertIn("https://api.example/executions/sync", done.stdout)
        self.assertIn('--aws-sigv4 "aws:amz:eu-west-1:execute-api"', done.stdout)

    def test_a_missing_repository_is_created_before_the_push(self):
        absent = (254, "An error occurred (RepositoryNotFoundException) when calling DescribeRepositories")
        done = self.run_script("deploy.sh", {"aws ecr describe-repositories": absent})
        self.assertEqual(done.returncode, 0, done.stderr)
        self.order("sam build", "aws ecr create-repository --repository-name longhaul-worker", "docker push")

    def test_an_unexpected_error_about_the_repository_stops_the_deployment(self):
        done = self.run_script("deploy.sh", {"aws ecr describe-repositories": (254, "AccessDeniedException")})
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("AccessDeniedException", done.stderr)
        self.assertEqual(self.changes, [])

    def test_every_given_parameter_reaches_the_stack(self):
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

    def test_a_failed_command_ends_the_deployment(self):
        steps = ("docker build", "sam build", "docker login", "docker push", "aws ecr describe-images", "sam deploy")
        for step, after in zip(steps, (*steps[1:], "aws lambda get-function-concurrency")):
            with self.subTest(step):
                self.setUp()
                done = self.run_script("deploy.sh", {step: (1, "it broke")})
                self.assertNotEqual(done.returncode, 0)
                self.assertNotIn("a first execution", done.stdout)
                self.assertFalse([call for call in self.calls if call.startswith(after)], "the script continued")
                if step.endswith("build"):
                    self.assertEqual(self.changes, [])


class Destroy(Scripts):
    def test_a_missing_tool_stops_the_script(self):
        for tool in ("aws", "sam"):
            with self.subTest(tool):
                self.setUp()
                self.remove(tool)
                self.assert_stopped(self.run_script("destroy.sh", CONFIRM="longhaul"), tool)

    def test_missing_credentials_stop_the_script(self):
        done = self.run_script("destroy.sh", {"aws sts get-caller-identity": (255, "Expired")}, CONFIRM="longhaul")
        self.assert_stopped(done, "credentials", "Expired")

    def test_destroying_requires_a_confirmation(self):
        self.assert_stopped(self.run_script("destroy.sh"), "CONFIRM=longhaul")

    def test_the_confirmation_must_be_the_stacks_name(self):
        self.assert_stopped(self.run_script("destroy.sh", CONFIRM="yes"), "longhaul")

    def test_executions_and_tasks_are_stopped_before_everything_is_deleted(self):
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
            "aws s3 rm s3://longhaul-databucket-1a2b3c --recursive --only-show-errors",
            "sam delete --stack-name longhaul --region eu-west-1 --no-prompts",
            "aws ecr delete-repository --repository-name longhaul-worker --force",
            "aws logs delete-log-group --log-group-name /aws/lambda/longhaul-api",
            "aws ecs delete-task-definitions --task-definitions arn:demo:1",
        )
        self.assertEqual(len([call for call in self.calls if call.startswith("aws logs delete")]), 1)

    def test_a_bucket_that_cannot_be_emptied_ends_the_script(self):
        head = "aws s3api head-bucket --bucket longhaul-databucket-1a2b3c"
        for answers in ({"aws cloudformation list-stack-resources": (254, "AccessDenied")}, {head: (254, "Forbidden")}, {"aws s3 rm": (1, "denied")}):
            with self.subTest(answers):
                self.setUp()
                self.assertNotEqual(self.run_script("destroy.sh", answers, CONFIRM="longhaul").returncode, 0)
                self.assertFalse([call for call in self.calls if call.startswith("sam delete")])

    def test_a_bucket_that_is_already_deleted_is_not_emptied(self):
        gone = (254, "An error occurred (404) when calling the HeadBucket operation: Not Found")
        done = self.run_script("destroy.sh", {"aws s3api head-bucket": gone}, CONFIRM="longhaul")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertFalse([call for call in self.calls if call.startswith("aws s3 rm")])

    def test_an_aws_cli_without_durable_executions_stops_the_script(self):
        answers = {"aws lambda stop-durable-execution --generate-cli-skeleton": (252, "Invalid choice")}
        self.assert_stopped(self.run_script("destroy.sh", answers, CONFIRM="longhaul"), "update it")

    def stopped_executions(self):
        begin = "aws lambda stop-durable-execution --durable-execution-arn "
        return [call.removeprefix(begin).split()[0] for call in self.calls if call.startswith(begin)]

    def test_paused_executions_are_stopped_too(self):
        answers = {executions("callback", statuses="PAUSING PAUSED"): (0, "arn:p1")}
        done = self.run_script("destroy.sh", answers, CONFIRM="longhaul")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.stopped_executions(), ["arn:e1", "arn:e2", "arn:e3", "arn:p1"])

    def test_a_region_without_paused_executions_can_be_destroyed(self):
        unknown = (254, "ValidationException: Member must satisfy enum value set: [RUNNING, SUCCEEDED, FAILED, TIMED_OUT, STOPPED]")
        answers = {executions("sync", statuses="PAUSING PAUSED"): unknown}
        done = self.run_script("destroy.sh", answers, CONFIRM="longhaul")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.stopped_executions(), ["arn:e1", "arn:e2", "arn:e3"])

    def test_an_execution_that_ends_before_it_is_stopped_is_not_an_error(self):
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

    def test_an_execution_that_cannot_be_stopped_ends_the_script(self):
        stop, get = (f"aws lambda {it}-durable-execution --durable-execution-arn arn:e1" for it in ("stop", "get"))
        for state in ((0, "RUNNING"), (254, "AccessDenied")):
            with self.subTest(state):
                self.setUp()
                done = self.run_script("destroy.sh", {stop: (254, "AccessDenied"), get: state}, CONFIRM="longhaul")
                self.assertNotEqual(done.returncode, 0)
                self.assertIn("cannot stop arn:e1: AccessDenied", done.stderr)
                self.assertFalse([call for call in self.calls if call.startswith("sam delete")])

    def test_executions_that_cannot_be_listed_end_the_script(self):
        for call in (executions("sync"), "aws lambda list-versions-by-function"):
            with self.subTest(call):
                self.setUp()
                answers = {it: (254, "AccessDenied") for it in {call, *ANSWERS} if it.startswith(call)}
                self.assertNotEqual(self.run_script("destroy.sh", answers, CONFIRM="longhaul").returncode, 0)
                self.assertFalse([call for call in self.calls if call.startswith("sam delete")])

    def test_destroying_a_stack_that_does_not_exist_succeeds(self):
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

    def test_a_failed_command_ends_the_script(self):
        done = self.run_script("destroy.sh", {"sam delete": (1, "it broke")}, CONFIRM="longhaul")
        self.assertNotEqual(done.returncode, 0)
        self.assertFalse([call for call in self.calls if call.startswith("aws ecr delete")])


class Calls(Scripts):
    # Commands of the AWS CLI that are not operations of an API, and options that every command has.
    CLI_COMMANDS = {"ecr get-login-password", "ecs wait", "lambda wait", "configure get", "s3 rm"}
    CLI_OPTIONS = {"query", "output", "generate-cli-skeleton"}

    def assert_known(self, call):
        """The call is an AWS operation, and all its options are parameters of that operation."""
        _, service, command, *rest = call.split()
        if f"{service} {command}" in self.CLI_COMMANDS:
            return
        model = SESSION.get_service_model({"s3api": "s3"}.get(service, service))
        operations = {botocore.xform_name(name, "-"): name for name in model.operation_names}
        self.assertIn(command, operations)
        members = getattr(model.operation_model(operations[command]).input_shape, "members", {})
        parameters = {botocore.xform_name(name, "-"): shape for name, shape in members.items()}
        parameters |= {f"no-{name}": shape for name, shape in parameters.items() if shape.type_name == "boolean"}
        options = [word.removeprefix("--") for word in rest if word.startswith("--")]
        self.assertLessEqual(set(options), {*parameters, *self.CLI_OPTIONS})

    def test_each_call_is_an_aws_operation_with_its_parameters(self):
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
                        self.assert_known(call)


if __name__ == "__main__":
    unittest.main()
