"""Tests the guarantees of template.yaml, and that it agrees with the code."""

import contextlib
import io
import json
import re
import unittest

import boto3
from cloudformation import ROOT, Template
from facts import facts
from image_template import image_template
from samcli.yamlhelper import yaml_parse
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

FUNCTIONS = {"ApiFunction": "api", "SyncFunction": "durable", "CallbackFunction": "durable", "ReconcilerFunction": "reconciler"}
SCAN = ROOT / "target/checkov.json"


def transformed(raw=None, **parameters):
    """The resources after SAM's transform of a template. The default is template.yaml."""
    if raw is None:
        raw = yaml_parse((ROOT / "template.yaml").read_text())
        for resource in raw["Resources"].values():
            if resource["Type"] == "AWS::Serverless::Function":
                resource["Properties"]["CodeUri"] = "s3://bucket/key"
    values = Template(**parameters).parameters
    session = boto3.Session(region_name="us-east-1")
    with contextlib.redirect_stderr(io.StringIO()):  # the translator complains that it cannot send metrics
        return Translator({}, Parser(), boto_session=session).translate(raw, values)["Resources"]


class Environment(unittest.TestCase):
    def test_functions_have_the_variables_that_their_configuration_reads(self):
        for name in FUNCTIONS:
            read = facts()["programs"][name.removesuffix("Function").lower()]["variables"]
            given = set(Template().properties(name)["Environment"]["Variables"])
            with self.subTest(name):
                self.assertLessEqual(given, set(read))
                # The owner of executions that are started without the API has a default.
                self.assertEqual(set(read) - given, {"DIRECT_OWNER"} & set(read))

    def test_every_job_has_its_task_definition(self):
        template = Template()
        definitions = {it["Family"]: it for it in map(template.properties, template.of_type("AWS::ECS::TaskDefinition"))}
        variables = [template.properties(name)["Environment"]["Variables"] for name in FUNCTIONS]
        catalogs = [of_function["JOBS"] for of_function in variables if "JOBS" in of_function]
        self.assertEqual(len(catalogs), 4, "the API's, the workflows' and the reconciler's")
        for tasks in map(json.loads, catalogs):
            self.assertEqual(tasks["demo"], {"taskDefinition": "STACK-demo", "tableRole": "<TableTaskRole.Arn>"})
            self.assertEqual(sorted(task["taskDefinition"] for task in tasks.values()), sorted(definitions))
            for task in tasks.values():
                (prefix,) = {
                    container["LogConfiguration"]["Options"]["awslogs-stream-prefix"]
                    for container in definitions[task["taskDefinition"]]["ContainerDefinitions"]
                    if container["Name"] == task.get("container", facts()["jobDefaults"]["container"])
                }
                self.assertEqual(prefix, task.get("logStreamPrefix", facts()["jobDefaults"]["logStreamPrefix"]))

    def test_the_tables_key_and_ttl_are_those_of_the_code(self):
        table, expected = Template().properties("Table"), facts()["table"]
        self.assertEqual(table["KeySchema"], [{"AttributeName": expected["key"], "KeyType": "HASH"}])
        self.assertEqual(table["TimeToLiveSpecification"], {"AttributeName": expected["expires"], "Enabled": True})

    def test_the_indexes_are_those_that_the_code_queries(self):
        indexes = {index["IndexName"]: index for index in Template().properties("Table")["GlobalSecondaryIndexes"]}
        self.assertEqual(set(indexes), {expected["name"] for expected in facts()["table"]["indexes"]})
        for expected in facts()["table"]["indexes"]:
            index = indexes[expected["name"]]
            with self.subTest(expected["name"]):
                self.assertEqual([key["AttributeName"] for key in index["KeySchema"]], [expected["hash"], expected["sort"]])
                self.assertEqual(set(index["Projection"].get("NonKeyAttributes", [])), set(expected["attributes"]))


