#!/bin/sh
# lora.sh TEXT [SHAKESPEARE] -- what a start from another text is worth, and what LoRA costs: a small GPT is trained on TEXT (some megabytes of English,
# plain or .gz), then on tiny shakespeare (downloaded if it is not given), all of it or adapters of rank 16 on all its dense layers, beside one from scratch
# that makes the same steps.  A table of the losses over the whole validation set; rows go to bench/results/lora.csv.
#
# BEFORE="3000 4000": iterations on TEXT, in schedules of their own, one after the other (an hour on two cores; kept in build/lora, where the next run finds it)
# STEPS=150: iterations of finetuning   RATES="1.5e-3 2.5e-3": learning rates that are tried from scratch and for all weights   LORA_RATES="4e-3 6e-3": for adapters,
# whose LORA_ALPHA=128
cd "$(dirname "$0")/.." || exit 1
. bench/stamp.sh
set -e
text=${1:?bench/lora.sh TEXT [SHAKESPEARE]}
dir=build/lora steps=${STEPS:-150} before=${BEFORE:-3000 4000}
mkdir -p "$dir" bench/results
shape="--n_layer=2 --n_head=8 --n_embd=512 --bias=True --gelu=tanh"
tuned="--beta2=0.99 --weight_decay=0"                       # few tokens an iteration; nothing pulls an adapter back to the base
common="--block_size=128 --batch_size=16 --gradient_accumulation_steps=1 --eval_iters=10 --report=false --tensorboard=false --keep=last --log_interval=100"
schedule() { echo "--max_iters=$1 --lr_decay_iters=$1 --eval_interval=$1 --warmup_iters=$(($1 / 20)) --learning_rate=$2 --min_lr=0"; }

./nib data shakespeare_char --out "$dir/letters" ${2:+--file "$2"}          # brings the text here, wherever it lies
play=${2:-${XDG_CACHE_HOME:-$HOME/.cache}/nib/tinyshakespeare.txt}
[ -d "$dir/tok" ] || ./nib tokenizer train "$text" "$play" --vocab 257 --out "$dir/tok"       # bytes: of words, LoRA could not learn which are frequent now, as the table of tokens is not adapted
[ -d "$dir/text" ] || ./nib data "$text" --tokenizer "$dir/tok" --out "$dir/text"
[ -d "$dir/play" ] || ./nib data "$play" --tokenizer "$dir/tok" --out "$dir/play"

base=$dir/base start=$shape
for n in $before; do
    base=$base-$n
    [ -d "$base/step-$(printf %08d "$n")" ] || ./nib train --dataset="$dir/text" --out_dir="$base" $start $common $(schedule "$n" 1e-3)
    start=--init_from=$base
done

rm -rf "$dir"/run-*
: >"$dir/rows"
way() {  # NAME RATE OPTIONS ...
    name=$1 rate=$2 out=$dir/run-$1-$2
    shift 2
    ./nib train --dataset="$dir/play" --out_dir="$out" "$@" $common $tuned $(schedule "$steps" "$rate") | tee "$dir/log"
    trained=$(sed -n 's/^ *\([0-9,]*\) parameters.*/\1/p' "$dir/log" | tr -d ,)
    loss=$(./nib eval "$out" --dataset="$dir/play" --json | sed 's/.*"loss": *\([0-9.]*\).*/\1/')
    echo "2 x 512 after $before,$name,$rate,$steps,$trained,$loss" >>"$dir/rows"
}
for rate in ${RATES:-1.5e-3 2.5e-3}; do
    way scratch "$rate" $shape
    way all "$rate" --init_from="$base"
done
for rate in ${LORA_RATES:-4e-3 6e-3}; do way lora "$rate" --init_from="$base" --lora_rank=16 --lora_alpha=${LORA_ALPHA:-128} --lora_targets=all; done
csv=bench/results/lora.csv
[ -f "$csv" ] || echo "date,commit,cpu,base,way,rate,steps,trained,val_loss" >"$csv"
sed "s/^/$stamp,/" "$dir/rows" >>"$csv"
awk -F, '{ trained[$2] = $5; if (!($2 in best) || $6 < best[$2]) { best[$2] = $6; rate[$2] = $3 } }
         END { print "| | trained parameters | learning rate | loss |\n|---|---|---|---|"
               n = split("scratch all lora", way, " ")
               for (i = 1; i <= n; i++) printf "| %s | %d (%.1f%%) | %s | %.4f |\n", way[i], trained[way[i]], 100 * trained[way[i]] / trained["all"], rate[way[i]], best[way[i]] }' "$dir/rows"
