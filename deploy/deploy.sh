#!/usr/bin/env bash
# `make deploy`: builds Longhaul and deploys it to AWS. If the stack exists, it is updated.
#
#   JOBS          the file with the jobs; if not given, longhaul.toml, if there is one. `make template` prints what they become
#   STACK         name of the stack, longhaul if not given; images, functions and logs are named after it
#   AWS_REGION    the Region; without it, the one that `aws configure` set
#   ARCHITECTURE  arm64 or x86_64; if not given, that of the existing stack, or arm64 for a new one
#   PACKAGE       zip or image: how the functions are packaged; if not given, that of the existing stack, or zip for a new one. It
#                 cannot be changed for an existing stack
#   JWT_ISSUER, JWT_AUDIENCE
#                 the tokens that the API accepts; without them, callers sign with IAM
#   PARAMETERS    more parameters of template.yaml, for example "InternetEgress=true LogRetentionDays=90"
#
# Parameters that are not given keep their values in the stack. If `make destroy` was interrupted, this script restores the stack.
# Invariant: before anything permanent is changed in the account, the script has checked everything that could be missing, and has
# built everything that could fail to build.
# shellcheck source=deploy/common.sh
source "$(dirname "$0")/common.sh"

# ------------------------------------------------------------------------------------------------------ Requirements

# Concurrency to reserve for the reconciler and the API's function, and what Lambda requires to stay unreserved in the account
# (https://docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html).
RECONCILER_CONCURRENCY=10
API_CONCURRENCY=400
UNRESERVED_CONCURRENCY=100

check_stack_name
case ${ARCHITECTURE:-} in
    "" | arm64 | x86_64) ;;
    *) die "ARCHITECTURE is \"$ARCHITECTURE\", but must be arm64 or x86_64. Nothing has been changed." ;;
esac
case ${PACKAGE:-} in
    "" | zip | image) ;;
    *) die "PACKAGE is \"$PACKAGE\", but must be zip or image. Nothing has been changed." ;;
esac
for more in ${PARAMETERS:-}; do
    [[ $more != FunctionImage=* ]] || die "PARAMETERS contains FunctionImage: set PACKAGE=image instead. Nothing has been changed."
    [[ $more != Architecture=* ]] || die "PARAMETERS contains Architecture: set ARCHITECTURE instead. Nothing has been changed."
done
if [ "${JWT_ISSUER:+given}" != "${JWT_AUDIENCE:+given}" ]; then
    die "JWT_ISSUER and JWT_AUDIENCE must be given together. Nothing has been changed."
fi

need git "see https://git-scm.com"
need aws "see https://docs.aws.amazon.com/cli/latest/userguide/getting-started-install.html"
need sam "\`make deploy\` installs it; or see deploy/requirements.txt"
need python3 "see https://www.python.org"
python3 -c "import yaml" 2>/dev/null ||
    die "python3 does not have PyYAML: \`make deploy\` installs it; or see deploy/requirements.txt. Nothing has been changed."
need cargo "see https://rustup.rs"
need cargo-lambda "\`make deploy\` installs it; or see deploy/requirements.txt"

# The first of these that works. Docker does not work if its engine is not running.
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
[ -n "$engine" ] || die "no tool to build images was found: install docker, podman or buildah. Nothing has been changed."

log_in

# The status of the stack, if it exists. If CloudFormation could not update it, fail now, before the build.
# https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/using-cfn-describing-stacks.html
status=""
updated=""
if there "the stack" "does not exist" aws cloudformation describe-stacks --stack-name "$STACK"; then
    seen=$(aws cloudformation describe-stacks --stack-name "$STACK" --query "Stacks[0].[StackStatus,LastUpdatedTime]" \
        --output text)
    read -r status updated <<<"$seen"
