#!/bin/sh
# run.sh NIB -- training steps, decoding and products of matrices of models that need no file, by nib bench; rows go to
# bench/results/train.csv, decode.csv and gemm.csv (steps.csv holds what was measured before nib bench was).  Run it on a quiet
# machine; taskset chooses the cores.
cd "$(dirname "$0")/.." || exit 1
nib=$1 results=bench/results
. bench/stamp.sh
mkdir -p $results

# bench PART ARGUMENT ...: what nib prints becomes a row; its keys are the header of a new file.
bench() {
    csv=$results/$1.csv
    json=$("$nib" bench "$@" --json) || exit 1
    [ -f "$csv" ] || echo "date,commit,cpu,$(echo "$json" | sed 's/[{}" ]//g; s/:[^,]*//g')" >"$csv"
    row=$(echo "$json" | sed 's/[{}" ]//g; s/[a-z0-9_]*://g')
    echo "$stamp,$row" >>"$csv"
}

for model in "tiny --steps=300 --warmup=20" "tiny --steps=300 --warmup=20 --threads=1" "baby --steps=12" "baby --steps=12 --dropout=0" \
    "124m --steps=6" "124m --steps=6 --dtype=bfloat16" "124m --steps=4 --batch=2 --block=1024"; do
    # shellcheck disable=SC2086
    bench train --model=$model
    echo "$row" | awk -F, '{ printf "train  %-4s %-4s %d thread%s %3d x %-4d dropout %-3s %9.2f ms %8.0f tok/s %6.1f GFLOP/s %5.1f%% of peak %5.0f MiB\n",
                                    $1, $2, $4, ($4 > 1 ? "s" : " "), $5, $6, $7, $9, $11, $13, 100 * $18, $16 }'
done
for model in tiny baby 124m "124m --dtype=bfloat16"; do
    # shellcheck disable=SC2086
    bench decode $model --streams=8
    echo "$row" | awk -F, '{ printf "decode %-4s %-4s %d thread%s prompt %7.0f tok/s, writing %7.1f, %d together %8.1f  %5.1f of %.1f GB/s %5.0f MiB\n",
                                    $1, $2, $4, ($4 > 1 ? "s" : " "), $8, $9, $7, $10, $14, $15, $12 }'
done
bench/gemm.sh "$nib"