class LargeData(unittest.TestCase):
    def bucket(self, **parameters):
        return Template(**parameters).properties("DataBucket")

    def test_objects_expire_by_their_prefix(self):
        rules = self.bucket()["LifecycleConfiguration"]["Rules"]
        self.assertEqual({it["Status"] for it in rules}, {"Enabled"})
        expire = {it["Prefix"]: it["ExpirationInDays"] for it in rules if "Prefix" in it}
        self.assertEqual(expire, facts()["keptDays"])
        # The names of objects that exist contain these, and the policies go by them.
        self.assertEqual(expire, {"uploads/35/": 35, "uploads/400/": 400, "outputs/": 32})
        (incomplete,) = [it for it in rules if "Prefix" not in it]
        self.assertEqual(incomplete["AbortIncompleteMultipartUpload"], {"DaysAfterInitiation": 1})
        self.assertNotIn("ExpirationInDays", incomplete)

    def test_objects_outlive_the_executions_that_refer_to_them(self):
        kept, longest = (facts()["limits"][it] / 24 for it in ("retentionHours", "timeoutHours"))
        outputs, *uploads = (days for _, days in sorted(facts()["keptDays"].items()))
        self.assertGreater(outputs, kept + 1, "an outcome may be recorded a day after the upload")
        self.assertGreater(max(uploads), longest + kept, "an attempt may begin just before the deadline, and a rerun has the same input")
        self.assertGreater(min(uploads), kept)

    def test_nothing_stays_in_the_bucket_after_it_expired(self):
        bucket = self.bucket()
        self.assertNotIn("VersioningConfiguration", bucket)
        self.assertNotIn("ObjectLockEnabled", bucket)
        self.assertNotIn("ReplicationConfiguration", bucket)

    def test_the_bucket_is_encrypted_and_private(self):
        bucket = self.bucket()
        ((encryption,),) = bucket["BucketEncryption"].values()
        self.assertEqual(encryption["ServerSideEncryptionByDefault"], {"SSEAlgorithm": "AES256"})
        self.assertEqual(set(bucket["PublicAccessBlockConfiguration"].values()), {True})
        self.assertEqual(len(bucket["PublicAccessBlockConfiguration"]), 4)
        self.assertEqual(bucket["OwnershipControls"], {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]})

    def test_the_bucket_is_deleted_and_replaced_like_the_table(self):
        resources = Template().resources
        for policy in ("DeletionPolicy", "UpdateReplacePolicy"):
            self.assertEqual(resources["DataBucket"][policy], resources["Table"][policy])

    def test_pages_of_the_cors_origins_may_use_presigned_urls(self):
        self.assertNotIn("CorsConfiguration", self.bucket())
        for origins in ("*", "https://a.example,https://b.example"):
            (rule,) = self.bucket(CorsOrigins=origins)["CorsConfiguration"]["CorsRules"]
            self.assertEqual(rule["AllowedOrigins"], origins.split(","))
            self.assertEqual(sorted(rule["AllowedMethods"]), ["GET", "HEAD", "PUT"])
            self.assertEqual(rule["AllowedHeaders"], ["content-type", "x-amz-checksum-sha256"])
            self.assertEqual(rule["ExposedHeaders"], ["etag"])

    def test_the_programs_that_need_the_bucket_get_its_name(self):
        template = Template()
        for name in FUNCTIONS:
            variables = template.properties(name)["Environment"]["Variables"]
            self.assertEqual(variables.get("DATA_BUCKET"), None if name == "ReconcilerFunction" else "<DataBucket>")
        self.assertEqual(template.outputs()["DataBucketName"], "<DataBucket>")