fi
case $status in
    REVIEW_IN_PROGRESS) ;; # it is empty: a first change set was created but not executed, and `sam deploy` creates another
    *_IN_PROGRESS) die "the stack $STACK is $status: wait until it is done. Nothing has been changed." ;;
    # ROLLBACK_FAILED if the table's protection, which `make destroy` lifts, kept the rollback from deleting the table.
    ROLLBACK_COMPLETE | ROLLBACK_FAILED)
        die "the first deployment of $STACK failed, and what is left of it ($status) cannot be updated: delete it with" \
            "\`STACK=$STACK CONFIRM=$STACK make destroy\`, then deploy again. Nothing has been changed."
        ;;
    DELETE_FAILED)
        die "$STACK is half deleted ($status): continue with \`STACK=$STACK CONFIRM=$STACK make destroy\`, then deploy again." \
            "Nothing has been changed."
        ;;
    UPDATE_ROLLBACK_FAILED)
        die "an update of $STACK failed, and so did its rollback ($status). The stack's events say why. Fix the cause, then run" \
            "\`aws cloudformation continue-update-rollback --stack-name $STACK\` and deploy again. Nothing has been changed."
        ;;
esac

# parameter NAME: its value in the stack; empty if there is no stack, or the stack did not have it when it was last deployed.
parameter() {
    [ -n "$status" ] || return 0
    local value
    value=$(aws cloudformation describe-stacks --stack-name "$STACK" --output text \
        --query "Stacks[0].Parameters[?ParameterKey=='$1'].ParameterValue")
    [ "$value" = None ] || printf '%s' "$value"
}

had=$(parameter Architecture)
ARCHITECTURE=${ARCHITECTURE:-${had:-arm64}}
case $ARCHITECTURE in
    arm64) platform=linux/arm64 ;;
    *) platform=linux/amd64 ;;
esac
[ -z "$had" ] || [ "$had" = "$ARCHITECTURE" ] || say "The stack $STACK changes from $had to $ARCHITECTURE"

# How the functions are packaged. Only a stack of images has a FunctionImage.
# "You cannot change the deployment package type (.zip or container image) for an existing function":
# https://docs.aws.amazon.com/lambda/latest/dg/configuration-function-zip.html
packaged=""
if [ -n "$status" ] && [ "$status" != REVIEW_IN_PROGRESS ]; then
    packaged=zip
    [ -z "$(parameter FunctionImage)" ] || packaged=image
fi
PACKAGE=${PACKAGE:-${packaged:-zip}}
[ "${packaged:-$PACKAGE}" = "$PACKAGE" ] ||
    die "PACKAGE is $PACKAGE, but the functions of $STACK are packaged as $packaged, which cannot be changed. Deploy another" \
        "stack, with another STACK, or delete this one with \`STACK=$STACK CONFIRM=$STACK make destroy\`, which deletes its" \
        "executions, and deploy it again. Nothing has been changed."
case $REGION in
    cn-*) PARTITION=aws-cn ;;
    us-gov-*) PARTITION=aws-us-gov ;;
    *) PARTITION=aws ;;
esac

# --------------------------------------------------------------------------------------------------------------- Jobs

work=$(mktemp -d)
trap 'rm -r "$work"' EXIT

# The jobs of the file, those that the stack has, and the names of those that have executions in flight.
resolve_jobs "$work"
if [ -n "$packaged" ]; then
    aws cloudformation get-template --stack-name "$STACK" --template-stage Original --query TemplateBody --output json \
        >"$work/deployed.json" || die "cannot read the template of $STACK. Nothing has been changed."
    job_options+=(--deployed "$work/deployed.json")
    if grep -q LonghaulJobs "$work/deployed.json"; then
        python3 deploy/in_flight.py "$STACK-executions" >"$work/in-flight" ||
            die "cannot see which jobs have executions in flight. Nothing has been changed."
        job_options+=(--in-flight "$work/in-flight")
    fi
fi
egress=$(parameter InternetEgress)
for more in ${PARAMETERS:-}; do [[ $more != InternetEgress=* ]] || egress=${more#*=}; done
[ "$egress" != true ] || job_options+=(--internet-egress)
: >"$work/built"

# template [OPTION…]: prints the template. The plan that it writes says which images and which endpoints the jobs need.
template() { python3 deploy/template.py "${job_options[@]}" --built "$work/built" "$@"; }
template --plan "$work/plan" >/dev/null || die "these jobs cannot be deployed: see above. Nothing has been changed."

builds=() # jobs whose images are built, each with its folder
services=(ecr.api ecr.dkr logs)
more_services=()
while read -r verb name rest; do
    case $verb in
        service) more_services+=("$name") ;;
        build) builds+=("$name $rest") ;;
        look-up)
            # An image in ECR runs by its digest, so that tasks run exactly what was deployed.
            read -r image account region repository label <<<"$rest"
            if digest=$(aws ecr describe-images --registry-id "$account" --region "$region" --repository-name "$repository" \
                --image-ids "imageTag=$label" --query "imageDetails[0].imageDigest" --output text 2>&1); then
                echo "$name ${image%:"$label"}@$digest" >>"$work/built"
            elif [[ $digest == *NotFoundException* ]]; then
                die "jobs.$name has the image $image, which does not exist: push it first. Nothing has been changed. AWS says: $digest"
            else
                say "Cannot look up $image of jobs.$name: its tasks run whatever has that tag when they start. AWS says: $digest"
            fi
            ;;
    esac
