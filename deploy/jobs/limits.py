"""What AWS limits, checked before anything is deployed."""

import json
import re

# https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html: resources, and bytes of a template in S3,
# where `sam deploy` puts it
RESOURCES, TEMPLATE_BYTES = 500, 1_000_000
# Those that SAM adds for each function: a version, an alias and, for one, the configuration of its invocations.
ADDED_BY_SAM = 3
# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
ENVIRONMENT_BYTES = 4096
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html: all inline policies of a role, without white space
POLICY_CHARS = 10_240
# https://docs.aws.amazon.com/vpc/latest/privatelink/vpc-endpoints-access.html
ENDPOINT_POLICY_CHARS = 20_480
# https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-quotas.html: "Task definition size limit", 64 KiB
TASK_DEFINITION_BYTES = 65_536

# The longest values that names in the template can have: a stack's name has at most 32 characters (common.sh).
LONGEST = {"AWS::StackName": 32, "AWS::Region": 14, "AWS::AccountId": 12, "AWS::Partition": 10, "AWS::URLSuffix": 17}
LONGEST_OTHER = 130 # an ARN of a resource of the stack


def longest(value):
    """A value with everything that CloudFormation fills in replaced by the longest possible."""
    if isinstance(value, list):
        return [longest(it) for it in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        ((function, argument),) = value.items()
        if function == "Fn::Sub":
            text = argument if isinstance(argument, str) else argument[0]
            return re.sub(r"\$\{([^!}]+)\}", lambda it: "x" * LONGEST.get(it[1], LONGEST_OTHER), text).replace("${!", "${")
        if function == "Fn::If":
            return max(map(longest, argument[1:]), key=lambda it: len(json.dumps(it)))
        if function == "Ref" or function.startswith("Fn::"):
            return "x" * (LONGEST.get(argument, LONGEST_OTHER) if isinstance(argument, str) else LONGEST_OTHER)
    return {key: longest(it) for key, it in value.items()}


def _size(value):
    return len(json.dumps(longest(value), separators=(",", ":"), ensure_ascii=False).encode())


def environment_bytes(function):
    variables = longest(function["Properties"]["Environment"]["Variables"])
    return sum(len(name) + len(str(value).encode()) for name, value in variables.items())


def fits_in_environment(template):
    functions = [it for it in template["Resources"].values() if it["Type"] == "AWS::Serverless::Function"]
    return all(environment_bytes(it) <= ENVIRONMENT_BYTES for it in functions)


def resources(template):
    """How many resources the template has, with those that SAM adds."""
    functions = sum(it["Type"] == "AWS::Serverless::Function" for it in template["Resources"].values())
    return len(template["Resources"]) + ADDED_BY_SAM * functions


def exceeded(template):
    """The limits that the template exceeds."""
    found = []
    count = resources(template)
    if count > RESOURCES:
        found.append(f"the template has {count} resources; CloudFormation allows {RESOURCES}. Deploy some of the jobs as another stack.")
    size = len(json.dumps(template, separators=(",", ":")).encode())
    if size > TEMPLATE_BYTES:
        found.append(f"the template has {size} bytes; CloudFormation allows {TEMPLATE_BYTES}. Deploy some of the jobs as another stack.")
    for name, resource in template["Resources"].items():
        properties = resource.get("Properties", {})
        if resource["Type"] == "AWS::IAM::Role":
            size = sum(_size(it["PolicyDocument"]) for it in properties.get("Policies", []))
            if size > POLICY_CHARS:
                found.append(
                    f"the policies of {name} have {size} characters; IAM allows {POLICY_CHARS}. Use fewer or shorter permissions, secrets or image repositories."
                )
        elif resource["Type"] == "AWS::EC2::VPCEndpoint":
            size = _size(properties["PolicyDocument"])
            if size > ENDPOINT_POLICY_CHARS:
                found.append(
                    f"the policy of {name} has {size} characters; AWS allows {ENDPOINT_POLICY_CHARS}. Use fewer permissions or secrets, or deploy some of the jobs as another stack."
                )
        elif resource["Type"] == "AWS::ECS::TaskDefinition":
            size = _size(properties)
            if size > TASK_DEFINITION_BYTES:
                found.append(f"the task definition {name} has {size} bytes; ECS allows {TASK_DEFINITION_BYTES}. Shorten its environment or command.")
    return found
