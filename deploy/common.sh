# What deploy.sh and destroy.sh share. They source it.
# shellcheck shell=bash
# shellcheck disable=SC2034 # those scripts use the variables that are set here

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# The stack, and what is named after it.
STACK=${STACK:-longhaul}
REPOSITORY=$STACK-worker

say() { printf '\n==> %s\n' "$*"; }

die() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

# need TOOL HOW-TO-GET-IT: stops if the tool is not installed.
need() {
    command -v "$1" >/dev/null || die "$1 is not installed: $2. Nothing has been changed."
}

# `there WHAT NOT-FOUND COMMAND…`: whether a command finds something. Stops if the command fails for a reason other than NOT-FOUND.
there() {
    local what=$1 absent=$2 answer
    shift 2
    answer=$("$@" 2>&1) && return 0
    [[ $answer == *$absent* ]] || die "cannot look for $what: $answer"
    return 1
}

# The name of the function, the role and the image repository that deploy.sh creates to probe Lambda. forget_probe deletes those that
# exist.
PROBE=$STACK-probe
forget_probe() {
    if there "$PROBE" ResourceNotFoundException aws lambda get-function --function-name "$PROBE"; then
        aws lambda delete-function --function-name "$PROBE" >/dev/null
    fi
    if there "the role $PROBE" NoSuchEntity aws iam get-role --role-name "$PROBE"; then
        aws iam delete-role --role-name "$PROBE"
    fi
    if there "the repository $PROBE" RepositoryNotFoundException aws ecr describe-repositories --repository-names "$PROBE"; then
        aws ecr delete-repository --repository-name "$PROBE" --force >/dev/null
    fi
}

# Sets ACCOUNT and REGION, or stops.
log_in() {
    local why
    REGION=${AWS_REGION:-${AWS_DEFAULT_REGION:-$(aws configure get region || true)}}
    [ -n "$REGION" ] || die "no AWS Region: set AWS_REGION, or run \`aws configure\`. Nothing has been changed."
    export AWS_REGION=$REGION AWS_DEFAULT_REGION=$REGION AWS_PAGER=""
    if ! why=$(aws sts get-caller-identity --query Account --output text 2>&1); then
        die "no usable AWS credentials: run \`aws configure\` or \`aws sso login\`, or set AWS_PROFILE. Nothing has been" \
            "changed. AWS says: $why"
    fi
    ACCOUNT=$why
}

# The stack's name is part of other names that AWS limits: an image repository's name is lowercase, a function's has at most 64
# characters.
check_stack_name() {
    [[ $STACK =~ ^[a-z][a-z0-9-]{0,31}$ ]] ||
        die "STACK is \"$STACK\", but must be 1 to 32 lowercase letters, digits and hyphens, beginning with a letter. Nothing has been changed."
}

# resolve_jobs FOLDER: writes the jobs as JSON to FOLDER/jobs.json, and sets `job_options`, which template.py gets. Without a file with
# jobs, it writes nothing. A mistake in the file stops the script, after it was printed with its line and column.
resolve_jobs() {
    JOBS=${JOBS:-}
    [ -n "$JOBS" ] || [ ! -e longhaul.toml ] || JOBS=longhaul.toml
    job_options=(--package "${PACKAGE:-zip}")
    if [ -n "$JOBS" ]; then
        [ -r "$JOBS" ] || die "JOBS is \"$JOBS\", but there is no such file. Nothing has been changed."
        cargo run --quiet --package job_file -- resolved "$JOBS" >"$1/jobs.json" ||
            die "$JOBS cannot be used: see above. Nothing has been changed."
        job_options+=(--jobs "$1/jobs.json")
    fi
    [ -z "${ARCHITECTURE:-}" ] || job_options+=(--architecture "$ARCHITECTURE")
    [ -z "${REGION:-${AWS_REGION:-}}" ] || job_options+=(--region "${REGION:-$AWS_REGION}")
}

# given NAME: whether PARAMETERS has it.
given() { [[ " ${PARAMETERS:-} " == *" $1="* ]]; }