class Events(unittest.TestCase):
    def test_rules_send_events_of_ended_tasks_and_workflows_and_schedule_the_sweep(self):
        template = Template()
        rules = {name: template.properties(name) for name in template.of_type("AWS::Events::Rule")}
        self.assertEqual({name: rule["Targets"][0]["Arn"].split(":")[-2:] for name, rule in rules.items()}, {
            "TaskStopped": ["<EventQueue.Arn>"],
            "WorkflowEnded": ["<EventQueue.Arn>"],
            "Sweep": ["STACK-reconciler", "live"],
        })  # fmt: skip
        for name, needed, only in (("TaskStopped", "taskStopped", "clusterArn"), ("WorkflowEnded", "workflowEnded", "functionArn")):
            expected, pattern = facts()["events"][needed], rules[name]["EventPattern"]
            # Each rule also says whose events it sends.
            detail = expected["detail"] | {only: pattern["detail"][only]}
            self.assertEqual(pattern, expected | {"detail": detail})
        self.assertEqual(rules["TaskStopped"]["EventPattern"]["detail"]["clusterArn"], ["<Cluster.Arn>"])
        self.assertEqual(rules["Sweep"]["ScheduleExpression"], "rate(1 minute)")

    def test_permissions_to_invoke_name_the_callers_arn_only(self):
        """With SourceAccount in the permission, EventBridge's invocations fail without an error message."""
        template = Template()
        permissions = {name: template.properties(name) for name in template.of_type("AWS::Lambda::Permission")}
        self.assertEqual({name: it["SourceArn"] for name, it in permissions.items()}, {
            "ApiMayInvokeFunction": "arn:aws:execute-api:us-east-1:111122223333:<Api>/*",
            "SweepMayInvokeReconciler": "<Sweep.Arn>",
        })  # fmt: skip
        for permission in permissions.values():
            self.assertNotIn("SourceAccount", permission)

    def test_one_invalid_message_does_not_block_the_others(self):
        template = Template()
        mapping = template.properties("EventQueueReachesReconciler")
        self.assertEqual(mapping["FunctionResponseTypes"], ["ReportBatchItemFailures"])
        queue = template.properties("EventQueue")
        self.assertEqual(queue["RedrivePolicy"]["deadLetterTargetArn"], "<DeadEvents.Arn>")
        self.assertGreaterEqual(queue["VisibilityTimeout"], 6 * template.properties("ReconcilerFunction")["Timeout"])


class Alarms(unittest.TestCase):
    def alarms(self, **parameters):
        template = Template(**parameters)
        return {name: template.properties(name) for name in template.of_type("AWS::CloudWatch::Alarm")}

    def watched(self, alarm):
        """The names and dimensions of an alarm's metrics."""
        metrics = [it["MetricStat"]["Metric"] for it in alarm.get("Metrics", []) if "MetricStat" in it] or [alarm]
        for metric in metrics:
            for dimension in metric.get("Dimensions", [{"Name": None, "Value": None}]):
                yield f"{metric['Namespace']} {metric['MetricName']}", dimension["Name"], dimension["Value"]

    def test_failures_without_another_symptom_have_an_alarm(self):
        watched = {name: list(self.watched(alarm)) for name, alarm in self.alarms().items()}
        self.assertEqual(watched, {
            "SweepFails": [("AWS/Lambda Errors", "FunctionName", "STACK-reconciler")],
            "SweepStops": [("AWS/Lambda Invocations", "FunctionName", "STACK-reconciler")],
            "SchedulesFail": [("STACK FailingSchedules", None, None)],
            "EventsWait": [("AWS/SQS ApproximateAgeOfOldestMessage", "QueueName", "<EventQueue.QueueName>")],
            "DeadEventsExist": [("AWS/SQS ApproximateNumberOfMessagesVisible", "QueueName", "<DeadEvents.QueueName>")],
            "ApiFails": [("AWS/ApiGateway 5xx", "ApiId", "<Api>"), ("AWS/ApiGateway Count", "ApiId", "<Api>")],
        })  # fmt: skip

    def test_alarms_exist_without_a_topic_and_notify_one_if_it_is_given(self):
        topic = "arn:aws:sns:us-east-1:111122223333:oncall"
        without, with_topic = self.alarms(), self.alarms(AlarmTopic=topic)
        self.assertEqual(set(without), set(with_topic))
        for name in with_topic:
            self.assertFalse([key for key in without[name] if key.endswith("Actions")])
            self.assertEqual(with_topic[name]["AlarmActions"], [topic])

    def test_the_alarm_topic_must_be_the_arn_of_a_topic(self):
        allowed = Template().raw["Parameters"]["AlarmTopic"]["AllowedPattern"]
        for arn in ("", "arn:aws:sns:eu-west-1:111122223333:on_call-1", "arn:aws-us-gov:sns:us-gov-west-1:111122223333:t"):
            self.assertRegex(arn, allowed)
        for wrong in ("oncall", "arn:aws:sqs:eu-west-1:111122223333:q", "arn:aws:sns:eu-west-1:111122223333:t:subscription"):
            self.assertNotRegex(wrong, allowed)

    def test_missing_data_matters_only_for_the_metric_that_always_has_data(self):
        for name, alarm in self.alarms(AlarmTopic="arn:aws:sns:us-east-1:111122223333:oncall").items():
            always = name == "SweepStops"
            self.assertEqual(alarm["TreatMissingData"], "missing" if always else "notBreaching")
            self.assertEqual("InsufficientDataActions" in alarm, always)

    def test_one_invalid_message_raises_no_alarm_before_it_is_dead_lettered(self):
        """SQS includes a message in ApproximateAgeOfOldestMessage only until it has been received three times."""
        alarm = self.alarms()["EventsWait"]
        retry_delay = Template().properties("EventQueue")["VisibilityTimeout"]
        self.assertGreater(alarm["Threshold"], retry_delay, "one failed delivery must not raise an alarm")
        too_old = 3 * retry_delay - alarm["Threshold"]
        # A time span can overlap with up to two more periods than fit into it.
        self.assertLessEqual(too_old, (alarm["EvaluationPeriods"] - 2) * alarm["Period"])

    def test_one_failed_sweep_raises_no_alarm(self):
        alarm = self.alarms()["SweepFails"]
        self.assertEqual(alarm["Period"], 60)
        self.assertGreater(alarm["EvaluationPeriods"], 1)


