#!/bin/sh
# kills.sh TEST_CLI -- COUNT times (default 120) kill -9 at a moment drawn from SEED in the middle of training or of saving, then resume:
# every run ends with the bits of the uninterrupted one.  A row in tests/results/kills.csv.
cd "$(dirname "$0")/.." || exit 1
export SEED="${SEED:-1}" COUNT="${COUNT:-120}"
start=$(date +%s)
"$1" >build/kills.log 2>&1
found=$?
tail -n 3 build/kills.log
csv=tests/results/kills.csv
mkdir -p tests/results
[ -f "$csv" ] || echo "commit,seed,count,seconds,findings" >"$csv"
echo "$(git rev-parse --short HEAD),$SEED,$COUNT,$(($(date +%s) - start)),$found" >>"$csv"
exit $found
