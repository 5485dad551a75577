#!/bin/sh
# run.sh STEP -- training steps and decoding of three shapes, appended to bench/results/steps.csv.
# Run it on a quiet machine; OMP_NUM_THREADS or taskset choose the cores.
cd "$(dirname "$0")/.." || exit 1
csv=bench/results/steps.csv
mkdir -p bench/results
[ -f "$csv" ] || echo "date,commit,cpu,isa,model,work,threads,dtype,batch,block,recompute,ms_best,ms_median,tok_s_best,tok_s_median,gflop_s,peak_gflop_s,share_of_peak,rss_mib" >"$csv"
commit=$(git rev-parse --short HEAD) date=$(date -u +%Y-%m-%dT%H:%MZ)
for what in "tiny --steps=200" "baby --steps=10" "124m --steps=5" "124m --steps=5 --dtype=bfloat16"; do
    # shellcheck disable=SC2086
    "$1" $what | tail -n 2 | while IFS= read -r row; do
        echo "$date,$commit,$row" >>"$csv"
        echo "$row" | awk -F, '{ printf "%-5s %-6s %-4s  %9.2f ms  %9.0f tok/s  %6.1f GFLOP/s  %5.1f%% of peak  %5.0f MiB\n", $3, $4, $6, $10, $12, $14, 100 * $16, $17 }'
    done
done
