"""Each role has exactly the permissions that its program needs, and only for the resources of this stack."""

import json
import re
import unittest

from cloudformation import ROOT, Template
from facts import calls_of

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
    # The job's program has the role of its task. Without access to the table, it may only write reports.
    "TaskRole": lambda: {"dynamodb:PutItem"},
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


class Policies(unittest.TestCase):
    def setUp(self):
        self.template = Template()
        self.roles = self.template.of_type("AWS::IAM::Role")

    def test_every_role_has_expected_permissions(self):
        self.assertEqual(set(self.roles), set(EXPECTED))

    def test_each_role_has_exactly_the_permissions_that_it_needs(self):
        for role in self.roles:
            allowed = [action for it in statements(self.template, role) for action in listed(it["Action"])]
            with self.subTest(role):
                self.assertEqual(set(allowed), EXPECTED[role]())
                self.assertEqual(len(allowed), len(set(allowed)), "allowed twice")

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
                for action in listed(statement["Action"]):
                    self.assertNotIn("*", action)
                for resource in listed(statement["Resource"]):
                    with self.subTest(role, statement=statement["Sid"]):
                        if resource == "*":
                            self.assertIn(action, WITHOUT_RESOURCE)
                            self.assertEqual(statement.get("Condition"), WITHOUT_RESOURCE[action])
                        elif resource not in jobs:
                            self.assertRegex(resource, r"STACK|^<\w+\.Arn>(/index/\w+)?$")
                            self.assertNotRegex(resource.split(":", 5)[-1], r"^\*|^[a-z-]+[/:]\*")

    def test_only_the_roles_of_tasks_are_passed_and_only_to_ecs(self):
        jobs = map(self.template.properties, self.template.of_type("AWS::ECS::TaskDefinition"))
        roles = {job[role] for job in jobs for role in ("TaskRoleArn", "ExecutionRoleArn")} | self.table_roles()
        passed = [it for role in self.roles for it in statements(self.template, role) if "iam:PassRole" in listed(it["Action"])]
        self.assertEqual(len(passed), 2)
        for statement in passed:
            self.assertEqual(set(statement["Resource"]), roles)
            self.assertEqual(statement["Condition"], {"StringEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}})

    def table_roles(self):
        """The roles that the catalog of jobs names for tasks that use the table."""
        catalog = json.loads(self.template.properties("SyncFunction")["Environment"]["Variables"]["JOBS"])
        return {job["tableRole"] for job in catalog.values() if "tableRole" in job}

    def test_a_task_that_does_not_use_the_table_may_only_write_reports(self):
        self.assertEqual(self.table_roles(), {"<TableTaskRole.Arn>"})
        for job in map(self.template.properties, self.template.of_type("AWS::ECS::TaskDefinition")):
            self.assertEqual(job["TaskRoleArn"], "<TaskRole.Arn>")
        (report,) = statements(self.template, "TaskRole")
        self.assertEqual((report["Action"], report["Resource"]), ("dynamodb:PutItem", "<Table.Arn>"))
        # Only reports have such keys, because an execution's id has no `/`: see `contract::report::key`.
        keys = {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": "report/*"}, "Null": {"dynamodb:LeadingKeys": "false"}}
        self.assertEqual(report["Condition"], keys)

    def of_jobs(self):
        """The resources that each policy about jobs has to name, by its Sid."""
        named = {"Run": set(), "Pull": set(), "Output": set(), "Pass": self.table_roles()}
        arn = "arn:aws:{}:us-east-1:111122223333:{}".format
        for job in map(self.template.properties, self.template.of_type("AWS::ECS::TaskDefinition")):
            named["Run"].add(arn("ecs", f"task-definition/{job['Family']}:*"))
            named["Pass"] |= {job["TaskRoleArn"], job["ExecutionRoleArn"]}
            for container in job["ContainerDefinitions"]:
                repository = re.search(r"/([^@:]+)", container["Image"])[1]
                named["Pull"].add(arn("ecr", f"repository/{repository}"))
                log = container["LogConfiguration"]["Options"]
                stream = f"log-stream:{log['awslogs-stream-prefix']}/{container['Name']}/*"
                named["Output"].add(arn("logs", f"log-group:{log['awslogs-group']}:{stream}"))
        return named

    def test_each_policy_about_jobs_names_every_job(self):
        for sid, resources in self.of_jobs().items():
            found = [it for role in self.roles for it in statements(self.template, role) if it["Sid"] == sid]
            self.assertTrue(found)
            for statement in found:
                with self.subTest(sid):
                    self.assertEqual(set(listed(statement["Resource"])), resources)

    def test_the_comment_about_adding_a_job_lists_every_place(self):
        comment = re.search(r"((?:  #.*\n)+)  DemoTask:", (ROOT / "template.yaml").read_text())[1]
        self.assertEqual(re.findall(r"^  #   (\w+) ", comment, re.M), ["JOBS", *self.of_jobs()])

    def test_functions_are_invoked_by_their_alias(self):
        for who in ("Api", "Reconciler"):
            (start,) = [it for it in statements(self.template, f"{who}Role") if it["Action"] == "lambda:InvokeFunction"]
            environment = self.template.properties(f"{who}Function")["Environment"]["Variables"]
            self.assertEqual(start["Resource"], [it for name, it in environment.items() if name.endswith("_FUNCTION")])
            for arn in start["Resource"]:
                self.assertRegex(arn, r":function:STACK-(sync|callback|reconciler):live$")

    def test_vpc_endpoints_allow_what_tasks_may_do(self):
        allowed = {
            action
            for role in ("TaskRole", "TableTaskRole", "TaskExecutionRole")
            for it in statements(self.template, role)
            for action in listed(it["Action"])
        }
        by_endpoints = {
            action
            for name in self.template.of_type("AWS::EC2::VPCEndpoint")
            for it in self.template.properties(name)["PolicyDocument"]["Statement"]
            for action in listed(it["Action"])
        }
        # ECR's download URLs lead to S3.
        self.assertEqual(by_endpoints, allowed | {"s3:GetObject"})


if __name__ == "__main__":
    unittest.main()