class Reconciler(unittest.TestCase):
    def test_a_late_sweep_is_dropped(self):
        """A late sweep is not needed, because the next one starts within a minute."""
        template = Template()
        late = {"MaximumEventAgeInSeconds": 60, "MaximumRetryAttempts": 0}
        self.assertEqual(template.properties("ReconcilerFunction")["EventInvokeConfig"], late)
        (target,) = template.properties("Sweep")["Targets"]
        self.assertEqual(target["RetryPolicy"], late)
        (config,) = [it["Properties"] for it in transformed().values() if it["Type"] == "AWS::Lambda::EventInvokeConfig"]
        self.assertEqual(config["Qualifier"], "live", "the rule invokes the alias")

    def test_concurrency_is_reserved_only_if_a_parameter_says_so(self):
        default, given = Template(), Template(ApiConcurrency="400", ReconcilerConcurrency="20")
        for function, reserved in (("ApiFunction", "400"), ("ReconcilerFunction", "20")):
            self.assertNotIn("ReservedConcurrentExecutions", default.properties(function))
            self.assertEqual(given.properties(function)["ReservedConcurrentExecutions"], reserved)
        for function in ("SyncFunction", "CallbackFunction"):
            self.assertNotIn("ReservedConcurrentExecutions", given.properties(function))

    def test_queue_messages_leave_concurrency_for_the_sweep(self):
        most = Template().properties("EventQueueReachesReconciler")["ScalingConfig"]["MaximumConcurrency"]
        script = (ROOT / "deploy/deploy.sh").read_text()
        (reserved,) = re.findall(r"^RECONCILER_CONCURRENCY=(\d+)$", script, re.M)
        self.assertLess(most, int(reserved))


class Durable(unittest.TestCase):
    def test_lambda_forgets_a_durable_execution_before_its_item_expires(self):
        for name in ("SyncFunction", "CallbackFunction"):
            config = Template().properties(name)["DurableConfig"]
            self.assertLess(config["RetentionPeriodInDays"] * 24, facts()["limits"]["retentionHours"])

    def test_an_execution_outlives_the_longest_job(self):
        for name in ("SyncFunction", "CallbackFunction"):
            timeout = Template().properties(name)["DurableConfig"]["ExecutionTimeout"]
            self.assertGreater(timeout, facts()["limits"]["timeoutHours"] * 3600)
            self.assertLessEqual(timeout, 31_622_400)

    def test_every_deployment_with_a_change_publishes_new_versions(self):
        """SAM does not notice a changed parameter in a function's environment, and Lambda publishes no version without a change."""
        first, again, second = (transformed(Deployment=it) for it in ("a" * 40, "a" * 40, "b" * 40))
        versions = [{it for it in resources if resources[it]["Type"] == "AWS::Lambda::Version"} for resources in (first, again, second)]
        self.assertEqual(len(versions[0]), len(FUNCTIONS))
        self.assertEqual(versions[0], versions[1])
        self.assertFalse(versions[0] & versions[2])
        for version in versions[0]:
            self.assertEqual(first[version]["DeletionPolicy"], "Retain", "executions in flight need it")
        for name in FUNCTIONS:
            self.assertEqual(first[name + "Aliaslive"]["Type"], "AWS::Lambda::Alias")
            self.assertIn("a" * 40, str(first[name]["Properties"]["Description"]))


