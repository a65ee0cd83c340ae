#!/usr/bin/env bash
# Packs a directory into an archive beside it. Input: {"directory": PATH}. Needs jq.
set -euo pipefail

directory=$(jq --exit-status --raw-output '.directory | strings') || {
    echo 'the input must be like {"directory": "/data/2026-11"}' >&2
    exit 2
}
[ -d "$directory" ] || { echo "$directory is not a directory" >&2; exit 3; }

# A job may run more than once. The archive has another name until it is complete, so a half-written one is never taken for a whole one.
archive=$directory.tar.gz
trap 'rm -f "$archive.part"' EXIT
trap 'exit 143' TERM

# In the background, so that SIGTERM is handled at once and not after tar has ended.
tar --create --gzip --verbose --file "$archive.part" --directory "$directory" . &
wait $!
mv "$archive.part" "$archive"

# The last JSON object on stdout is the result.
jq --null-input --compact-output --arg archive "$archive" --argjson bytes "$(stat --format %s "$archive")" \
    --arg sha256 "$(sha256sum "$archive" | cut --delimiter ' ' --fields 1)" '{$archive, $bytes, $sha256}'
