#!/bin/sh
# fuzz_plan.sh TEST_PLAN -- COUNT random graphs from SEED, each planned in five modes and proved; a row in tests/results/fuzz_plan.csv.
cd "$(dirname "$0")/.." || exit 1
export SEED="${SEED:-1}" COUNT="${COUNT:-1000000}"
start=$(date +%s)
"$1"
found=$?
csv=tests/results/fuzz_plan.csv
mkdir -p tests/results
[ -f "$csv" ] || echo "commit,seed,count,seconds,findings" >"$csv"
echo "$(git rev-parse --short HEAD),$SEED,$COUNT,$(($(date +%s) - start)),$found" >>"$csv"
exit $found
