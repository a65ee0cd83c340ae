#!/usr/bin/env bash
# Builds Longhaul and puts it on AWS: `make deploy`. Run again, it updates what is there.
#
#   STACK         name of the stack, longhaul if not given; images, functions and logs are named after it
#   AWS_REGION    where; or what `aws configure` says
#   ARCHITECTURE  arm64 (the default) or x86_64
#   JWT_ISSUER, JWT_AUDIENCE
#                 whose tokens the API takes; without them, callers sign with IAM
#   PARAMETERS    more parameters of template.yaml, as in "InternetEgress=true LogRetentionDays=90"
#
# Parameters that are not given keep the value that the stack has. Invariant: nothing in the account is changed before
# everything that can be missing was looked for, and everything that can fail to build was built.
# shellcheck source=deploy/common.sh
source "$(dirname "$0")/common.sh"

# ------------------------------------------------------------------------------------------------------ What is needed

check_stack_name
ARCHITECTURE=${ARCHITECTURE:-arm64}
case $ARCHITECTURE in
    arm64) platform=linux/arm64 ;;
    x86_64) platform=linux/amd64 ;;
    *) die "ARCHITECTURE is \"$ARCHITECTURE\", but has to be arm64 or x86_64. Nothing has been changed." ;;
esac
if [ "${JWT_ISSUER:+given}" != "${JWT_AUDIENCE:+given}" ]; then
    die "JWT_ISSUER and JWT_AUDIENCE have to be given both, or neither. Nothing has been changed."
fi

need git "see https://git-scm.com"
need aws "see https://docs.aws.amazon.com/cli/latest/userguide/getting-started-install.html"
need sam "\`make deploy\` installs it; or see deploy/requirements.txt"
need cargo "see https://rustup.rs"
need cargo-lambda "\`make deploy\` installs it; or see deploy/requirements.txt"

# The first of these that works. A Docker whose engine is not running does not.
engine=""
for candidate in docker podman buildah; do
    if command -v "$candidate" >/dev/null && "$candidate" info >/dev/null 2>&1; then
        engine=$candidate
        break
    fi
done
if [ -z "$engine" ] && command -v docker >/dev/null; then
    die "Docker is installed, but its engine does not answer: start it. Nothing has been changed."
fi
[ -n "$engine" ] || die "nothing here builds images: install docker, podman or buildah. Nothing has been changed."

log_in

# How the stack is, if there is one. What CloudFormation would not update is said now, before the build.
# https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/using-cfn-describing-stacks.html
status=""
updated=""
if there "the stack" "does not exist" aws cloudformation describe-stacks --stack-name "$STACK"; then
    seen=$(aws cloudformation describe-stacks --stack-name "$STACK" --query "Stacks[0].[StackStatus,LastUpdatedTime]" \
        --output text)
    read -r status updated <<<"$seen"
fi
case $status in
    REVIEW_IN_PROGRESS) ;; # it has nothing yet: a first change set was made and not carried out, and `sam deploy` makes another
    *_IN_PROGRESS) die "the stack $STACK is $status: wait for the end of that. Nothing has been changed." ;;
    # The second where the table's protection kept the rollback from deleting it, which `make destroy` lifts.
    ROLLBACK_COMPLETE | ROLLBACK_FAILED)
        die "the first deployment of $STACK failed, and what is left of it ($status) cannot be updated: take it off with" \
            "\`STACK=$STACK CONFIRM=$STACK make destroy\`, then deploy again. Nothing has been changed."
        ;;
    DELETE_FAILED)
        die "$STACK is half deleted ($status): go on with \`STACK=$STACK CONFIRM=$STACK make destroy\`, then deploy again." \
            "Nothing has been changed."
        ;;
    UPDATE_ROLLBACK_FAILED)
        die "an update of $STACK failed, and so did taking it back ($status). The stack's events say why; mend that, then run" \
            "\`aws cloudformation continue-update-rollback --stack-name $STACK\` and deploy again. Nothing has been changed."
        ;;
esac

# -------------------------------------------------------------------------------------------------------------- Build

registry=$ACCOUNT.dkr.ecr.$REGION.amazonaws.com
[[ $REGION != cn-* ]] || registry=$registry.cn
tag=$(date -u +%Y%m%dT%H%M%SZ) # tags are immutable: each push has its own
image=$registry/$REPOSITORY:$tag

say "Building the worker's image for $platform with $engine"
build=("$engine" build --platform "$platform" --file worker/Dockerfile --tag "$image")
# Docker finds that file by itself.
[ "$engine" = docker ] || build+=(--ignorefile worker/Dockerfile.dockerignore)
"${build[@]}" .

say "Building the functions for $ARCHITECTURE"
sam build --parameter-overrides "Architecture=$ARCHITECTURE"

# ------------------------------------------------------------------------------------------------------------- Deploy