class Packaging(unittest.TestCase):
    """The template of image_template.py differs from template.yaml only in the packaging."""

    PACKAGED = {"Code", "Handler", "ImageConfig", "PackageType", "Runtime"}

    def rest(self, resources):
        """The resources without the functions' packaging. SAM copies a function's build metadata to other resources."""
        found = json.loads(json.dumps(resources))
        for resource in found.values():
            if "BuildMethod" in resource.get("Metadata", {}):
                del resource["Metadata"]
            if resource["Type"] == "AWS::Lambda::Function":
                resource["Properties"] = {name: it for name, it in resource["Properties"].items() if name not in self.PACKAGED}
        return found

    def test_no_resource_differs_except_in_packaging(self):
        deployment = "a" * 40
        archives = transformed(Deployment=deployment)
        images = transformed(image_template(), Deployment=deployment, FunctionImage="image")
        self.assertEqual(self.rest(archives), self.rest(images))
        functions = [it["Properties"] for it in images.values() if it["Type"] == "AWS::Lambda::Function"]
        self.assertEqual(len(functions), len(FUNCTIONS))
        for function in functions:
            self.assertEqual(function["Code"], {"ImageUri": "image"})
            self.assertEqual(function["PackageType"], "Image")
            self.assertFalse({"Runtime", "Handler"} & set(function))

    def test_no_other_section_differs(self):
        image, archive = (json.loads(json.dumps(it)) for it in (image_template(), Template().raw))
        del image["Parameters"]["FunctionImage"]
        image["Globals"]["Function"] |= {"Runtime": "provided.al2023", "Handler": "bootstrap"}
        for template in (image, archive):
            del template["Resources"]
        self.assertEqual(image, archive)

    def test_the_functions_image_contains_each_functions_program(self):
        lines = (ROOT / "deploy/functions.Dockerfile").read_text().splitlines()
        copied = {line for line in lines if line.startswith("COPY")}
        wanted = {"COPY jobs.json /var/task/jobs.json"} # the catalog, if the environment does not have it
        for name, resource in image_template()["Resources"].items():
            if resource["Type"] == "AWS::Serverless::Function":
                (program,) = resource["Properties"]["ImageConfig"]["EntryPoint"]
                binary = Template().raw["Resources"][name]["Metadata"]["BuildProperties"]["Binary"]
                self.assertEqual(program, f"/var/task/{binary}")
                wanted.add(f"COPY {name}/bootstrap {program}")
        self.assertEqual(copied, wanted)
        # The base image must be the runtime that the programs are built for.
        runtime = Template().raw["Globals"]["Function"]["Runtime"]
        self.assertIn(f"FROM public.ecr.aws/lambda/{runtime.replace('.', ':')}", lines)


