"""Each role has exactly the permissions that its program needs, and only for the resources of this stack."""

import fnmatch
import json
import re
import unittest

from facts import calls_of
from jobs.catalog import filled
from jobs_file import generated, jobs, template_of

# Lambda, ECS and VPC flow logs write logs with these permissions.
WRITE_LOGS = {"logs:CreateLogStream", "logs:PutLogEvents"}
# Lambda's calls to read a queue for a function.
CONSUME = {"sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"}
# The additional permissions that RunTask requires: to pass the task's two roles, and to tag the task.
RUN = {"ecs:RunTask": {"iam:PassRole", "ecs:TagResource"}}


def needed_by(program):
    calls = calls_of(program)
    return calls.union(*(RUN.get(call, set()) for call in calls))


# The permissions of each role. When you add a role, add it here.
EXPECTED = {
    "ApiRole": lambda: needed_by("api") | WRITE_LOGS,
    "SyncRole": lambda: needed_by("sync") | WRITE_LOGS,
    "CallbackRole": lambda: needed_by("callback") | WRITE_LOGS,
    "ReconcilerRole": lambda: needed_by("reconciler") | CONSUME | WRITE_LOGS,
    # The job's program has the role of its task. Without access to the table, it may only write reports there.
    "TaskRole": lambda: needed_by("worker") - {"dynamodb:GetItem"},
    "TableTaskRole": lambda: needed_by("worker"),
    # https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task_execution_IAM_role.html
    "TaskExecutionRole": lambda: WRITE_LOGS
    | {
        "ecr:BatchCheckLayerAvailability",
        "ecr:BatchGetImage",
        "ecr:GetAuthorizationToken",
        "ecr:GetDownloadUrlForLayer",
    },
    # https://docs.aws.amazon.com/vpc/latest/userguide/flow-logs-iam-role.html
    "FlowLogRole": lambda: WRITE_LOGS | {"logs:DescribeLogGroups", "logs:DescribeLogStreams"},
}

# The only actions without a resource, and the condition that limits them instead.
WITHOUT_RESOURCE = {"ecr:GetAuthorizationToken": None, "ecs:ListTasks": {"ArnEquals": {"ecs:cluster": "<Cluster.Arn>"}}}


def listed(one_or_more):
    return one_or_more if isinstance(one_or_more, list) else [one_or_more]


def statements(template, role):
    for policy in template.properties(role).get("Policies", []):
        yield from policy["PolicyDocument"]["Statement"]


def expected_of(role):
    """The permissions that a role needs for Longhaul. A job's own roles need what the roles need that other jobs share."""
    return EXPECTED.get(role) or EXPECTED[next(it for it in ("TableTaskRole", "TaskExecutionRole", "TaskRole") if role.endswith(KINDS[it]))]


# How the names of a job's own roles end.
KINDS = {"TaskRole": "TaskRole", "TableTaskRole": "TableRole", "TaskExecutionRole": "ExecutionRole"}


def of_file(statement):
    """Whether a statement is there because the file says so."""
    return re.fullmatch(r"Job\d+|Parameters|Secrets", statement.get("Sid", ""))