prefix_list() {
    local found
    found=$(aws ec2 describe-managed-prefix-lists --filters "Name=prefix-list-name,Values=com.amazonaws.$REGION.$1" \
        --query "PrefixLists[0].PrefixListId" --output text)
    [[ $found == pl-* ]] || die "$REGION has no prefix list of $1. Nothing has been changed."
    echo "$found"
}
s3=$(prefix_list s3)
dynamodb=$(prefix_list dynamodb)

# ECS works by a role of the account's. An account's first cluster makes it by itself and then cannot assume it yet: "Unable to
# assume the service linked role" (https://github.com/aws-cloudformation/cloudformation-coverage-roadmap/issues/818). A role
# needs some seconds to spread through IAM, so it is made before the push.
if ! seen=$(aws iam get-role --role-name AWSServiceRoleForECS 2>&1); then
    make_role="aws iam create-service-linked-role --aws-service-name ecs.amazonaws.com"
    if made=$($make_role 2>&1); then
        say "Made ECS's role, AWSServiceRoleForECS, which this account did not have yet"
    elif [[ $made == *"has been taken"* ]]; then
        : # it is there: this caller may not look
    elif [[ $seen == *NoSuchEntity* ]]; then
        die "this account has never used ECS, and you may not make the role that ECS needs. Somebody who may has to run" \
            "\`$make_role\`, once. Nothing has been changed. AWS says: $made"
    else
        # Most accounts have it. Those that have not fail with CloudFormation's own words.
        say "Cannot tell whether this account has ECS's role, AWSServiceRoleForECS: going on as if it had"
    fi
fi

say "Pushing the image to $registry/$REPOSITORY"
if ! seen=$(aws ecr describe-repositories --repository-names "$REPOSITORY" 2>&1); then
    [[ $seen == *RepositoryNotFoundException* ]] || die "cannot look for the image repository: $seen"
    aws ecr create-repository --repository-name "$REPOSITORY" --image-tag-mutability IMMUTABLE \
        --image-scanning-configuration scanOnPush=true --tags "Key=stack,Value=$STACK" >/dev/null
fi
password=$(aws ecr get-login-password)
"$engine" login --username AWS --password-stdin "$registry" <<<"$password"
"$engine" push "$image"
digest=$(aws ecr describe-images --repository-name "$REPOSITORY" --image-ids "imageTag=$tag" \
    --query "imageDetails[0].imageDigest" --output text)
[[ $digest == sha256:* ]] || die "$image was pushed, but ECR does not tell its digest: $digest"

say "Deploying the stack $STACK in $REGION"
parameters=(
    "Architecture=$ARCHITECTURE"
    "WorkerImage=$registry/$REPOSITORY@$digest"
    "S3PrefixList=$s3"
    "DynamoDBPrefixList=$dynamodb"
)
[ -z "${JWT_ISSUER:-}" ] || parameters+=("JwtIssuer=$JWT_ISSUER" "JwtAudience=$JWT_AUDIENCE")
for more in ${PARAMETERS:-}; do parameters+=("$more"); done
# Everything that can make a function differ from its last version. After an update that was rolled back the functions are as
# before it, but the versions that it published are retained, and are the last ones: Lambda publishes none that equals the last
# (https://docs.aws.amazon.com/lambda/latest/api/API_PublishVersion.html), and the same deployment again would fail with "A
# version for this Lambda function exists". The time of that update makes it another one.
everything=("${parameters[@]}")
[ "$status" != UPDATE_ROLLBACK_COMPLETE ] || everything+=("$updated")
changed=$( (printf '%s\n' "${everything[@]}" && cat template.yaml .aws-sam/build/*/bootstrap) | git hash-object --stdin)
parameters+=("Deployment=$changed")
sam deploy --stack-name "$STACK" --region "$REGION" --parameter-overrides "${parameters[@]}"

# --------------------------------------------------------------------------------------------------------- First steps

output() {
    aws cloudformation describe-stacks --stack-name "$STACK" --output text \
        --query "Stacks[0].Outputs[?OutputKey=='$1'].OutputValue"
}
url=$(output ApiUrl)
say "Longhaul is at $url. A first execution:"
if [ "$(output Authorization)" = JWT ]; then
    cat <<END

  curl $url/executions/sync \\
      --header "authorization: Bearer \$TOKEN" --header "content-type: application/json" \\
      --data '{"input": {"message": "Hello", "processingTime": 10}}'
END
else
    cat <<END

  eval "\$(aws configure export-credentials --format env)"
  curl $url/executions/sync \\
      --aws-sigv4 "aws:amz:$REGION:execute-api" --user "\$AWS_ACCESS_KEY_ID:\$AWS_SECRET_ACCESS_KEY" \\
      --header "x-amz-security-token: \${AWS_SESSION_TOKEN:-}" --header "content-type: application/json" \\
      --data '{"input": {"message": "Hello", "processingTime": 10}}'
END
fi
printf '\nIts answer has an id: the same, with %s/executions/ID and no --data, tells how it goes.\n' "$url"
