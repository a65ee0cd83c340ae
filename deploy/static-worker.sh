#!/usr/bin/env bash
# Builds the worker as a static program: static-worker.sh amd64|arm64 OUT
#
# The worker is linked statically with glibc, for the target that Rust installs by default on Linux. Since version 2.34, glibc resolves
# names from the hosts file and from DNS without loading libraries. A task needs no more than that. deploy/tests/test_image.py tests it.
set -euo pipefail
cd "$(dirname "$0")/.."

case "${1:-}" in
    amd64) target=x86_64-unknown-linux-gnu gcc=x86_64-linux-gnu-gcc ;;
    arm64) target=aarch64-unknown-linux-gnu gcc=aarch64-linux-gnu-gcc ;;
    *) echo "usage: $0 amd64|arm64 OUT" >&2 && exit 2 ;;
esac
out=${2:?"usage: $0 amd64|arm64 OUT"}

if [ "$(rustc -vV | sed -n 's/^host: //p')" != "$target" ] && command -v rustup >/dev/null; then
    rustup target list --installed | grep -qx "$target" || rustup target add "$target"
fi
upper=$(tr 'a-z-' 'A-Z_' <<<"$target")
export "CARGO_TARGET_${upper}_LINKER=$gcc" "CC_${target//-/_}=$gcc"
export "CARGO_TARGET_${upper}_RUSTFLAGS=-C target-feature=+crt-static"
cargo build --locked --release --package worker --target "$target"
mkdir -p "$(dirname "$out")"
cp "${CARGO_TARGET_DIR:-target}/$target/release/worker" "$out"
