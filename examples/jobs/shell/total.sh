#!/usr/bin/env bash
# Adds numbers: a job in Bash. Needs jq.
set -euo pipefail

stopped=false
trap 'stopped=true' TERM

order=$(cat)
whole='.numbers | if type == "array" and all(type == "number" and . == floor) then .[] else error("") end'
if ! numbers=$(jq "$whole" <<<"$order" 2>/dev/null); then
    echo "the input needs a list of whole numbers in \`numbers\`" >&2
    exit 2
fi
pause=$(jq '.secondsEach // 0' <<<"$order")
count=$(jq '.numbers | length' <<<"$order")

total=0
added=0
for number in $numbers; do
    if "$stopped"; then break; fi
    # The signal also ends this sleep, because it goes to the whole process group.
    sleep "$pause" || break
    total=$((total + number))
    added=$((added + 1))
    echo "added $added of $count"
done

jq --null-input --argjson total "$total" --argjson added "$added" '{$total, $added}' >"$EXECUTION_RESULT_FILE"
[ "$added" -eq "$count" ] || exit 75
