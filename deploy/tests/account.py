"""A simulated AWS account for the tests of the scripts, with `aws` and `sam` commands that call it.

Calls and responses are validated against botocore's models. Differences from AWS: every change is visible at once, a
Region has three zones, and a stack has only the resources that the scripts use.
"""

import json
import pathlib
import re
import socketserver
import threading

import botocore
import botocore.session
import jmespath
from botocore.validate import ParamValidator

SESSION = botocore.session.get_session()
ACCOUNT = "111122223333"
DIGEST = "sha256:" + "1" * 64
BUCKET = "longhaul-databucket-1a2b3c"

# Forwards a command to the account, and exits with the account's exit code. It is in bash because the scripts make many
# calls and bash starts fast.
CLIENT = """#!/usr/bin/env bash
exec 3<>/dev/tcp/127.0.0.1/{port}
printf '%s\\0' "$#" {tool} "$@" >&3
read -r code <&3
if [ "$code" = 0 ]; then cat <&3; else cat <&3 >&2; fi
exit "$code"
"""


class Refused(Exception):
    """AWS refuses a call."""


class Account:
    """The account's resources. It kills the script (`kill`) at change number `fails_at`, before the change or `after` it."""

    def __init__(self, unreserved=1000):
        self.unreserved = unreserved
        self.stack, self.functions, self.table, self.roles = None, {}, None, set()
        self.repositories, self.images, self.tasks, self.executions, self.backups, self.objects = set(), set(), [], [], [], set()
        self.bucket = None # the keys of the objects in the bucket of large data, if there is one
        self.late_uploads = [] # what is uploaded while the stack is being deleted
        self.zones = {"eu-west-1a": "euw1-az1", "eu-west-1b": "euw1-az2", "eu-west-1c": "euw1-az3"}
        self.offered = {service: list(self.zones) for service in ("ecr.api", "ecr.dkr", "logs", "ssm", "secretsmanager")}
        self.in_flight = {} # unfinished executions, and their jobs
        self.refuses_durable = {} # Lambda's error message for a durable function, by package type
        self.assumable_after = None # how many attempts to use a new role fail
        self.tree = None # the directory in which the scripts run
        self.calls, self.changes, self.fails_at, self.after, self.kill = [], 0, None, False, None

    def snapshot(self):
        """What exists after a deployment, without the values that differ each time."""
        stack = self.stack and {**self.stack, "parameters": {**self.stack["parameters"], "Deployment": "", "WorkerImage": ""}}
        return json.loads(json.dumps([stack, self.functions, self.table, sorted(self.roles), sorted(self.repositories), self.bucket is not None]))

    # -------------------------------------------------------------------------------------------------------- calls

    def call(self, tool, *words):
        self.calls.append(" ".join([tool, *words]))
        try:
            if tool == "sam":
                return 0, self.sam(*words)
            if tool != "aws":
                return 0, self.engine(*words)
            return 0, self.aws(*words)
        except Refused as refusal:
            return 254, f"An error occurred ({refusal}) when calling an operation"

    def changing(self, change):
        """Makes a change, and kills the script before or after it if this is change number `fails_at`."""
        number = self.changes
        self.changes += 1
        if number != self.fails_at:
            change()
            return
        if self.after:
            change()
        self.kill()
        raise Refused("the script is dead")

    def engine(self, command, *words):
        if command == "push":
            repository, tag = words[-1].split("/")[1].split(":")
            self.repository(repository)
            self.changing(lambda: self.images.add((repository, tag)))
        return ""

    def aws(self, service, command, *words):
        if f"{service} {command}" in ("ecs wait", "lambda wait", "ecr get-login-password"):
            return ""
        if f"{service} {command}" == "s3 rm":
            return self.empty(*words)
        model = SESSION.get_service_model({"s3api": "s3"}.get(service, service))
        (name,) = [it for it in model.operation_names if botocore.xform_name(it, "-") == command]
        operation = model.operation_model(name)
        options, given = self.options(words), {}
        if "generate-cli-skeleton" in options:
            return "{}"
        members = operation.input_shape.members if operation.input_shape else {}
        by_option = {botocore.xform_name(it, "-"): it for it in members}
        for option, values in options.items():
            if option in ("query", "output", "region"):
                continue
            if option == "zip-file": # an option of the `aws` command, not of the API
                given["Code"] = {"ZipFile": pathlib.Path(values[0].removeprefix("fileb://")).read_bytes()}
                continue
            plain = option.removeprefix("no-")
            member = by_option[option if option in by_option else plain]
            given[member] = option == plain if members[member].type_name == "boolean" else self.value(members[member], values)
        if operation.input_shape:
            report = ParamValidator().validate(given, operation.input_shape)
            assert not report.has_errors(), f"{command}: {report.generate_report()}"
        answer = getattr(self, command.replace("-", "_"))(**given) or {}
        if operation.output_shape:
            report = ParamValidator().validate(answer, operation.output_shape)
            assert not report.has_errors(), f"{command}: {report.generate_report()}"
        if "query" in options:
            answer = jmespath.search(options["query"][0], answer)
        if "query" not in options or options.get("output") == ["json"]:
            return json.dumps(answer, default=str)
        return self.text(answer)

    @staticmethod
    def options(words):
        found = {}
        for word in words:
            if word.startswith("--"):
                values = found.setdefault(word[2:], [])
            else:
                values.append(word)
        return found

    def value(self, shape, values):
        """Parses an option's values, including the shorthand syntax of the `aws` command."""
        if shape.type_name == "list":
            return [self.value(shape.member, [value]) for value in values]
        (value,) = values
        if shape.type_name == "map":
            return json.loads(value)
        if shape.type_name == "structure":
            parts, found = re.findall(r"(\w+)=(.*?)(?=,\w+=|$)", value), {}
            for name, text in parts:
                inner = shape.members[name]
                found[name] = self.value(inner, text.split(",") if inner.type_name == "list" else [text])
            return found
        if shape.type_name in ("integer", "long"):
            return int(value)
        if shape.type_name == "boolean":
            return value == "true"
        if shape.type_name == "blob":
            return pathlib.Path(value.removeprefix("fileb://")).read_bytes()
        return value

    def text(self, value):
        if value is None:
            return "None\n"
        if isinstance(value, list):
            rows = value if value and isinstance(value[0], list) else [value]
            return "".join("\t".join(str(it) for it in row) + "\n" for row in rows)
        return f"{value}\n"

    # -------------------------------------------------------------------------------------------------- operations

    def get_caller_identity(self):
        return {"Account": ACCOUNT}

    def describe_stacks(self, StackName):
        if self.stack is None:
            raise Refused(f"ValidationError: Stack with id {StackName} does not exist")
        parameters = [{"ParameterKey": it, "ParameterValue": value} for it, value in self.stack["parameters"].items()]
        outputs = [{"OutputKey": "ApiUrl", "OutputValue": "https://api.example"}, {"OutputKey": "Authorization", "OutputValue": "AWS_IAM"}]
        stack = {"StackName": StackName, "StackStatus": self.stack["status"], "CreationTime": 0}
        return {"Stacks": [{**stack, "Parameters": parameters, "Outputs": outputs}]}

    def list_stack_resources(self, StackName):
        found = [] if self.bucket is None else [{"LogicalResourceId": "DataBucket", "PhysicalResourceId": BUCKET, "ResourceType": "AWS::S3::Bucket"}]
        return {"StackResourceSummaries": [{**it, "LastUpdatedTimestamp": 0, "ResourceStatus": "CREATE_COMPLETE"} for it in found]}

    def get_template(self, StackName, TemplateStage):
        return {"TemplateBody": self.stack["template"]}

    def scan(self, TableName, IndexName, ProjectionExpression):
        return {"Items": [{"executionId": {"S": name}} for name in self.in_flight]}

    def batch_get_item(self, RequestItems):
        """It processes one key a call."""
        ((table, wanted),) = RequestItems.items()
        (first, *rest) = wanted["Keys"]
        left = {table: {**wanted, "Keys": rest}} if rest else {}
        job = self.in_flight.get(first["executionId"]["S"])
        return {"Responses": {table: [{"job": {"S": job}}] if job else []}, "UnprocessedKeys": left}

    def describe_managed_prefix_lists(self, Filters):
        return {"PrefixLists": [{"PrefixListId": "pl-5" + ("3" if Filters[0]["Values"][0].endswith("s3") else "d")}]}

    def describe_subnets(self, Filters):
        ids = {it["Name"]: it["Values"][0] for it in Filters}
        zone = self.stack and self.stack["parameters"]["Zone" + ids["tag:aws:cloudformation:logical-id"][-1]]
        return {"Subnets": [{"AvailabilityZone": zone}] if zone else []}

    def describe_vpc_endpoint_services(self, ServiceNames):
        return {"ServiceDetails": [{"AvailabilityZones": self.offered[ServiceNames[0].split(".", 3)[3]]}]}

    def describe_availability_zones(self, Filters):
        return {"AvailabilityZones": [{"ZoneName": name, "ZoneId": it} for name, it in self.zones.items()]}

    def get_account_settings(self):
        reserved = sum(it.get("reserved") or 0 for it in self.functions.values())
        return {"AccountLimit": {"UnreservedConcurrentExecutions": self.unreserved - reserved}}

    def function(self, name):
        if name not in self.functions:
            raise Refused("ResourceNotFoundException")
        return self.functions[name]

    def get_function(self, FunctionName):
        self.function(FunctionName)

    def get_function_concurrency(self, FunctionName):
        reserved = self.function(FunctionName)["reserved"]
        return {} if reserved is None else {"ReservedConcurrentExecutions": reserved}

    def put_function_concurrency(self, FunctionName, ReservedConcurrentExecutions):
        self.changing(lambda: self.function(FunctionName).update(reserved=ReservedConcurrentExecutions))

    def delete_function_concurrency(self, FunctionName):
        self.changing(lambda: self.function(FunctionName).update(reserved=None))

    def create_function(self, FunctionName, Role, DurableConfig, Code, PackageType="Zip", Runtime=None, **_):
        assert (Runtime is None) == (PackageType == "Image"), "Lambda requires a runtime for archives, and none for images"
        if Role.rsplit("/", 1)[1] not in self.roles:
            raise Refused("InvalidParameterValueException: The role defined for the function cannot be assumed by Lambda.")
        if self.assumable_after:
            self.assumable_after -= 1
            raise Refused("InvalidParameterValueException: The role defined for the function cannot be assumed by Lambda.")
        if PackageType == "Image":
            self.assert_image(Code["ImageUri"])
        if PackageType in self.refuses_durable:
            raise Refused(self.refuses_durable[PackageType])
        if FunctionName in self.functions:
            raise Refused("ResourceConflictException")
        self.changing(lambda: self.functions.update({FunctionName: {"reserved": None, "package": PackageType}}))

    def delete_function(self, FunctionName):
        self.changing(lambda: self.functions.pop(FunctionName))

    def list_durable_executions_by_function(self, FunctionName, Statuses, Qualifier=None):
        arns = self.executions if FunctionName.endswith("sync") and "RUNNING" in Statuses and Qualifier is None else []
        return {"DurableExecutions": [
            {"DurableExecutionArn": arn, "DurableExecutionName": "n", "FunctionArn": "arn:f", "Status": "RUNNING", "StartTimestamp": 0}
            for arn in arns
        ]}  # fmt: skip

    def stop_durable_execution(self, DurableExecutionArn, Error):
        self.changing(lambda: self.executions.remove(DurableExecutionArn))
        return {"StopTimestamp": 0}

    def list_versions_by_function(self, FunctionName):
        return {"Versions": [{"Version": "$LATEST"}, {"Version": "7"}]}

    def get_role(self, RoleName):
        if RoleName not in self.roles | {"AWSServiceRoleForECS"}:
            raise Refused("NoSuchEntity")
        return {"Role": {"RoleName": RoleName, "Path": "/", "RoleId": "A" * 16, "Arn": "arn:aws:iam::1:role/" + RoleName, "CreateDate": 0}}

    def create_role(self, RoleName, AssumeRolePolicyDocument):
        json.loads(AssumeRolePolicyDocument)
        self.changing(lambda: self.roles.add(RoleName))
        return {**self.get_role(RoleName)}

    def delete_role(self, RoleName):
        self.changing(lambda: self.roles.discard(RoleName))

    def repository(self, name):
        if name not in self.repositories:
            raise Refused("RepositoryNotFoundException")

    def assert_image(self, name):
        """Fails unless there is an image with this tag or digest."""
        repository, tag = name.split("/")[1].replace("@sha256:", ":sha256-").split(":")
        found = {one for it, one in self.images if it == repository}
        assert tag in found or (found and tag == DIGEST.replace(":", "-")), f"no image {name} in {self.images}"

    def describe_repositories(self, repositoryNames):
        self.repository(repositoryNames[0])

    def create_repository(self, repositoryName, **_):
        self.changing(lambda: self.repositories.add(repositoryName))

    def delete_repository(self, repositoryName, force):
        def delete():
            self.repositories.discard(repositoryName)
            self.images = {it for it in self.images if it[0] != repositoryName}

        self.changing(delete)

    def describe_images(self, repositoryName, imageIds, registryId=ACCOUNT):
        if registryId != ACCOUNT:
            raise Refused("AccessDeniedException")
        if (repositoryName, imageIds[0]["imageTag"]) not in self.images:
            raise Refused("ImageNotFoundException")
        return {"imageDetails": [{"imageDigest": DIGEST}]}

    def list_tasks(self, cluster):
        if self.stack is None:
            raise Refused("ClusterNotFoundException")
        return {"taskArns": self.tasks}

    def stop_task(self, task, **_):
        self.changing(lambda: self.tasks.remove(task))

    def list_task_definition_families(self, **_):
        return {"families": []}

    def list_task_definitions(self, **_):
        return {"taskDefinitionArns": []}

    def describe_log_groups(self, **_):
        return {"logGroups": []}

    def head_bucket(self, Bucket):
        if Bucket != BUCKET or self.bucket is None:
            raise Refused("404: Not Found")

    def empty(self, url, *options):
        assert (url, options) == (f"s3://{BUCKET}", ("--recursive", "--only-show-errors")), (url, options)
        self.changing(self.bucket.clear)
        return ""

    def describe_table(self, TableName):
        if self.table is None:
            raise Refused("ResourceNotFoundException")
        return {"Table": {"DeletionProtectionEnabled": self.table["protected"]}}

    def update_table(self, TableName, DeletionProtectionEnabled):
        self.changing(lambda: self.table.update(protected=DeletionProtectionEnabled))

    def describe_continuous_backups(self, TableName):
        state = "ENABLED" if self.table["recovery"] else "DISABLED"
        recovery = {"PointInTimeRecoveryStatus": state}
        return {"ContinuousBackupsDescription": {"ContinuousBackupsStatus": "ENABLED", "PointInTimeRecoveryDescription": recovery}}

    def update_continuous_backups(self, TableName, PointInTimeRecoverySpecification):
        self.changing(lambda: self.table.update(recovery=PointInTimeRecoverySpecification["PointInTimeRecoveryEnabled"]))

    # ---------------------------------------------------------------------------------------------------------- sam

    def sam(self, command, *words):
        if command == "deploy":
            self.changing(lambda: self.deploy(self.options(words)))
        elif command == "delete":
            self.changing(self.delete)
        return ""

    def deploy(self, options):
        """Parameters that are not given keep their values, as with SAM (samcli/commands/deploy/deploy_context.py)."""
        given = dict(it.split("=", 1) for it in options["parameter-overrides"])
        file = self.tree / options["template-file"][0]
        whole = json.loads(file.read_text())
        (package,) = {
            it["Properties"].get("PackageType", "Zip") for it in whole["Resources"].values() if it["Type"] == "AWS::Serverless::Function"
        }
        assert ("image-repository" in options) == (package == "Image"), "SAM requires an image repository for images only"
        if any(it["package"] != package for it in self.functions.values()):
            raise Refused("ValidationError: a function's package type cannot be changed")
        template = whole["Parameters"]
        assert set(given) <= set(template), given
        for name in {"WorkerImage", "FunctionImage"} & set(given):
            self.assert_image(given[name])
        before = self.stack["parameters"] if self.stack else {}
        parameters = {name: given.get(name, before.get(name, str(it.get("Default", "")))) for name, it in template.items()}
        for name, spec in template.items():
            assert parameters[name] or spec.get("Default") == "", f"{name} has no value"
        self.stack = {"status": "UPDATE_COMPLETE", "parameters": parameters, "template": file.read_text()}
        self.objects = {f"{options['s3-prefix'][0]}/code"}
        self.bucket = self.bucket or [] if "DataBucket" in whole["Resources"] else None
        self.table = self.table or {"protected": parameters["DeletionProtection"] == "true", "recovery": True}
        for function in ("api", "sync", "callback", "reconciler"):
            name = f"{function.capitalize()}Concurrency"
            wanted = int(parameters.get(name, 0)) or None
            # CloudFormation changes only what has changed in the template.
            if f"longhaul-{function}" not in self.functions or before.get(name) != parameters.get(name):
                self.functions[f"longhaul-{function}"] = {"reserved": wanted, "package": package}

    def delete(self):
        if self.bucket is not None:
            self.bucket += self.late_uploads
            self.late_uploads = []
        if self.table["protected"] or self.tasks or self.executions or self.bucket:
            raise Refused("ValidationError: DELETE_FAILED")
        if self.table["recovery"]:
            self.backups.append("system backup, for 35 days")
        self.stack = self.table = self.bucket = None
        self.functions = {name: it for name, it in self.functions.items() if name == "longhaul-probe"}
        self.objects = {it for it in self.objects if not it.startswith("longhaul/")}


def serve(account):
    """Serves the account to CLIENT on a free port."""

    class Handler(socketserver.StreamRequestHandler):
        def word(self):
            word = b""
            while (byte := self.rfile.read(1)) not in (b"\0", b""):
                word += byte
            return word.decode()

        def handle(self):
            count = int(self.word())
            try:
                code, text = account.call(*[self.word() for _ in range(count + 1)])
            except Exception as error:  # noqa: BLE001
                code, text = 99, f"the simulated account failed: {error!r}"
            self.wfile.write(f"{code}\n{text}".encode())

    server = socketserver.TCPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    return server
