"""Where a job's images come from."""

import re

from .names import STACK, arn, sub

ECR = re.compile(r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(\.cn)?/(?P<repository>[^:@]+)")


def image_of(name, job, built):
    """A job's image: `built` has those that were pushed or resolved to a digest, by job."""
    if name in built:
        return built[name]
    image = job["image"]
    if "build" in image:
        # Before it is built, its place in the stack's repository, which deploy.sh pushes to.
        return sub("${AWS::AccountId}.dkr.ecr.${AWS::Region}.${AWS::URLSuffix}/" + f"{STACK}-worker:{name}")
    return image["reference"]


def images_of(name, job, built):
    """All images of a job's containers, without that of the worker."""
    return [image_of(name, job, built), *(it["image"] for it in job["sidecars"])]


def repository(image):
    """The ARN of the ECR repository of an image; None if it is in another registry, or in the stack's own repository."""
    found = isinstance(image, str) and ECR.match(image)
    return sub(arn("ecr", f"repository/{found['repository']}", found["region"], found["account"])) if found else None


def outside(image, region):
    """Whether tasks reach an image only through the Internet: it is not in ECR in the stack's Region (any, if `region` is None)."""
    if not isinstance(image, str):
        return False
    found = ECR.match(image)
    return not found or region not in (None, found["region"])


def without_image(jobs):
    return [name for name, job in jobs.items() if job["image"] is None]


def plan(jobs):
    """What deploy.sh has to do for the jobs' images: lines of a verb, a job, and a folder to build or an ECR image to look up."""
    for name, job in jobs.items():
        image = job["image"]
        if "build" in image:
            yield f"build {name} {image['build']}"
        elif (found := ECR.match(image["reference"])) and "@" not in image["reference"]:
            rest = image["reference"][found.end() :]
            yield f"look-up {name} {image['reference']} {found['account']} {found['region']} {found['repository']} {rest[1:] or 'latest'}"
