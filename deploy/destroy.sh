#!/usr/bin/env bash
# `make destroy`: deletes what `make deploy` made: the stack with every execution and all uploaded data, the images and the logs.
#
#   STACK, AWS_REGION  as for deploy.sh
#   CONFIRM            the stack's name, if nobody is there to type it
#
# If it fails, run it again to continue, or run `make deploy` to restore the stack. It keeps no backup. These remain:
# the bucket that SAM shares between all stacks of the Region, without this stack's files, which have their own prefix; the account's
# role for ECS, which every cluster uses; and the key of the logs, for the 7 days in which AWS lets you cancel its deletion.
# shellcheck source=deploy/common.sh
source "$(dirname "$0")/common.sh"

check_stack_name
need aws "see https://docs.aws.amazon.com/cli/latest/userguide/getting-started-install.html"
need sam "\`make destroy\` installs it; or see deploy/requirements.txt"
# This makes no request: it only prints an empty one.
aws lambda stop-durable-execution --generate-cli-skeleton >/dev/null 2>&1 ||
    die "this aws client does not know Lambda's durable functions: update it. Nothing has been changed."
log_in

# Stops a function's durable executions that have not ended: Lambda deletes the function only when none is left, and one
# that waits for its task may wait for half a day (https://github.com/aws-controllers-k8s/lambda-controller/pull/208).
# `stop_executions FUNCTION [--qualifier VERSION]`
stop_executions() {
    local list running paused arn answer status
    list=(aws lambda list-durable-executions-by-function --function-name "$@"
        --query "DurableExecutions[].DurableExecutionArn" --output text)
    running=$("${list[@]}" --statuses RUNNING)
    # Longhaul never pauses an execution, but people can. If Lambda does not know these statuses, it refuses the call.
    # https://docs.aws.amazon.com/lambda/latest/dg/durable-pause-resume.html
    paused=$("${list[@]}" --statuses PAUSING PAUSED 2>/dev/null) || paused=""
    for arn in $running $paused; do
        [ "$arn" != None ] || continue
        answer=$(aws lambda stop-durable-execution --durable-execution-arn "$arn" --error "ErrorMessage=make destroy" 2>&1) &&
            continue
        # If it has ended in the meantime, that is not a failure.
        [[ $answer != *ResourceNotFoundException* ]] || continue
        status=$(aws lambda get-durable-execution --durable-execution-arn "$arn" --query Status --output text) || status=RUNNING
        [[ $status != RUNNING && $status != PAUS* ]] || die "cannot stop $arn: $answer"
    done
}

# Deletes everything in the bucket of large data, if the stack has it: CloudFormation deletes only empty buckets
# (https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-s3-bucket.html). An unfinished multipart upload
# does not count. The call that lists the resources answers in pages.
empty_bucket() {
    local bucket buckets
    buckets=$(aws cloudformation list-stack-resources --stack-name "$STACK" --output text \
        --query "StackResourceSummaries[?LogicalResourceId=='DataBucket'].PhysicalResourceId")
    for bucket in $buckets; do
        [ "$bucket" != None ] || continue
        if there "the bucket $bucket" "Not Found" aws s3api head-bucket --bucket "$bucket"; then
            aws s3 rm "s3://$bucket" --recursive --only-show-errors
        fi
    done
}

if [ -z "${CONFIRM:-}" ]; then
    [ -t 0 ] || die "set CONFIRM=$STACK to delete that stack and its data. Nothing has been changed."
    read -rp "This deletes $STACK in account $ACCOUNT, $REGION, with every execution and all uploaded data in it; no backup is kept. Type its name to continue: " CONFIRM
fi
[ "$CONFIRM" = "$STACK" ] || die "that is not the name of the stack, $STACK. Nothing has been changed."

