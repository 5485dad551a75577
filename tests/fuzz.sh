#!/bin/sh
# fuzz.sh FUZZER ... -- runs the programs that make fuzz builds (clang's libFuzzer around the entry of a parser, with ASan, UBSan and
# checks for sums that wrap and numbers that lose bits), each SECONDS_EACH long (default 60) or for COUNT inputs of up to LENGTH bytes
# (default 4096), from the seeds in tests/fuzz/.  What is found stays in build/fuzz; a row a program in tests/results/fuzz.csv.
cd "$(dirname "$0")/.." || exit 1
. bench/stamp.sh
seconds=${SECONDS_EACH:-60} seed=${SEED:-1}
[ -z "$COUNT" ] || seconds=0                                 # no limit
mkdir -p build/fuzz tests/results
csv=tests/results/fuzz.csv
[ -f "$csv" ] || echo "commit,target,seed,seconds,executions,findings" >"$csv"
# Freed memory is kept from use for a while; with less of it than usual it stays in the caches.
export ASAN_OPTIONS=quarantine_size_mb=4:malloc_context_size=8
status=0
for fuzzer in "$@"; do
    name=${fuzzer##*/fuzz_}
    seeds=tests/fuzz/$name
    [ -d "$seeds" ] || seeds=tests/fuzz/${name%%_*}
    [ -d "$seeds" ] || seeds=
    mkdir -p "build/fuzz/$name-corpus"
    start=$(date +%s)
    # shellcheck disable=SC2086
    "$fuzzer" -seed="$seed" -max_total_time="$seconds" -runs="${COUNT:--1}" -timeout=5 -rss_limit_mb=1024 -max_len="${LENGTH:-4096}" -artifact_prefix="build/fuzz/$name-" \
        -print_final_stats=1 "build/fuzz/$name-corpus" $seeds >"build/fuzz/$name.log" 2>&1
    found=$?
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "build/fuzz/$name.log")
    echo "$name: ${runs:-0} executions, $([ $found -eq 0 ] && echo nothing found || echo "found something: see build/fuzz/$name.log")"
    echo "$commit,$name,$seed,$(($(date +%s) - start)),${runs:-0},$((found != 0))" >>"$csv"
    [ $found -eq 0 ] || status=1
done
exit $status