done <"$work/plan"
services+=("${more_services[@]}")

chosen=() # parameters that this script chooses

# offers SERVICE: the zones in which a service has interface endpoints.
offers() {
    local zones
    zones=$(aws ec2 describe-vpc-endpoint-services --service-names "com.amazonaws.$REGION.$1" --output text \
        --query "ServiceDetails[0].AvailabilityZones")
    printf ' %s ' "$(tr '\t\n' '  ' <<<"$zones")"
}

# Two Availability Zones that have everything. A subnet cannot move, so an existing stack keeps its zones.
zone_of() {
    local found
    found=$(aws ec2 describe-subnets --output text --query "Subnets[0].AvailabilityZone" --filters \
        "Name=tag:aws:cloudformation:stack-name,Values=$STACK" "Name=tag:aws:cloudformation:logical-id,Values=$1")
    [ "$found" = None ] || printf '%s' "$found"
}
if given ZoneA || given ZoneB; then
    if ! given ZoneA || ! given ZoneB; then
        die "PARAMETERS must contain both ZoneA and ZoneB, or neither. Nothing has been changed."
    fi
else
    zone_a=$(zone_of SubnetA)
    zone_b=$(zone_of SubnetB)
    if [ -z "$zone_a" ] || [ -z "$zone_b" ]; then
        offered=()
        for service in "${services[@]}"; do offered+=("$(offers "$service")"); done
        zones=$(aws ec2 describe-availability-zones --output text --filters Name=zone-type,Values=availability-zone \
            Name=state,Values=available --query "AvailabilityZones[].[ZoneName,ZoneId]")
        fit=()
        while read -r name id; do
            # These have no Fargate: https://docs.aws.amazon.com/AmazonECS/latest/developerguide/AWS_Fargate-Regions.html.
            # No API reports this. Ids are the same in every account; the names that they have differ between accounts.
            case $id in use1-az3 | usw1-az2 | apne1-az3 | cnn1-az3) continue ;; esac
            for zones in "${offered[@]}"; do [[ $zones == *" $name "* ]] || continue 2; done
            fit+=("$name")
        done <<<"$zones"
        [ "${#fit[@]}" -ge 2 ] || die "fewer than two Availability Zones of $REGION have Fargate and the interface endpoints of" \
            "${services[*]}: ${fit[*]:-none}. Name two with PARAMETERS=\"ZoneA=… ZoneB=…\", or choose another Region." \
            "Nothing has been changed."
        zone_a=${fit[0]}
        zone_b=${fit[1]}
    elif [ "$egress" != true ]; then
        # The jobs of an existing stack may need another endpoint.
        for service in "${more_services[@]}"; do
            zones=$(offers "$service")
            for name in "$zone_a" "$zone_b"; do
                [[ $zones == *" $name "* ]] || die "the jobs' secrets need an interface endpoint of $service, which $name, a zone of" \
                    "$STACK, does not have. Keep the secrets in another service, or set PARAMETERS=\"InternetEgress=true\"." \
                    "Nothing has been changed."
            done
        done
    fi
    chosen+=("ZoneA=$zone_a" "ZoneB=$zone_b")
fi

