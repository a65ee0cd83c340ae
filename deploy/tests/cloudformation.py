"""Evaluates template.yaml, or one generated from it, as CloudFormation does, as far as the tests need it."""

import functools
import pathlib
import re
import sys

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "deploy"))

from image_template import Loader  # noqa: E402

PSEUDO = {
    "AWS::StackName": "STACK",
    "AWS::Region": "us-east-1",
    "AWS::AccountId": "111122223333",
    "AWS::Partition": "aws",
    "AWS::URLSuffix": "amazonaws.com",
    "AWS::NoValue": None,
}

GIVEN = {
    "WorkerImage": f"111122223333.dkr.ecr.us-east-1.amazonaws.com/STACK-worker@sha256:{'0' * 64}",
    "S3PrefixList": "pl-53",
    "DynamoDBPrefixList": "pl-db",
    "ZoneA": "us-east-1a",
    "ZoneB": "us-east-1b",
}


class Template:
    """The template with the given parameters, or their default values. `raw` is another template than template.yaml."""

    def __init__(self, raw=None, **parameters):
        self.raw = raw or yaml.load((ROOT / "template.yaml").read_text(), Loader)
        defaults = {name: str(spec["Default"]) for name, spec in self.raw["Parameters"].items() if "Default" in spec}
        self.parameters = defaults | GIVEN | parameters
        self.conditions = self.raw["Conditions"]
        # Without the resources whose condition is false.
        self.resources = {
            name: resource
            for name, resource in self.raw["Resources"].items()
            if "Condition" not in resource or self.holds(resource["Condition"])
        }

    def of_type(self, kind):
        return {name: it for name, it in self.resources.items() if it["Type"] == kind}

    @functools.cache  # noqa: B019
    def properties(self, name):
        return self.value(self.resources[name].get("Properties", {}))

    def outputs(self):
        return {name: self.value(output["Value"]) for name, output in self.raw["Outputs"].items()}

    def holds(self, condition):
        if isinstance(condition, str):
            return self.holds(self.conditions[condition])
        ((function, arguments),) = condition.items()
        if function == "Condition":
            return self.holds(arguments)
        if function == "Fn::And":
            return all(self.holds(part) for part in arguments)
        if function == "Fn::Or":
            return any(self.holds(part) for part in arguments)
        if function == "Fn::Not":
            return not self.holds(arguments[0])
        assert function == "Fn::Equals", function
        one, other = (self.value(argument) for argument in arguments)
        return one == other

    def value(self, it):
        """`it` with its intrinsic functions evaluated."""
        if isinstance(it, list):
            return [value for value in map(self.value, it) if value is not None]
        if not isinstance(it, dict):
            return it
        if len(it) == 1:
            ((function, argument),) = it.items()
            if function == "Ref":
                return self.ref(argument)
            if function.startswith("Fn::"):
                return getattr(self, "fn_" + function[4:].lower())(argument)
        return {key: value for key, value in ((key, self.value(one)) for key, one in it.items()) if value is not None}

    def ref(self, name):
        if name in PSEUDO:
            return PSEUDO[name]
        if name in self.parameters:
            return self.parameters[name]
        if name.endswith(".Alias"):
            function = name.removesuffix(".Alias")
            alias = self.raw["Globals"]["Function"]["AutoPublishAlias"]
            return f"arn:aws:lambda:us-east-1:111122223333:function:{self.properties(function)['FunctionName']}:{alias}"
        properties = self.resources[name].get("Properties", {})
        # For resources with a name, Ref is the name.
        for key in ("TableName", "ClusterName", "LogGroupName", "FunctionName"):
            if key in properties:
                return self.value(properties[key])
        return f"<{name}>"

    def fn_getatt(self, argument):
        name, attribute = argument
        assert name in self.resources, f"{name}.{attribute} is used, but there is no resource {name}"
        properties = self.resources[name].get("Properties", {})
        if attribute == "Arn" and "RoleName" in properties:
            return f"arn:aws:iam::111122223333:role{self.value(properties['Path'])}{self.value(properties['RoleName'])}"
        return f"<{name}.{attribute}>"

    def fn_sub(self, argument):
        text, more = argument if isinstance(argument, list) else (argument, {})
        more = {key: self.value(value) for key, value in more.items()}

        def replacement(match):
            name = match[1]
            if name in more:
                return more[name]
            return self.fn_getatt(name.split(".", 1)) if "." in name else str(self.ref(name))

        return re.sub(r"\$\{([^}!]+)\}", replacement, text).replace("${!", "${")

    def fn_if(self, argument):
        condition, then, otherwise = argument
        return self.value(then if self.holds(condition) else otherwise)

    def fn_split(self, argument):
        return self.value(argument[1]).split(argument[0])

    def fn_select(self, argument):
        return self.value(argument[1])[int(argument[0])]

    def fn_cidr(self, argument):
        return [f"<cidr {number}>" for number in range(int(argument[1]))]