class Policies(unittest.TestCase):
    JOBS = {} # those of the file

    def setUp(self):
        self.template = template_of(len(self.JOBS))
        self.roles = self.template.of_type("AWS::IAM::Role")

    def test_every_role_has_expected_permissions(self):
        own = {it for it in self.roles if it.startswith("Job")}
        shared = {"SharedTableRole"} if self.JOBS else set()
        self.assertEqual(set(self.roles) - own, set(EXPECTED) | shared)
        self.assertEqual(len(own), 3 * len(self.JOBS))

    def test_each_role_has_exactly_the_permissions_that_it_needs(self):
        for role in self.roles:
            allowed = [action for it in statements(self.template, role) if not of_file(it) for action in listed(it["Action"])]
            with self.subTest(role):
                self.assertEqual(set(allowed), expected_of(role)())
                self.assertEqual(len(allowed), len(set(allowed)), "allowed twice")

    def test_a_jobs_own_roles_have_exactly_what_the_file_says_in_addition(self):
        arn = "arn:aws:{}:us-east-1:111122223333:{}".format
        expected = []
        for job in self.JOBS.values():
            said = [[it["actions"], it["resources"]] for it in job["permissions"]]
            secrets = [it.split("#")[0].split(":", 1) for it in job["secrets"].values()]
            parameters = [arn("ssm", f"parameter{name}") for service, name in secrets if service == "ssm"]
            others = sorted(arn("secretsmanager", f"secret:{name}-??????") for service, name in secrets if service != "ssm")
            expected += [said, said, [["secretsmanager:GetSecretValue", others], ["ssm:GetParameters", parameters]]]
        found = [
            sorted([it["Action"], it["Resource"]] for it in statements(self.template, role) if of_file(it))
            if role.endswith("ExecutionRole")
            else [[it["Action"], it["Resource"]] for it in statements(self.template, role) if of_file(it)]
            for role in self.roles
        ]
        self.assertCountEqual([it for it in found if it], expected)

    def test_policies_are_inline_and_only_allow(self):
        for role, resource in self.roles.items():
            with self.subTest(role):
                self.assertNotIn("ManagedPolicyArns", resource["Properties"])
                self.assertLessEqual({it["Effect"] for it in statements(self.template, role)}, {"Allow"})
        for function in self.template.of_type("AWS::Serverless::Function").values():
            self.assertNotIn("Policies", function["Properties"], "SAM would add a managed policy")

    def test_policies_allow_only_resources_of_this_stack(self):
        jobs = set().union(*self.of_jobs().values())
        for role in self.roles:
            for statement in statements(self.template, role):
                if of_file(statement):
                    continue
                for action in listed(statement["Action"]):
                    self.assertNotIn("*", action)
                for resource in listed(statement["Resource"]):
                    with self.subTest(role, statement=statement["Sid"]):
                        if resource == "*":
                            self.assertIn(action, WITHOUT_RESOURCE)
                            self.assertEqual(statement.get("Condition"), WITHOUT_RESOURCE[action])
                        elif resource not in jobs:
                            self.assertRegex(resource, r"STACK|^<\w+\.Arn>(/index/\w+|/(uploads|outputs)/\*)?$")
                            self.assertNotRegex(resource.split(":", 5)[-1], r"^\*|^[a-z-]+[/:]\*")

    def test_roles_are_passed_only_to_ecs(self):
        passed = [it for role in self.roles for it in statements(self.template, role) if "iam:PassRole" in listed(it["Action"])]
        self.assertEqual(len(passed), 2)
        for statement in passed:
            self.assertEqual(statement["Condition"], {"StringEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}})

    def catalog(self):
        variable = self.template.properties("SyncFunction")["Environment"]["Variables"]["JOBS"]
        if variable == "@jobs.json":
            file = generated(self.JOBS).catalog
            variable = filled(file, StackName="STACK", Region="us-east-1", AccountId="111122223333", Partition="aws")
        return json.loads(variable)

    def table_roles(self):
        """The roles that the catalog of jobs names for tasks that use the table."""
        return {job["tableRole"] for job in self.catalog().values()}

    def test_a_task_that_does_not_use_the_table_may_only_write_reports(self):
        by_arn = {self.template.value({"Fn::GetAtt": [it, "Arn"]}): it for it in self.roles}
        for role in self.table_roles():
            self.assertRegex(by_arn[role], "Table(Task)?Role$")
        for job in map(self.template.properties, self.template.of_type("AWS::ECS::TaskDefinition")):
            allowed = [it for it in statements(self.template, by_arn[job["TaskRoleArn"]]) if not of_file(it)]
            (report,) = [it for it in allowed if "<Table.Arn>" in listed(it["Resource"])]
            self.assertEqual(report["Action"], "dynamodb:PutItem")
            # Only reports have such keys, because an execution's id has no `/`: see `contract::report::key`.
            keys = {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": "report/*"}, "Null": {"dynamodb:LeadingKeys": "false"}}
            self.assertEqual(report["Condition"], keys)

    def of_jobs(self):
        """The resources that each policy about jobs has to allow, by its Sid."""
        # Executions of the demonstration that started when the catalog was not a file use TableTaskRole.
        named = {"Run": set(), "Pull": set(), "Output": set(), "Pass": self.table_roles() | {"<TableTaskRole.Arn>"}}
        arn = "arn:aws:{}:us-east-1:{}:{}".format
        for job in map(self.template.properties, self.template.of_type("AWS::ECS::TaskDefinition")):
            named["Run"].add(arn("ecs", "111122223333", f"task-definition/{job['Family']}:*"))
            named["Pass"] |= {job["TaskRoleArn"], job["ExecutionRoleArn"]}
            for container in job["ContainerDefinitions"]:
                account, repository = re.match(r"(\d+)[^/]+/([^@:]+)", container["Image"]).groups()
                named["Pull"].add(arn("ecr", account, f"repository/{repository}"))
            log = next(it for it in job["ContainerDefinitions"] if it["Name"] == "job")["LogConfiguration"]["Options"]
            stream = f"log-stream:{log['awslogs-stream-prefix']}/job/*"
            named["Output"].add(arn("logs", "111122223333", f"log-group:{log['awslogs-group']}:{stream}"))
        return named

    def test_each_policy_about_jobs_allows_every_job_and_nothing_else(self):
        for sid, needed in self.of_jobs().items():
            found = [it for role in self.roles for it in statements(self.template, role) if it["Sid"] == sid]
            self.assertTrue(found)
            # Each job's own execution role pulls only that job's images.
            allowed = [[it for one in found for it in listed(one["Resource"])]] if sid == "Pull" else [listed(it["Resource"]) for it in found]
            for resources in allowed:
                with self.subTest(sid):
                    for one in needed:
                        self.assertTrue([it for it in resources if fnmatch.fnmatchcase(one, it)], f"{one} is not allowed")
                    for pattern in resources:
                        self.assertTrue(fnmatch.filter(needed, pattern), f"{pattern} is allowed for nothing")

    def test_no_pattern_matches_a_resource_of_another_stack(self):
        """A stack's name has only letters, digits and hyphens, so it cannot continue this stack's name with `_` or `/`."""
        for role in self.roles:
            for statement in statements(self.template, role):
                if statement["Sid"] in ("Run", "Pull", "Output", "Pass"):
                    for resource in listed(statement["Resource"]):
                        # Of any revision, and of any task.
                        name = re.sub(r":\*$|:log-stream:task/job/\*$", "", resource)
                        if "*" in name:
                            self.assertRegex(name, r"^[^*]+(/STACK_|:/ecs/STACK/|:role/STACK/us-east-1/)\*$")

    def test_an_execution_role_pulls_only_the_images_of_its_tasks(self):
        definitions = map(self.template.properties, self.template.of_type("AWS::ECS::TaskDefinition"))
        by_arn = {self.template.value({"Fn::GetAtt": [it, "Arn"]}): it for it in self.roles}
        needed = {}
        for job in definitions:
            images = [re.match(r"(\d+)[^/]+/([^@:]+)", it["Image"]).groups() for it in job["ContainerDefinitions"]]
            arns = {f"arn:aws:ecr:us-east-1:{account}:repository/{repository}" for account, repository in images}
            needed.setdefault(by_arn[job["ExecutionRoleArn"]], set()).update(arns)
        for role, arns in needed.items():
            (pull,) = [it for it in statements(self.template, role) if it["Sid"] == "Pull"]
            self.assertEqual(set(listed(pull["Resource"])), arns)

    def test_functions_are_invoked_by_their_alias(self):
        for who in ("Api", "Reconciler"):
            (start,) = [it for it in statements(self.template, f"{who}Role") if it["Action"] == "lambda:InvokeFunction"]
            environment = self.template.properties(f"{who}Function")["Environment"]["Variables"]
            self.assertEqual(start["Resource"], [it for name, it in environment.items() if name.endswith("_FUNCTION")])
            for arn in start["Resource"]:
                self.assertRegex(arn, r":function:STACK-(sync|callback|reconciler):live$")

    def test_vpc_endpoints_allow_what_tasks_may_do(self):
        tasks = [it for it in self.roles if it.startswith("Job") or it in ("TaskRole", "TableTaskRole", "TaskExecutionRole")]
        allowed = {action for role in tasks for it in statements(self.template, role) for action in listed(it["Action"])}
        by_endpoints = [
            statement
            for name in self.template.of_type("AWS::EC2::VPCEndpoint")
            for statement in self.template.properties(name)["PolicyDocument"]["Statement"]
        ]
        self.assertEqual({action for it in by_endpoints for action in listed(it["Action"])}, allowed)
        # What the file says is reachable, with the same resources.
        through = {(action, resource) for it in by_endpoints for action in listed(it["Action"]) for resource in listed(it["Resource"])}
        for role in tasks:
            for statement in filter(of_file, statements(self.template, role)):
                for action in listed(statement["Action"]):
                    for resource in statement["Resource"]:
                        self.assertIn((action, resource), through)


    # --------------------------------------------------------------------------------------------------- large data

    BUCKET = "<DataBucket.Arn>"
    OBJECTS = [f"{BUCKET}/uploads/35/owner/random", f"{BUCKET}/uploads/400/owner/random", f"{BUCKET}/outputs/creation/1/name"]

    def requests(self, bucket=BUCKET, objects=OBJECTS):
        """Requests of every kind to a bucket: action, resource and prefix."""
        for action in ("GetObject", "PutObject", "DeleteObject", "GetObjectVersion", "GetObjectAttributes", "PutObjectAcl", "AbortMultipartUpload"):
            yield from ((f"s3:{action}", it, None) for it in objects)
        for action in ("GetBucketPolicy", "PutBucketPolicy", "PutLifecycleConfiguration", "ListBucketMultipartUploads", "DeleteBucket"):
            yield f"s3:{action}", bucket, None
        for prefix in (None, "", "uploads/", "uploads/35/owner/", "outputs/", "outputs/creation/"):
            yield "s3:ListBucket", bucket, prefix

    def may(self, role, *more, **context):
        """The requests to the bucket that a role may make, with more statements in its policy."""
        policy = self.template.properties("DataBucketPolicy")["PolicyDocument"]["Statement"]
        policies = [*statements(self.template, role), *more, *policy]
        context = {"aws:SecureTransport": "true", "aws:PrincipalArn": self.template.value({"Fn::GetAtt": [role, "Arn"]})} | context
        return {it for it in self.requests() if allows(policies, *it, **context)}

    GET_UPLOADS = {("s3:GetObject", it, None) for it in OBJECTS[:2]}
    PUT_OUTPUTS = {("s3:PutObject", OBJECTS[2], None)}

    def task_roles(self):
        return {it for it in self.roles if re.search("(Task|Table)Role$", it)}

    def test_tasks_may_only_get_uploads_and_put_outputs(self):
        roles = self.task_roles()
        self.assertEqual(len(roles), 2 + 2 * len(self.JOBS) + bool(self.JOBS))
        for role in roles:
            with self.subTest(role):
                self.assertEqual(self.may(role), self.GET_UPLOADS | self.PUT_OUTPUTS)

    def test_tasks_whose_job_may_use_every_bucket_may_not_do_more(self):
        wide = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
        for role in self.task_roles():
            with self.subTest(role):
                self.assertEqual(self.may(role, wide), self.GET_UPLOADS | self.PUT_OUTPUTS)
        self.assertTrue(self.may("SyncRole", wide) > self.GET_UPLOADS | self.PUT_OUTPUTS, "the owner of the bucket can use it")

    def test_the_api_may_put_uploads_get_everything_and_see_whether_an_upload_exists(self):
        get = {("s3:GetObject", it, None) for it in self.OBJECTS}
        put = {("s3:PutObject", it, None) for it in self.OBJECTS[:2]}
        absent = {("s3:ListBucket", self.BUCKET, prefix) for prefix in ("uploads/", "uploads/35/owner/")}
        self.assertEqual(self.may("ApiRole"), get | put | absent)

    def test_no_other_role_may_use_the_bucket(self):
        for role in set(self.roles) - self.task_roles() - {"ApiRole"}:
            with self.subTest(role):
                self.assertEqual(self.may(role), set())

    def test_requests_to_the_bucket_need_tls(self):
        for role in self.roles:
            self.assertEqual(self.may(role, **{"aws:SecureTransport": "false"}), set())

    def test_the_endpoint_of_s3_leads_only_to_image_layers_large_data_and_what_the_file_says(self):
        policy = self.template.properties("S3Endpoint")["PolicyDocument"]["Statement"]
        ours, others = ({"aws:PrincipalAccount": it} for it in ("111122223333", "444455556666"))

        def through(account, *of):
            return {it for it in self.requests(*of) if allows(policy, *it, **account)}

        self.assertEqual(through(ours), self.GET_UPLOADS | self.PUT_OUTPUTS)
        self.assertEqual(through(others), set())
        layers = "arn:aws:s3:::prod-us-east-1-starport-layer-bucket"
        for bucket in ("arn:aws:s3:::another", f"{layers}-2", layers.replace("us-east-1", "eu-west-1"), f"{self.BUCKET}-2"):
            self.assertEqual(through(ours, bucket, [f"{bucket}/uploads/35/owner/random", f"{bucket}/outputs/creation/1/name"]), set())
        # The principal of ECR's download URLs is not ours.
        self.assertEqual(through(others, layers, [f"{layers}/layer"]), {("s3:GetObject", f"{layers}/layer", None)})
        for bucket in (f"arn:aws:s3:::{name}" for name in self.JOBS):
            self.assertLess({("s3:GetObject", f"{bucket}/key", None)}, through(ours, bucket, [f"{bucket}/key"]))
            self.assertEqual(through(others, bucket, [f"{bucket}/key"]), set())


def allows(policies, action, resource, prefix=None, **context):
    """Whether statements together allow a request, as IAM evaluates them: one Deny is stronger than every Allow."""
    context |= {} if prefix is None else {"s3:prefix": prefix}
    effects = {it["Effect"] for it in policies if concerns(it, action, resource) and holds(it.get("Condition", {}), context)}
    return effects == {"Allow"}


def concerns(statement, action, resource):
    def named(what, value):
        return any(fnmatch.fnmatchcase(value, pattern) for pattern in listed(statement.get(what, [])))

    acts = not named("NotAction", action) if "NotAction" in statement else named("Action", action)
    return acts and named("Resource", resource)


def holds(condition, context):
    """Whether a condition holds. One about a key that the request does not have does not."""
    for operator, keys in condition.items():
        assert operator in ("ArnLike", "Bool", "StringEquals", "StringLike"), operator
        for key, patterns in keys.items():
            if key not in context or not any(fnmatch.fnmatchcase(context[key], it) for it in listed(patterns)):
                return False
    return True


class PoliciesOfOneJob(Policies):
    JOBS = jobs(1)


class PoliciesOfFiftyJobs(Policies):
    JOBS = jobs(50)


if __name__ == "__main__":
    unittest.main()