# Concurrency is reserved only if the account has enough left: Lambda refuses it otherwise, and new accounts have little.
room=$(aws lambda get-account-settings --query AccountLimit.UnreservedConcurrentExecutions --output text)
for function in Reconciler=$RECONCILER_CONCURRENCY Api=$API_CONCURRENCY; do
    name=${function%=*}Concurrency
    wanted=${function#*=}
    if given "$name"; then continue; fi
    # An existing value is kept.
    if [ -n "$(parameter "$name")" ]; then continue; fi
    if [ $((room - wanted)) -lt "$UNRESERVED_CONCURRENCY" ]; then
        say "This account has too little Lambda concurrency ($room not reserved) to reserve $wanted for $STACK: continuing without." \
            "Once AWS has raised the account's quota, \`PARAMETERS=\"$name=$wanted\"\` reserves it"
        wanted=0
    fi
    room=$((room - wanted))
    chosen+=("$name=$wanted")
done

registry=$ACCOUNT.dkr.ecr.$REGION.amazonaws.com
[[ $REGION != cn-* ]] || registry=$registry.cn

# build_image ARGUMENTS…: builds an image without the attestations that Docker adds by default. With them, Docker makes an index of
# several manifests instead of a single image, and Lambda refuses that (https://github.com/docker/buildx/issues/1533).
build_image() { BUILDX_NO_DEFAULT_ATTESTATIONS=1 "$engine" build --platform "$platform" "$@"; }

# build_functions TAG FOLDER: builds the functions' image from the programs in FOLDER.
build_functions() { build_image --file deploy/functions.Dockerfile --tag "$1" "$2"; }

# make_repository NAME
make_repository() {
    aws ecr create-repository --repository-name "$1" --image-tag-mutability IMMUTABLE \
        --image-scanning-configuration scanOnPush=true --tags "Key=stack,Value=$STACK" >/dev/null
}

log_in_to_registry() {
    local password
    password=$(aws ecr get-login-password) && "$engine" login --username AWS --password-stdin "$registry" <<<"$password"
}

# AWS's list of runtimes for durable functions has container images, and does not have `provided.al2023`
# (https://docs.aws.amazon.com/lambda/latest/dg/durable-supported-runtimes.html), although programs with the SDK for Rust are deployed
# on it. So before anything is built, this creates a durable function, packaged as the stack's functions will be, to see whether Lambda
# accepts it. Nothing invokes that function. If the stack exists, Lambda has already accepted its functions.
probe() {
    local advice asked code folder made="" name trust
    trust='{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"lambda.amazonaws.com"},"Action":"sts:AssumeRole"}]}'
    folder=$(mktemp -d)
    if [ "$PACKAGE" = image ]; then
        asked="container images"
        advice="Try another Region (AWS_REGION), where durable functions are offered, or the other ARCHITECTURE"
        code=(--package-type Image --code "ImageUri=$registry/$PROBE:probe")
        for name in Api Sync Callback Reconciler; do
            mkdir "$folder/${name}Function"
            printf '#!/bin/sh\n' >"$folder/${name}Function/bootstrap"
        done
        echo '{}' >"$folder/jobs.json"
        build_functions "$registry/$PROBE:probe" "$folder" ||
            die "cannot build the functions' image: see above. Nothing has been changed."
    else
        asked="the runtime provided.al2023"
        advice="Package the functions as container images, with PACKAGE=image, or try another Region (AWS_REGION)"
        code=(--runtime provided.al2023 --handler bootstrap --zip-file "fileb://$folder/probe.zip")
        python3 -c 'import sys, zipfile; zipfile.ZipFile(sys.argv[1], "w").writestr("bootstrap", "#!/bin/sh\n")' \
            "$folder/probe.zip" || die "cannot write $folder/probe.zip. Nothing has been changed."
    fi
    forget_probe # in case an earlier deployment was killed
    if ! made=$(aws iam create-role --role-name "$PROBE" --assume-role-policy-document "$trust" 2>&1) ||
        { [ "$PACKAGE" = image ] && ! made=$(push_probe 2>&1); }; then
        say "Cannot check whether Lambda accepts durable functions with $asked: assuming that it does. AWS says: $made"
        made=""
    else
        # It takes some seconds until Lambda can assume a new role.
        for _ in {1..12}; do
            if made=$(aws lambda create-function --function-name "$PROBE" "${code[@]}" \
                --architectures "$ARCHITECTURE" --role "arn:$PARTITION:iam::$ACCOUNT:role/$PROBE" \
                --durable-config ExecutionTimeout=60,RetentionPeriodInDays=1 2>&1); then
                made=""
                # Wait until it can be deleted: while it is pending, "any invocations or other API actions that operate on the
                # function" fail (https://docs.aws.amazon.com/lambda/latest/dg/functions-states.html).
                aws lambda wait function-active-v2 --function-name "$PROBE" || true
                break
            fi
            [[ $made == *"cannot be assumed"* ]] || break
            sleep "${PROBE_PAUSE:-5}"
        done
    fi
    forget_probe
    rm -r "$folder"
    [ -z "$made" ] || die "Lambda refuses durable functions of $asked in $REGION with $ARCHITECTURE. $advice. Nothing has been" \
        "changed. AWS says: $made"
}
push_probe() { make_repository "$PROBE" && log_in_to_registry && "$engine" push "$registry/$PROBE:probe"; }
if [ -z "$status" ] || [ "$status" = REVIEW_IN_PROGRESS ]; then probe; fi

# -------------------------------------------------------------------------------------------------------------- Build

tag=$(date -u +%Y%m%dT%H%M%SZ) # tags are immutable: each push has its own
image=$registry/$REPOSITORY:$tag

say "Building the worker's image for $platform with $engine"
build=(build_image --file crates/worker/Dockerfile --tag "$image")
# Docker finds this ignore file by itself.
[ "$engine" = docker ] || build+=(--ignorefile crates/worker/Dockerfile.dockerignore)
"${build[@]}" .

# job_image NAME: where a job's built image is pushed to.
job_image() { printf '%s' "$registry/$REPOSITORY:job-$1-$tag"; }
for build in "${builds[@]}"; do
    say "Building the image of jobs.${build%% *}"
    build_image --tag "$(job_image "${build%% *}")" "$(dirname "$JOBS")/${build#* }"
done

say "Building the functions for $ARCHITECTURE"
sam build --parameter-overrides "Architecture=$ARCHITECTURE"
# A catalog that is too large for the functions' environment is a file beside their programs.
job_options+=(--base .aws-sam/build/template.yaml)
export STACK REGION ACCOUNT PARTITION
template --catalog .aws-sam/build/jobs.json >"$work/template.json"
if grep -q '"@jobs.json"' "$work/template.json"; then
    for function in Api Sync Callback; do cp .aws-sam/build/jobs.json ".aws-sam/build/${function}Function/"; done
fi
deployed=(--template-file .aws-sam/build/template.json)
if [ "$PACKAGE" = image ]; then
    functions=$registry/$REPOSITORY:functions-$tag
    build_functions "$functions" .aws-sam/build
    # SAM requires a repository for the images that it pushes. Here it pushes none, because the image is a parameter.
    deployed+=(--image-repository "$registry/$REPOSITORY")
fi

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

# ECS uses a service-linked role of the account. Creating an account's first cluster also creates the role, but ECS cannot assume it
# yet: "Unable to assume the service linked role" (https://github.com/aws-cloudformation/cloudformation-coverage-roadmap/issues/818).
# A role needs some seconds to spread through IAM, so it is created before the push.
if ! seen=$(aws iam get-role --role-name AWSServiceRoleForECS 2>&1); then
    make_role="aws iam create-service-linked-role --aws-service-name ecs.amazonaws.com"
    if made=$($make_role 2>&1); then
        say "Created ECS's role, AWSServiceRoleForECS, which this account did not have yet"
    elif [[ $made == *"has been taken"* ]]; then
        : # it exists, but this caller may not see it
    elif [[ $seen == *NoSuchEntity* ]]; then
        die "this account has never used ECS, and you may not create the role that ECS needs. Someone with that permission has to run" \
            "\`$make_role\` once. Nothing has been changed. AWS says: $made"
    else
        # Most accounts have it. In the others, CloudFormation reports the error.
        say "Cannot check whether this account has ECS's role, AWSServiceRoleForECS: assuming that it does"
    fi
fi

say "Pushing to $registry/$REPOSITORY"
if ! seen=$(aws ecr describe-repositories --repository-names "$REPOSITORY" 2>&1); then
    [[ $seen == *RepositoryNotFoundException* ]] || die "cannot look for the image repository: $seen"
    make_repository "$REPOSITORY"
fi
log_in_to_registry

# push IMAGE: sets `pushed` to its name by its digest.
push() {
    local digest
    "$engine" push "$1"
    digest=$(aws ecr describe-images --repository-name "$REPOSITORY" --image-ids "imageTag=${1##*:}" \
        --query "imageDetails[0].imageDigest" --output text)
    [[ $digest == sha256:* ]] || die "$1 was pushed, but ECR did not return its digest: $digest"
    pushed=$registry/$REPOSITORY@$digest
}
push "$image"
chosen+=("WorkerImage=$pushed")
if [ "$PACKAGE" = image ]; then
    # Lambda gives itself read access to the repository if this script's credentials allow ecr:GetRepositoryPolicy and
    # ecr:SetRepositoryPolicy
    # (https://docs.aws.amazon.com/lambda/latest/dg/images-create.html#gettingstarted-images-permissions).
    push "$functions"
    chosen+=("FunctionImage=$pushed")
fi
for build in "${builds[@]}"; do
    push "$(job_image "${build%% *}")"
    echo "${build%% *} $pushed" >>"$work/built"
done
template >.aws-sam/build/template.json

say "Deploying the stack $STACK in $REGION"
parameters=(
    "Architecture=$ARCHITECTURE"
    "S3PrefixList=$s3"
    "DynamoDBPrefixList=$dynamodb"
    "${chosen[@]}"
)
[ -z "${JWT_ISSUER:-}" ] || parameters+=("JwtIssuer=$JWT_ISSUER" "JwtAudience=$JWT_AUDIENCE")
for more in ${PARAMETERS:-}; do parameters+=("$more"); done
# Everything that can make a function differ from its last version. After an update was rolled back, the functions are as they were
# before it, but the versions that it published are retained and are the latest. Lambda publishes no version that equals the latest
# (https://docs.aws.amazon.com/lambda/latest/api/API_PublishVersion.html), so repeating the deployment would fail with "A
# version for this Lambda function exists". Including the time of that update makes the new version different.
everything=("${parameters[@]}")
[ "$status" != UPDATE_ROLLBACK_COMPLETE ] || everything+=("$updated")
changed=$( (printf '%s\n' "${everything[@]}" &&
    cat .aws-sam/build/template.json .aws-sam/build/jobs.json .aws-sam/build/*/bootstrap) | git hash-object --stdin)
parameters+=("Deployment=$changed")
# With its own prefix in the bucket that SAM shares between stacks, so that `sam delete` finds all of its files.
sam deploy "${deployed[@]}" --stack-name "$STACK" --region "$REGION" --s3-prefix "$STACK" --parameter-overrides "${parameters[@]}"

# An interrupted `make destroy` has changed settings that CloudFormation manages. CloudFormation does not notice, so restore them here.
lift() {
    local function=$1 reserved=$2 now
    now=$(aws lambda get-function-concurrency --function-name "$STACK-$function" --query ReservedConcurrentExecutions --output text)
    [ "$now" = 0 ] || return 0
    say "$STACK-$function was stopped by an interrupted \`make destroy\`: enabling it again"
    if [ "${reserved:-0}" = 0 ]; then
        aws lambda delete-function-concurrency --function-name "$STACK-$function"
    else
        aws lambda put-function-concurrency --function-name "$STACK-$function" \
            --reserved-concurrent-executions "$reserved" >/dev/null
    fi
}
status=deployed # so that `parameter` reads the new values
if [ "$(parameter DeletionProtection)" != false ]; then
    protected=$(aws dynamodb describe-table --table-name "$STACK-executions" --query Table.DeletionProtectionEnabled --output text)
    [ "${protected,,}" != false ] ||
        aws dynamodb update-table --table-name "$STACK-executions" --deletion-protection-enabled >/dev/null
fi
backups=$(aws dynamodb describe-continuous-backups --table-name "$STACK-executions" --output text \
    --query ContinuousBackupsDescription.PointInTimeRecoveryDescription.PointInTimeRecoveryStatus)
[ "$backups" != DISABLED ] || aws dynamodb update-continuous-backups --table-name "$STACK-executions" \
    --point-in-time-recovery-specification PointInTimeRecoveryEnabled=true >/dev/null
lift sync 0
lift callback 0
lift reconciler "$(parameter ReconcilerConcurrency)"
lift api "$(parameter ApiConcurrency)" # last: from here on, executions can start

# --------------------------------------------------------------------------------------------------------- First steps

output() {
    aws cloudformation describe-stacks --stack-name "$STACK" --output text \
        --query "Stacks[0].Outputs[?OutputKey=='$1'].OutputValue"
}
url=$(output ApiUrl)
say "Longhaul is at $url. To start a first execution:"
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
printf '\nThe response contains an id. To poll the execution, send the same request to %s/executions/ID without --data.\n' "$url"
