#!/bin/sh
# curve.sh [FILE] -- nanoGPT's README recipe for a laptop, three seeds, beside nanoGPT's own losses: the table in README.md.
# FILE is tiny shakespeare, downloaded if it is not given.  Rows go to bench/results/curve.csv.
cd "$(dirname "$0")/.." || exit 1
. bench/stamp.sh
set -e
dir=build/curve
mkdir -p "$dir" bench/results
./nib data shakespeare_char --out "$dir/data" ${1:+--file "$1"}
csv=bench/results/curve.csv
[ -f "$csv" ] || echo "date,commit,isa,seed,step,val_loss" >"$csv"
date=$(date -u +%Y-%m-%dT%H:%MZ)
: >"$dir/rows"
for seed in 1337 1338 1339; do
    out=$dir/out-$seed
    rm -rf "$out"
    ./nib train config/train_shakespeare_char.py --device=cpu --compile=False --eval_iters=20 --log_interval=250 --block_size=64 --batch_size=12 --n_layer=4 --n_head=4 \
        --n_embd=128 --max_iters=2000 --lr_decay_iters=2000 --dropout=0.0 --dataset="$dir/data" --out_dir="$out" --seed=$seed | tee "$dir/log"
    isa=$(sed -n 's/^machine.* \([a-z0-9]*\) kernels.*/\1/p' "$dir/log")
    sed -n 's/.*"step": *\([0-9]*\).*"val_loss": *\([0-9.]*\).*/\1,\2/p' "$out/metrics.jsonl" | while IFS= read -r row; do echo "$isa,$seed,$row"; done >>"$dir/rows"
    echo "$isa,$seed,whole,$(./nib eval "$out" --dataset="$dir/data" --json | sed 's/.*"loss": *\([0-9.]*\).*/\1/')" >>"$dir/rows"
done
sed "s/^/$date,$commit,/" "$dir/rows" >>"$csv"
# nanoGPT's means of three seeds, at commit 3adf61e, PyTorch 2.13, on 20 batches
awk -F, 'BEGIN { peer[250] = 2.444; peer[500] = 2.302; peer[1000] = 2.064; peer[1500] = 1.949; peer[2000] = 1.894
                 print "| iteration | nib | nanoGPT |\n|---|---|---|" }
         { sum[$3] += $4; n[$3]++ }
         END { for (s = 0; s <= 2000; s += 250) if (n[s]) printf "| %d | %.3f | %s |\n", s, sum[s] / n[s], s in peer ? sprintf("%.3f", peer[s]) : ""
               printf "| 2000, the whole validation set | %.3f | |\n", sum["whole"] / n["whole"] }' "$dir/rows"
