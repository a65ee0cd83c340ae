#!/usr/bin/env bash
# Fuzzes a local stack's API against its OpenAPI document for a number of seconds: tests/fuzz/run.sh 60
# FUZZ_SEED determines the requests. The default is fixed, so that they are the same each time.
set -euo pipefail
cd "$(dirname "$0")/../.."

data=$(mktemp --directory)
# A job that lets requests override what they can.
cat > "$data/longhaul.toml" <<'END'
[jobs.demo]
command = ["true"]
allow = ["cpu", "memory", "environment.DEBUG"]
END
exec {ready}< <(
    exec env RUST_LOG=error "${LONGHAUL_BIN:-target/debug/longhaul}" --json --listen 127.0.0.1:0 --aws-listen 127.0.0.1:0 --data "$data" \
        --jobs "$data/longhaul.toml" 2> "$data/stderr"
)
stack=$!
trap 'kill "$stack"; wait "$stack" || true; rm -rf "$data"' EXIT
read -r addresses <&"$ready" || { cat "$data/stderr" >&2; exit 1; }
api=$(sed -E 's|.*"api":"([^"]+)".*|\1|' <<< "$addresses")

# All checks except authentication: on AWS, API Gateway authenticates callers, and the local stack has no authorizer. The time limit
# allows for requests that wait for up to 25 s, plus 20 s on a busy machine.
schemathesis --config-file tests/fuzz/schemathesis.toml run "$api/openapi.json" --url "$api" \
    --checks all --exclude-checks ignored_auth --max-response-time 45 --max-time "${1:-60}" --seed "${FUZZ_SEED:-1}" \
    --report junit,ndjson --report-dir target/fuzz --no-color

# The stack must still be running, and must not have panicked.
kill -0 "$stack"
! grep panicked "$data/stderr"
