#!/usr/bin/env bash
# Fuzzes the API of a local stack against its own document for so many seconds: tests/fuzz/run.sh 60
# What it sends is drawn from FUZZ_SEED: the same every time, unless another is given.
set -euo pipefail
cd "$(dirname "$0")/../.."

data=$(mktemp --directory)
exec {ready}< <(
    exec env RUST_LOG=error "${LONGHAUL_BIN:-target/debug/longhaul}" --json --listen 127.0.0.1:0 --aws-listen 127.0.0.1:0 --data "$data" \
        --job demo=true 2> "$data/stderr"
)
stack=$!
trap 'kill "$stack"; wait "$stack" || true; rm -rf "$data"' EXIT
read -r where <&"$ready" || { cat "$data/stderr" >&2; exit 1; }
api=$(sed -E 's|.*"api":"([^"]+)".*|\1|' <<< "$where")

# All checks but one: the local stack has no authorizer. Who calls is API Gateway's to prove, and what the API makes of that
# is tested with its events. An answer may be held for 25 s, where that is asked for; a busy machine has 20 s for the rest.
schemathesis --config-file tests/fuzz/schemathesis.toml run "$api/openapi.json" --url "$api" \
    --checks all --exclude-checks ignored_auth --max-response-time 45 --max-time "${1:-60}" --seed "${FUZZ_SEED:-1}" \
    --report junit,ndjson --report-dir target/fuzz --no-color

# What a schema cannot see: it lives, and said nothing of a panic.
kill -0 "$stack"
! grep panicked "$data/stderr"
