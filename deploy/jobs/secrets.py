"""A job's secrets: parameters of Systems Manager (`ssm:/app/key`) and secrets of Secrets Manager (`secretsmanager:NAME#json-key`)."""

from .names import arn, sub

# The permission to read a secret, by the service that has it
# (https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task_execution_IAM_role.html#task-execution-secrets).
ACTIONS = {"ssm": "ssm:GetParameters", "secretsmanager": "secretsmanager:GetSecretValue"}


def _parsed(secret):
    service, name = secret.split(":", 1)
    name, _, key = name.partition("#") if service == "secretsmanager" else (name, "", "")
    return service, name, key


def _arn(service, name):
    return arn(service, f"parameter/{name.lstrip('/')}" if service == "ssm" else f"secret:{name}")


def value_from(secret):
    """What names a secret in a task definition. Secrets Manager adds six characters to a secret's ARN, and finds it without them.

    The CDK writes it in the same way (aws-cdk, `Secret.fromSecretNameV2`). After a JSON key, ECS wants a version stage and id, which
    may be empty (https://docs.aws.amazon.com/AmazonECS/latest/developerguide/secrets-envvar-secrets-manager.html).
    """
    service, name, key = _parsed(secret)
    return sub(_arn(service, name) + (f":{key}::" if key else ""))


def readable(secrets):
    """What has to be readable for these secrets: resources by service. `-??????` is the end that Secrets Manager adds."""
    found = {}
    for secret in secrets:
        service, name, _ = _parsed(secret)
        resource = _arn(service, name) + ("-??????" if service == "secretsmanager" else "")
        found.setdefault(service, set()).add(resource)
    return {service: [sub(it) for it in sorted(resources)] for service, resources in sorted(found.items())}
