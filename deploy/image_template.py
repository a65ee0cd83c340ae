"""Prints template.yaml as JSON, with its functions packaged as one container image. `PACKAGE=image make deploy` uses it.

It is a separate template because SAM allows no condition in PackageType (samtranslator/model/sam_resources.py). It differs from
template.yaml only in the packaging. The image is that of deploy/functions.Dockerfile. The parameter FunctionImage names the image,
and deploy.sh recognizes a stack of images by that parameter.
"""

import json
import pathlib

import yaml

TEMPLATE = pathlib.Path(__file__).resolve().parents[1] / "template.yaml"


class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
    """Reads CloudFormation's short forms, such as !Ref, as the long ones."""


def _tag(loader, suffix, node):
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)
    if suffix == "GetAtt" and isinstance(value, str):
        value = value.split(".", 1)
    return {suffix if suffix in ("Ref", "Condition") else f"Fn::{suffix}": value}


Loader.add_multi_constructor("!", _tag)


def image_template():
    template = yaml.load(TEMPLATE.read_text(), Loader)
    template["Parameters"]["FunctionImage"] = template["Parameters"]["WorkerImage"] | {
        "Description": "Image of the functions, by digest. `make deploy` builds it."
    }
    for name in ("Runtime", "Handler"):
        del template["Globals"]["Function"][name]
    for resource in template["Resources"].values():
        if resource["Type"] != "AWS::Serverless::Function":
            continue
        program = resource.pop("Metadata")["BuildProperties"]["Binary"]
        properties = resource["Properties"]
        del properties["CodeUri"]
        properties |= {
            "PackageType": "Image",
            "ImageUri": {"Ref": "FunctionImage"},
            "ImageConfig": {"EntryPoint": [f"/var/task/{program}"]},
        }
    return template


if __name__ == "__main__":
    print(json.dumps(image_template(), indent=1))