class Callers(unittest.TestCase):
    def test_only_the_health_route_needs_no_authentication(self):
        for given, expected in (({}, "AWS_IAM"), ({"JwtIssuer": "https://i", "JwtAudience": "a,b"}, "JWT")):
            template = Template(**given)
            routes = template.of_type("AWS::ApiGatewayV2::Route")
            self.assertIn("Route", routes)
            for name in routes:
                health = template.properties(name)["RouteKey"] == "GET /healthz"
                self.assertEqual(template.properties(name)["AuthorizationType"], "NONE" if health else expected)
            self.assertEqual(template.outputs()["Authorization"], expected)
        self.assertEqual(template.properties("Route")["AuthorizerId"], "<JwtAuthorizer>")
        jwt = template.properties("JwtAuthorizer")["JwtConfiguration"]
        self.assertEqual(jwt, {"Issuer": "https://i", "Audience": ["a", "b"]})

    def test_preflight_requests_need_no_authentication_if_cors_is_enabled(self):
        self.assertNotIn("Preflight", Template().resources)
        template = Template(CorsOrigins="https://app.example")
        routes = {it: template.properties(it) for it in template.of_type("AWS::ApiGatewayV2::Route")}
        self.assertEqual(self.open_routes(template), {"OPTIONS /{proxy+}", "GET /healthz"})
        self.assertEqual(routes["Route"]["AuthorizationType"], "AWS_IAM")
        self.assertEqual(template.properties("ApiFunction")["Environment"]["Variables"]["CORS_ORIGINS"], "https://app.example")

    def open_routes(self, template):
        routes = map(template.properties, template.of_type("AWS::ApiGatewayV2::Route"))
        return {it["RouteKey"] for it in routes if it["AuthorizationType"] == "NONE"}

    def test_the_documentation_needs_no_authentication_if_a_parameter_says_so(self):
        """This includes the index, the page, its files, and the OpenAPI document that the page reads."""
        gateway = facts()["gateway"]
        self.assertEqual(gateway["open"], ["GET /healthz"])
        self.assertEqual(self.open_routes(Template()), set(gateway["open"]))
        self.assertEqual(self.open_routes(Template(PublicDocs="true")), {*gateway["open"], *gateway["documentation"]})

    def test_api_gateways_cors_headers_are_those_of_the_function(self):
        """So that pages can read API Gateway's own errors too. API Gateway replaces the function's CORS headers."""
        self.assertNotIn("CorsConfiguration", Template().properties("Api"))
        cors = Template(CorsOrigins="https://a.example,https://b.example").properties("Api")["CorsConfiguration"]
        self.assertEqual(cors["AllowOrigins"], ["https://a.example", "https://b.example"])
        own = facts()["gateway"]["cors"]
        for key, expected in (("AllowMethods", "methods"), ("AllowHeaders", "requestHeaders"), ("ExposeHeaders", "responseHeaders")):
            self.assertEqual(sorted(cors[key]), sorted(own[expected]))
        self.assertEqual(cors["MaxAge"], own["maxAgeSeconds"])

    def test_only_starts_are_throttled(self):
        """Starts are limited to the rate at which ECS launches tasks. Other requests are accepted while starts are throttled."""
        template = Template()
        stage = template.properties("Stage")
        routes = {it: template.properties(it)["RouteKey"] for it in template.of_type("AWS::ApiGatewayV2::Route")}
        for throttle in stage["RouteSettings"].values():
            self.assertEqual(throttle, {"ThrottlingRateLimit": "20", "ThrottlingBurstLimit": "100"})
        self.assertEqual(list(stage["RouteSettings"]), [routes[it] for it in template.resources["Stage"]["DependsOn"]])
        self.assertEqual(list(stage["RouteSettings"]), ["POST /executions/{proxy+}", "POST /batches"])
        self.assertIn("POST /executions/{executionId}/cancel", routes.values())

    def test_a_jwt_issuer_without_an_audience_or_the_reverse_is_refused(self):
        (rule,) = [it for name, it in Template().raw["Rules"].items() if "Issuer" in name]
        for issuer, audience in (("https://i", ""), ("", "a")):
            template = Template(JwtIssuer=issuer, JwtAudience=audience)
            self.assertTrue(template.holds(rule["RuleCondition"]))
            self.assertFalse(template.holds(rule["Assertions"][0]["Assert"]))
        for name in Template().of_type("AWS::Serverless::Function"):
            self.assertNotIn("Events", Template().resources[name]["Properties"], "SAM would make an open API")
            self.assertNotIn("FunctionUrlConfig", Template().resources[name]["Properties"])

    def test_the_access_log_is_json_and_has_no_payloads(self):
        fields = json.loads(Template().properties("Stage")["AccessLogSettings"]["Format"])
        for field in ("requestId", "status", "latency", "integrationError", "routeKey"):
            self.assertIn(field, fields)
        for value in fields.values():
            self.assertRegex(value, r"^\$context\.[\w.]+$")
            self.assertNotRegex(value, r"(?i)body|query|header|apiKey")


