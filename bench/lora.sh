#!/bin/sh
# lora.sh TEXT [SHAKESPEARE] -- what a start from another text is worth, and what LoRA costs: a small GPT is trained on TEXT (some megabytes of English,
# plain or .gz), then on tiny shakespeare (downloaded if it is not given), all of it or adapters of rank 16, beside one from scratch that makes the same steps.
# A table of the losses over the whole validation set; rows go to bench/results/lora.csv.  BEFORE= and STEPS= are iterations (3000 and 500: about 40 minutes
# on two cores), RATES= the learning rates that each of the three is given, of which the best counts.
cd "$(dirname "$0")/.." || exit 1
. bench/stamp.sh
set -e
text=${1:?bench/lora.sh TEXT [SHAKESPEARE]}
dir=build/lora
steps=${STEPS:-500}
mkdir -p "$dir" bench/results
shape="--n_layer=4 --n_head=4 --n_embd=256 --bias=True --gelu=tanh"
common="--block_size=128 --batch_size=16 --gradient_accumulation_steps=1 --eval_iters=10 --report=false --tensorboard=false --keep=last --log_interval=100"
schedule() { echo "--max_iters=$1 --lr_decay_iters=$1 --eval_interval=$1 --warmup_iters=$(($1 / 20)) --learning_rate=$2 --min_lr=0"; }

./nib data shakespeare_char --out "$dir/letters" ${2:+--file "$2"}          # brings the text here, wherever it lies
play=${2:-${XDG_CACHE_HOME:-$HOME/.cache}/nib/tinyshakespeare.txt}
[ -d "$dir/tok" ] || ./nib tokenizer train "$text" "$play" --vocab 257 --out "$dir/tok"       # bytes: of words, LoRA could not learn which are frequent now, as the table of tokens is not adapted
[ -d "$dir/text" ] || ./nib data "$text" --tokenizer "$dir/tok" --out "$dir/text"
[ -d "$dir/play" ] || ./nib data "$play" --tokenizer "$dir/tok" --out "$dir/play"
rm -rf "$dir"/base* "$dir"/run-*
./nib train --dataset="$dir/text" --out_dir="$dir/base" $shape $common $(schedule "${BEFORE:-3000}" 1e-3)

: >"$dir/rows"
for rate in ${RATES:-1e-3 3e-3 1e-2}; do
    for way in scratch all lora; do
        case $way in
        scratch) begin="$shape" ;;
        all) begin="--init_from=$dir/base" ;;
        lora) begin="--init_from=$dir/base --lora_rank=16 --lora_alpha=32 --lora_targets=c_attn,c_fc" ;;
        esac
        out=$dir/run-$way-$rate
        ./nib train --dataset="$dir/play" --out_dir="$out" $begin $common $(schedule "$steps" "$rate") | tee "$dir/log"
        trained=$(sed -n 's/^ *\([0-9,]*\) parameters.*/\1/p' "$dir/log" | tr -d ,)
        loss=$(./nib eval "$out" --dataset="$dir/play" --json | sed 's/.*"loss": *\([0-9.]*\).*/\1/')
        echo "$way,$rate,$steps,$trained,$loss" >>"$dir/rows"
    done
done
csv=bench/results/lora.csv
[ -f "$csv" ] || echo "date,commit,cpu,way,rate,steps,trained,val_loss" >"$csv"
sed "s/^/$stamp,/" "$dir/rows" >>"$csv"
awk -F, '{ trained[$1] = $4; if (!($1 in best) || $5 < best[$1]) { best[$1] = $5; rate[$1] = $2 } }
         END { print "| | trained parameters | learning rate | loss |\n|---|---|---|---|"
               n = split("scratch all lora", way, " ")
               for (i = 1; i <= n; i++) printf "| %s | %d (%.1f%%) | %s | %.4f |\n", way[i], trained[way[i]], 100 * trained[way[i]] / trained["all"], rate[way[i]], best[way[i]] }' "$dir/rows"
