#!/bin/sh
# long_run.sh NAME TEST [ARGUMENT ...] -- runs a test program whose random part obeys SEED (default 1) and COUNT, and appends a row to
# tests/results/NAME.csv; all it prints stays in build/NAME.log.  Exit status: the program's.
cd "$(dirname "$0")/.." || exit 1
. bench/stamp.sh
export SEED="${SEED:-1}" COUNT="${COUNT:?how many?}"
name=$1
shift
start=$(date +%s)
"$@" >"build/$name.log" 2>&1
found=$?
tail -n 3 "build/$name.log"
csv=tests/results/$name.csv
mkdir -p tests/results
[ -f "$csv" ] || echo "commit,seed,count,seconds,findings" >"$csv"
echo "$commit,$SEED,$COUNT,$(($(date +%s) - start)),$found" >>"$csv"
exit $found