class Network(unittest.TestCase):
    def egress(self, template):
        rules = template.properties("TaskSecurityGroup")["SecurityGroupEgress"]
        for rule in rules:
            self.assertEqual((rule["IpProtocol"], rule["FromPort"], rule["ToPort"]), ("tcp", 443, 443))
        return [next(rule[key] for key in rule if key.startswith(("Cidr", "Destination"))) for rule in rules]

    def test_by_default_tasks_reach_only_the_vpc_endpoints(self):
        for private in ("false", "true"):
            template = Template(PrivateSubnets=private)
            self.assertEqual(self.egress(template), ["<EndpointSecurityGroup.GroupId>", "pl-53", "pl-db"])
            services = {template.properties(it)["ServiceName"] for it in template.of_type("AWS::EC2::VPCEndpoint")}
            wanted = ("s3", "dynamodb", "ecr.api", "ecr.dkr", "logs")
            self.assertEqual(services, {f"com.amazonaws.us-east-1.{service}" for service in wanted})
            workflow = template.properties("SyncFunction")["Environment"]["Variables"]
            self.assertEqual(workflow["PUBLIC_IP"], "false")
            self.assertEqual("InternetGateway" in template.resources, private == "false")

    def test_tasks_reach_the_internet_only_if_a_parameter_says_so(self):
        template = Template(InternetEgress="true")
        self.assertEqual(self.egress(template), ["0.0.0.0/0"])
        self.assertEqual(template.properties("SyncFunction")["Environment"]["Variables"]["PUBLIC_IP"], "true")
        kinds = {template.properties(it)["VpcEndpointType"] for it in template.of_type("AWS::EC2::VPCEndpoint")}
        self.assertEqual(kinds, {"Gateway"})

    def test_private_subnets_with_internet_egress_are_refused(self):
        (rule,) = [it for name, it in Template().raw["Rules"].items() if "Private" in name]
        template = Template(PrivateSubnets="true", InternetEgress="true")
        self.assertTrue(template.holds(rule["RuleCondition"]))
        self.assertFalse(template.holds(rule["Assertions"][0]["Assert"]))

    def test_the_only_ingress_is_from_tasks_to_the_vpc_endpoints(self):
        for name in Template().of_type("AWS::EC2::SecurityGroup"):
            self.assertNotIn("SecurityGroupIngress", Template().properties(name))
        self.assertEqual(list(Template().of_type("AWS::EC2::SecurityGroupIngress")), ["EndpointsTakeTasks"])

    def test_the_subnets_are_in_the_given_zones(self):
        template = Template(ZoneA="us-east-1d", ZoneB="us-east-1f")
        self.assertEqual([template.properties(f"Subnet{it}")["AvailabilityZone"] for it in "AB"], ["us-east-1d", "us-east-1f"])
        self.assertTrue(template.holds(template.raw["Rules"]["ZonesDiffer"]["Assertions"][0]["Assert"]))
        same = Template(ZoneA="us-east-1a", ZoneB="us-east-1a")
        self.assertFalse(same.holds(same.raw["Rules"]["ZonesDiffer"]["Assertions"][0]["Assert"]))

    def test_no_resource_refers_to_one_whose_condition_is_false(self):
        for given in ({}, {"PrivateSubnets": "true"}, {"InternetEgress": "true"}, {"JwtIssuer": "i", "JwtAudience": "a"}, {"CorsOrigins": "*"}, {"PublicDocs": "true"}):
            template = Template(**given)
            for name in template.resources:
                template.properties(name)
            template.outputs()


