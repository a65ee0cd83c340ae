#!/usr/bin/env bash
# Applies each of cargo-mutants' changes to the pure code, one at a time, and runs the package's fast tests. Fails if the tests do not
# notice a change that .cargo/mutants.toml does not exclude, or if that file excludes more than 5 % of the changes.
set -euo pipefail
cd "$(dirname "$0")/.."

# A separate target directory, which is kept, so that dependencies are built only once.
export CARGO_TARGET_DIR=$PWD/target/mutants/target CARGO_PROFILE_DEV_DEBUG=false
# The same random cases each time, so that the result is reproducible.
export INSTA_UPDATE=no PROPTEST_RNG_SEED=1 PROPTEST_DISABLE_FAILURE_PERSISTENCE=true

missed=0

# mutants PACKAGE CARGO_TARGETS [FILE...]
mutants() {
    local package=$1 targets=$2 all tried status=0 file of=() with=()
    shift 2
    for file in "$@"; do of+=(--file "$file"); done
    for target in $targets; do with+=(--cargo-arg="$target"); done
    all=$(cargo mutants --package "$package" "${of[@]}" --list --no-config | wc -l)
    tried=$(cargo mutants --package "$package" "${of[@]}" --list | wc -l)
    echo "$package: $all mutants, of which $((all - tried)) are excluded"
    ((20 * (all - tried) <= all)) || { echo "more than 5 % are excluded" >&2; exit 1; }
    # 3: the tests timed out for some changes, which counts as noticed.
    cargo mutants --package "$package" --test-package "$package" "${of[@]}" "${with[@]}" \
        --timeout 60 --output "target/mutants/$package" || status=$?
    case $status in
        0 | 3) ;;
        2) missed=1 ;;
        *) exit "$status" ;;
    esac
}

mkdir -p target/mutants
mutants domain --lib
mutants reconciler --lib crates/reconciler/src/activities.rs
mutants durable "--lib --test=workflows" crates/durable/src/cadence.rs
((missed == 0)) || { echo "some mutants survived: add a test, or exclude them in .cargo/mutants.toml with a reason" >&2; exit 1; }