if there "the stack" "does not exist" aws cloudformation describe-stacks --stack-name "$STACK"; then
    say "Stopping executions and tasks"
    # No execution may start, and none may start another task, while the cluster is emptied: ECS deletes no cluster that has tasks.
    for function in "$STACK-api" "$STACK-reconciler" "$STACK-sync" "$STACK-callback"; do
        if there "$function" ResourceNotFoundException aws lambda get-function --function-name "$function"; then
            aws lambda put-function-concurrency --function-name "$function" --reserved-concurrent-executions 0 >/dev/null
        fi
    done
    for function in "$STACK-sync" "$STACK-callback"; do
        if there "$function" ResourceNotFoundException aws lambda get-function --function-name "$function"; then
            stop_executions "$function"
            # The call without a qualifier should list all executions, but AWS's documentation used to say that it lists only those of
            # $LATEST: see Qualifier in https://docs.aws.amazon.com/lambda/latest/api/API_ListDurableExecutionsByFunction.html
            versions=$(aws lambda list-versions-by-function --function-name "$function" \
                --query "Versions[].Version" --output text)
            for version in $versions; do
                stop_executions "$function" --qualifier "$version"
            done
        fi
    done
    if there "the cluster's tasks" ClusterNotFoundException aws ecs list-tasks --cluster "$STACK"; then
        tasks=$(aws ecs list-tasks --cluster "$STACK" --query "taskArns[]" --output text)
        for task in $tasks; do
            [ "$task" = None ] || aws ecs stop-task --cluster "$STACK" --task "$task" --reason "make destroy" >/dev/null
        done
        for task in $tasks; do
            [ "$task" = None ] || aws ecs wait tasks-stopped --cluster "$STACK" --tasks "$task"
        done
    fi
    if there "the table" ResourceNotFoundException aws dynamodb describe-table --table-name "$STACK-executions"; then
        # DynamoDB keeps a backup of a table for 35 days if it is deleted while point-in-time recovery is on
        # (https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/PointInTimeRecovery_Howitworks.html).
        aws dynamodb update-continuous-backups --table-name "$STACK-executions" \
            --point-in-time-recovery-specification PointInTimeRecoveryEnabled=false >/dev/null
        aws dynamodb update-table --table-name "$STACK-executions" --no-deletion-protection-enabled >/dev/null
    fi

    say "Deleting the stack $STACK"
    empty_bucket
    if ! sam delete --stack-name "$STACK" --region "$REGION" --no-prompts; then
        # A caller may have uploaded something meanwhile: a presigned URL is valid for an hour. CloudFormation deletes the API's role
        # before the bucket, because the role refers to it, and no URL is valid any more.
        say "The stack is not deleted yet: trying once more"
        empty_bucket
        sam delete --stack-name "$STACK" --region "$REGION" --no-prompts
    fi
fi

if there "the image repository" RepositoryNotFoundException aws ecr describe-repositories --repository-names "$REPOSITORY"; then
    say "Deleting the images"
    aws ecr delete-repository --repository-name "$REPOSITORY" --force >/dev/null
fi

say "Deleting what services left behind"
forget_probe
# The stack's own log groups were deleted with it, unless a service wrote a last line after that and so created its group again.
for group in "/ecs/$STACK" "/aws/lambda/$STACK-api" "/aws/lambda/$STACK-sync" "/aws/lambda/$STACK-callback" \
    "/aws/lambda/$STACK-reconciler" "/aws/vendedlogs/$STACK-api" "/aws/vpc/$STACK" "/aws/ecs/containerinsights/$STACK/performance"; do
    found=$(aws logs describe-log-groups --log-group-name-prefix "$group" --output text \
        --query "logGroups[?logGroupName=='$group'].logGroupName")
    [ -z "$found" ] || aws logs delete-log-group --log-group-name "$group"
done
for group in $(aws logs describe-log-groups --log-group-name-prefix "/ecs/$STACK/" --output text --query "logGroups[].logGroupName"); do
    [ "$group" = None ] || aws logs delete-log-group --log-group-name "$group"
done
# ECS keeps deregistered task definitions.
for family in "$STACK-demo" $(aws ecs list-task-definition-families --family-prefix "${STACK}_" --status INACTIVE \
    --query "families[]" --output text); do
    [ "$family" != None ] || continue
    for revision in $(aws ecs list-task-definitions --family-prefix "$family" --status INACTIVE \
        --query "taskDefinitionArns[]" --output text); do
        [ "$revision" = None ] || aws ecs delete-task-definitions --task-definitions "$revision" >/dev/null
    done
done

say "Nothing of $STACK is left, except the key of its logs, which AWS deletes in 7 days"
