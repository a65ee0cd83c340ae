"""What tasks can reach without InternetEgress: the VPC endpoints, which are extended to what the jobs use."""

from .images import images_of, outside
from .names import STACK, arn, sub
from .roles import listed, unique
from .secrets import ACTIONS, readable

OWN_ACCOUNT = {"StringEquals": {"aws:PrincipalAccount": {"Ref": "AWS::AccountId"}}}
# The gateway endpoints that template.yaml has, by the service in an action's name.
GATEWAYS = {"s3": "S3Endpoint", "dynamodb": "DynamoDBEndpoint"}
INTERFACES = {"ssm": "SsmEndpoint", "secretsmanager": "SecretsManagerEndpoint"}


def services(jobs):
    """The services whose interface endpoints the jobs need in addition to the template's."""
    return sorted(readable(secret for job in jobs.values() for secret in job["secrets"].values()))


def extend_endpoints(template, jobs):
    resources = template["Resources"]
    for service, endpoint in GATEWAYS.items():
        said = [it for job in jobs.values() for it in _permissions_of(service, job)]
        document = resources[endpoint]["Properties"]["PolicyDocument"]["Fn::If"][2]
        document["Statement"] += unique([
            {"Effect": "Allow", "Principal": "*", "Action": actions, "Resource": targets, "Condition": OWN_ACCOUNT}
            for actions, targets in said
        ])  # fmt: skip
    for statement in resources["LogsEndpoint"]["Properties"]["PolicyDocument"]["Statement"]:
        statement["Resource"] = [*listed(statement["Resource"]), sub(arn("logs", f"log-group:/ecs/{STACK}/*:*"))]
    for service, targets in readable(secret for job in jobs.values() for secret in job["secrets"].values()).items():
        statement = {"Effect": "Allow", "Principal": "*", "Action": ACTIONS[service], "Resource": targets, "Condition": OWN_ACCOUNT}
        resources[INTERFACES[service]] = {
            "Type": "AWS::EC2::VPCEndpoint",
            "Condition": "StaysInside",
            "Properties": {
                "VpcId": {"Ref": "Vpc"},
                "VpcEndpointType": "Interface",
                "ServiceName": sub(f"com.amazonaws.${{AWS::Region}}.{service}"),
                "PrivateDnsEnabled": True,
                "SubnetIds": [{"Ref": "SubnetA"}, {"Ref": "SubnetB"}],
                "SecurityGroupIds": [{"Fn::GetAtt": ["EndpointSecurityGroup", "GroupId"]}],
                "PolicyDocument": {"Version": "2012-10-17", "Statement": [statement]},
            },
        }


def _permissions_of(service, job):
    for permission in job["permissions"]:
        actions = [it for it in permission["actions"] if it.split(":")[0] == service]
        if actions:
            yield actions, permission["resources"]


def warnings(jobs, built, region):
    """What the jobs use but cannot reach without InternetEgress."""
    found = []
    for name, job in jobs.items():
        for image in unique([it for it in images_of(name, job, built) if outside(it, region)]):
            where = f"ECR in {region}" if region else "ECR"
            found.append(f"jobs.{name}: tasks cannot pull {image}, which is not in {where}. Copy it there, or deploy with InternetEgress=true.")
        used = {action.split(":")[0] for it in job["permissions"] for action in it["actions"]}
        for service in sorted(used - set(GATEWAYS)):
            found.append(
                f"jobs.{name}: tasks cannot reach {service}, because only S3 and DynamoDB have an endpoint for jobs. Deploy with InternetEgress=true."
            )
        if job["taskRole"]:
            found.append(
                f"jobs.{name}: the endpoints do not allow what only the role {job['taskRole']} allows. Use permissions instead of taskRole, or deploy with InternetEgress=true."
            )
    return found