class Tasks(unittest.TestCase):
    def test_a_task_is_not_root_and_its_file_system_is_read_only(self):
        demo = Template().properties("DemoTask")
        (container,) = demo["ContainerDefinitions"]
        self.assertIs(container["ReadonlyRootFilesystem"], True)
        self.assertRegex(container["User"], r"^[1-9]\d*:[1-9]\d*$")
        self.assertEqual(container["LinuxParameters"]["Capabilities"], {"Drop": ["ALL"]})
        self.assertTrue(2 <= container["StopTimeout"] <= 120)
        image = (ROOT / "crates/worker/Dockerfile").read_text()
        self.assertIn(f"USER {container['User']}\n", image)

    def test_log_lines_are_never_dropped(self):
        options = Template().properties("DemoTask")["ContainerDefinitions"][0]["LogConfiguration"]["Options"]
        self.assertEqual(options["mode"], "blocking")

    def test_tasks_and_functions_have_the_same_architecture(self):
        for architecture, processor in (("arm64", "ARM64"), ("x86_64", "X86_64")):
            template = Template(Architecture=architecture)
            self.assertEqual(template.properties("DemoTask")["RuntimePlatform"]["CpuArchitecture"], processor)
            self.assertEqual(template.value(template.raw["Globals"]["Function"]["Architectures"]), [architecture])

    def test_tasks_without_a_launch_type_run_on_fargate(self):
        cluster = Template().properties("Cluster")
        self.assertEqual(cluster["DefaultCapacityProviderStrategy"], [{"CapacityProvider": "FARGATE", "Weight": 1}])
        self.assertEqual(cluster["CapacityProviders"], ["FARGATE", "FARGATE_SPOT"])


class Logs(unittest.TestCase):
    def test_every_log_group_expires_and_is_encrypted(self):
        template = Template()
        groups = {name: template.properties(name) for name in template.of_type("AWS::Logs::LogGroup")}
        for group in groups.values():
            self.assertIn("RetentionInDays", group)
            self.assertEqual(group["KmsKeyId"], "<LogKey.Arn>")
            # The key's policy allows log groups with the stack's name.
            self.assertIn("STACK", group["LogGroupName"])

    def test_the_destroy_script_deletes_every_log_group(self):
        script = (ROOT / "deploy/destroy.sh").read_text().replace("$STACK", "STACK")
        template = Template()
        for name in template.of_type("AWS::Logs::LogGroup"):
            self.assertIn(f'"{template.properties(name)["LogGroupName"]}"', script)


class Outputs(unittest.TestCase):
    def test_the_outputs_have_the_names_of_the_original_pattern(self):
        original = {"SyncLambdaFunctionArn", "CallbackLambdaFunctionArn", "CallbackTableName", "ECSClusterName", "LogGroupName"}
        self.assertEqual(set(Template().outputs()), original | {"ApiUrl", "Authorization", "DataBucketName"})


class Image(unittest.TestCase):
    def test_the_images_build_context_contains_the_whole_workspace(self):
        members = re.search(r"members = \[([^\]]+)\]", (ROOT / "Cargo.toml").read_text())[1]
        given = (ROOT / "crates/worker/Dockerfile.dockerignore").read_text().splitlines()
        for member in re.findall(r'"([^"]+)"', members):
            self.assertTrue({f"!{member}", f"!{member.split('/')[0]}"} & set(given), member)


class Scan(unittest.TestCase):
    @unittest.skipUnless(SCAN.exists(), "`make template-test` scans first")
    def test_every_suppressed_finding_has_a_reason_and_still_occurs(self):
        text = (ROOT / "template.yaml").read_text()
        reasons = re.findall(r"# checkov:skip=(\w+):(.+)", text)
        self.assertEqual(len(reasons), text.count("checkov:skip"))
        used = json.loads(SCAN.read_text())["results"]["skipped_checks"]
        self.assertEqual(sorted(check for check, _ in reasons), sorted(it["check_id"] for it in used))

    @unittest.skipUnless(SCAN.exists(), "`make template-test` scans first")
    def test_the_scan_of_generated_templates_finds_nothing_else(self):
        """The comments that suppress findings are lost in JSON, so the findings are the same."""
        suppressed = self.findings(SCAN, "skipped_checks")
        for jobs in (1, 50):
            found = self.findings(SCAN.with_name(f"checkov-{jobs}.json"), "failed_checks")
            self.assertTrue(found)
            self.assertEqual(found - suppressed, set())

    def findings(self, scan, kind):
        return {(it["check_id"], it["resource"]) for it in json.loads(scan.read_text())["results"][kind]}


if __name__ == "__main__":
    unittest.main()
