#!/bin/sh
# fuzz.sh -- libFuzzer with ASan and UBSan over every parser that has an entry, SECONDS_EACH long (default 60) or COUNT inputs each,
# from the seeds in tests/fuzz/.  Needs clang.  What is found stays in build/fuzz; a row a target in tests/results/fuzz.csv.
# TARGETS="SAFETENSORS JSON" runs only those.
cd "$(dirname "$0")/.." || exit 1
seconds=${SECONDS_EACH:-60} seed=${SEED:-1}
mkdir -p build/fuzz tests/results
csv=tests/results/fuzz.csv
[ -f "$csv" ] || echo "commit,target,seed,seconds,executions,findings" >"$csv"
status=0
for file in $(grep -l '^#ifdef FUZZ_' src/*/*.c); do
    for target in $(sed -n 's/^#ifdef FUZZ_//p' "$file"); do
        case " ${TARGETS:-$target} " in *" $target "*) ;; *) continue ;; esac
        name=$(echo "$target" | tr '[:upper:]' '[:lower:]')
        clang -std=gnu17 -g -O1 -w -fopenmp -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -DFUZZ_"$target" -Isrc \
            "$file" $(ls src/base/*.c src/file/*.c src/report/*.c src/token/*.c src/text/*.c | grep -vx "$file") -lpcre2-8 -lutf8proc -ljansson -lcurl -lcrypto -lz -lm -o build/fuzz/"$name" || exit 1
        mkdir -p build/fuzz/"$name"-corpus
        seeds=tests/fuzz/$name
        [ -d "$seeds" ] || seeds=tests/fuzz/$(echo "$name" | sed 's/_.*//')
        [ -d "$seeds" ] || seeds=
        # shellcheck disable=SC2086
        build/fuzz/"$name" -seed="$seed" -max_total_time="$seconds" ${COUNT:+-runs=$COUNT} -timeout=5 -rss_limit_mb=1024 -max_len=4096 -artifact_prefix=build/fuzz/"$name"- \
            -print_final_stats=1 build/fuzz/"$name"-corpus $seeds >build/fuzz/"$name".log 2>&1
        found=$?
        runs=$(sed -n 's/^stat::number_of_executed_units: *//p' build/fuzz/"$name".log)
        echo "$name: ${runs:-0} executions, $([ $found -eq 0 ] && echo nothing found || echo "found something: see build/fuzz/$name.log")"
        echo "$(git rev-parse --short HEAD),$name,$seed,$seconds,${runs:-0},$((found != 0))" >>"$csv"
        [ $found -eq 0 ] || status=1
    done
done
exit $status
