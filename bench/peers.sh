#!/bin/sh
# peers.sh [PART ...] -- nib and what one would use instead, in turn (A B A B) on this machine; rows go to bench/results/peers.csv.
#
#   tiny, baby, 124m    training steps of nanoGPT's model, against PyTorch (eager, and compiled where that is faster), and memory
#   nanogpt             nanoGPT's README recipe for a laptop, from start to end of the program, against its train.py
#   sample, startup     ten samples of 500 characters from these two runs; a single character, against its sample.py
#   decode              GPT-2 124M reading a prompt of 512 and writing 128 tokens, also quantized (the same file), against llama.cpp
#   tokenizer           text to GPT-2's ids, against tiktoken; a tokenizer learnt from text, the whole program, against the training
#                       alone by Hugging Face's tokenizers; on ../shared/data, or NIB_DATA
#   limits              nib's own yardsticks, against bench/peers/limits.c
#
# Without PART all; what needs something that is not there is skipped by name.  In each round each side runs once, as a new process
# that reports its own best and median; ratio_best is our best of all rounds by theirs, ratio_median the same of medians.  Of
# seconds and MiB less is better.
#
# ROUNDS=3 THREADS=all cores TYPES="f32 f16 bf16 q8_0 q4_0 q4_k_m" (decode) STEPS=as below NIB=./nib COMPILE=1 (compiled PyTorch for all models)
# NIB_PEERS: the Python environment that bench/peers/setup.sh makes.  NIB_NANOGPT: a clone of nanoGPT.
cd "$(dirname "$0")/.." || exit 1
rounds=${ROUNDS:-3} threads=${THREADS:-$(nproc)} nib=${NIB:-$PWD/nib}
python=${NIB_PEERS:-${XDG_CACHE_HOME:-$HOME/.cache}/nib-peers}/bin/python
clone=$NIB_NANOGPT
dir=$PWD/build/peers csv=bench/results/peers.csv
. bench/stamp.sh
export OMP_NUM_THREADS="$threads"
mkdir -p "$dir" bench/results
: >"$dir/rows"
[ -f $csv ] || echo "date,commit,cpu,work,flags,ours_best,peer,peer_best,ratio_best,ours_median,peer_median,ratio_median,unit" >$csv

skip() { echo "skipped: $*" >&2; }
has_python() { "$python" -c "import $1" 2>/dev/null; }

# ---- measuring ----

# contest OURS PEER ...: commands that print one JSON object each, run in turn; their lines are kept for row.
contest() {
    ours=$1
    shift
    : >"$dir/ours"
    : >"$dir/theirs"
    for round in $(seq "$rounds"); do
        echo "round $round: $ours" >&2
        sh -c "$ours" >>"$dir/ours" || return 1
        for peer in "$@"; do
            echo "round $round: $peer" >&2
            sh -c "$peer" >>"$dir/theirs" 2>"$dir/log" || { tail -n 3 "$dir/log" >&2; skip "$peer"; }
        done
    done
    [ -s "$dir/theirs" ]
}

# row WORK FLAGS UNIT BEST MEDIAN: a row of the last contest, of these keys; of several peers the best one's.
row() {
    awk -v stamp="$stamp" -v work="$1" -v flags="$2" -v unit="$3" -v best="$4" -v median="$5" '
        function value(key, v) {
            if (!match($0, "\"" key "\": *\"?[^,\"}]*")) return ""
            v = substr($0, RSTART, RLENGTH)
            sub(/^[^:]*: *"?/, "", v)
            return v
        }
        function better(a, b) { return unit == "s" || unit == "MiB" ? a < b : a > b }
        function middle(name, i, k, swap) {
            for (i = 2; i <= n[name]; i++)
                for (k = i; k > 1 && all[name, k] < all[name, k - 1]; k--) { swap = all[name, k]; all[name, k] = all[name, k - 1]; all[name, k - 1] = swap }
            return (all[name, int((n[name] + 1) / 2)] + all[name, int(n[name] / 2) + 1]) / 2
        }
        {
            name = FILENAME ~ /ours$/ ? "nib" : value("peer")
            b = value(best) + 0
            if (!n[name] || better(b, most[name])) most[name] = b
            all[name, ++n[name]] = value(median) + 0
            if (name != "nib" && (peer == "" || better(most[name], most[peer]))) peer = name
        }
        END {
            ours = middle("nib")
            theirs = middle(peer)
            printf "%s,%s,%s,%.6g,%s,%.6g,%.3f,%.6g,%.6g,%.3f,%s\n", stamp, work, flags, most["nib"], peer, most[peer], most["nib"] / most[peer], ours, theirs, ours / theirs, unit
        }' "$dir/ours" "$dir/theirs" | tee -a "$dir/rows" >>$csv
}

# clock NAME FOLDER COMMAND ...: the command in a folder, as an object with the seconds from its start to its end.
cat >"$dir/clock" <<'END'
name=$1
cd "$2" || exit 1
shift 2
start=$(date +%s%N)
"$@" >"${0%/*}/printed" || exit 1
end=$(date +%s%N)
echo "{\"peer\": \"$name\", \"s\": $(echo "$start $end" | awk '{ printf "%.4f", ($2 - $1) / 1e9 }')}"
END

# ---- training steps ----

# dtype TYPE: as nib names it; nib has no f16 weights, bf16 is as small.
dtype() { case $1 in f32 | q*) echo float32 ;; *) echo bfloat16 ;; esac; }

# steps N WARMUP: unless STEPS says otherwise.
steps() { echo "--steps=${STEPS:-$1} --warmup=$2"; }

has_torch() { has_python "torch, tiktoken" || { skip "$1 (no PyTorch: bench/peers/setup.sh installs it)"; return 1; }; }

# train WORK FLAGS [--compile]: the flags mean the same to both.
train() {
    torch="$python bench/peers/train_torch.py $2 --json"
    if [ "${3:-${COMPILE:+--compile}}" ]; then set -- "$1" "$2" "$torch" "$torch --compile"; else set -- "$1" "$2" "$torch"; fi
    work=$1 flags=$2
    shift 2
    contest "$nib bench train $flags --json" "$@" || return 1
    row "$work" "$flags" tok/s tok_s_best tok_s_median
}

tiny() {
    has_torch tiny || return
    train "train tiny" "--model=tiny --threads=$threads $(steps 300 20)" --compile && row "memory tiny" "$flags" MiB rss_mib rss_mib
    train "train tiny 1 thread" "--model=tiny --threads=1 $(steps 300 20)" --compile
}

baby() {
    has_torch baby || return
    for dropout in 0.2 0; do train "train baby dropout $dropout" "--model=baby --dropout=$dropout --threads=$threads $(steps 12 3)"; done
}

gpt2() {
    has_torch 124m || return
    for type in f32 bf16; do
        dtype=$(dtype $type)
        train "train 124m 4 x 256 $type" "--model=124m --dtype=$dtype --threads=$threads $(steps 6 2)" && [ $type = f32 ] && row "memory 124m" "$flags" MiB rss_mib rss_mib
        train "train 124m 2 x 1024 $type" "--model=124m --dtype=$dtype --batch=2 --block=1024 --threads=$threads $(steps 4 1)"
    done
}

# ---- decoding ----

weights() {  # TYPE FILE
    [ -f "$2" ] && return
    case $1 in
    q4_k_m) weights f32 "$dir/gpt2-f32.gguf" && $nib export "$dir/gpt2-f32.gguf" --to=gguf --quantize=$1 --out="$2" >/dev/null ;;
    *) "$python" bench/peers/make_gguf.py "$2.new" "$1" && mv "$2.new" "$2" ;;
    esac
}

decode() {
    has_python llama_cpp || { skip "decode (no llama.cpp: bench/peers/setup.sh installs it)"; return; }
    for type in ${TYPES:-f32 f16 bf16 q8_0 q4_0 q4_k_m}; do
        file=$dir/gpt2-$type.gguf model=124m
        weights $type "$file" || return
        flags="--dtype=$(dtype $type) --threads=$threads"
        case $type in q*) model=$file ;; esac
        contest "$nib bench decode $model $flags --json" "$python bench/peers/decode_llamacpp.py $file --threads=$threads --json" || continue
        row "prompt of 512 $type" "$flags" tok/s prompt_tok_s prompt_tok_s
        row "writing $type" "$flags" tok/s decode_tok_s decode_tok_s
    done
}

# ---- whole programs ----

recipe="--device=cpu --compile=False --eval_iters=20 --log_interval=1 --block_size=64 --batch_size=12 --n_layer=4 --n_head=4 --n_embd=128 \
--max_iters=${STEPS:-2000} --lr_decay_iters=2000 --dropout=0.0"

has_nanogpt() {
    has_torch "$1" || return 1
    [ -f "$clone/train.py" ] || { skip "$1 (NIB_NANOGPT names no clone of nanoGPT)"; return 1; }
    clone=$(cd "$clone" && pwd)
}

nanogpt() {
    has_nanogpt nanogpt || return
    data=$clone/data/shakespeare_char config=$clone/config/train_shakespeare_char.py
    [ -f "$data/train.bin" ] || "$python" "$data/prepare.py" || { skip "nanogpt (no data)"; return; }
    contest "rm -rf $dir/nib; sh $dir/clock nib . $nib train $config $recipe --threads=$threads --dataset=$data --out_dir=$dir/nib" \
        "sh $dir/clock nanoGPT $clone $python train.py config/train_shakespeare_char.py $recipe --out_dir=$dir/nanogpt" || return
    row "nanoGPT's laptop recipe" "--max_iters=${STEPS:-2000}" s s s
}

# write WORK FLAGS: nib sample and sample.py, each with the model of its own run.
write() {
    has_nanogpt "$1" || return
    if [ ! -f "$dir/nib/model.safetensors" ] || [ ! -f "$dir/nanogpt/ckpt.pt" ]; then
        skip "$1 (no models yet: bench/peers.sh nanogpt makes them)"
        return
    fi
    contest "sh $dir/clock nib . $nib sample $dir/nib $2 --threads=$threads" "sh $dir/clock nanoGPT $clone $python sample.py --device=cpu --out_dir=$dir/nanogpt $2" || return
    row "$1" "$2" s s s
}

sample() { write "ten samples" "--num_samples=10 --max_new_tokens=500"; }
startup() { write "first character" "--num_samples=1 --max_new_tokens=1"; }

# ---- tokenizers ----

tokenizer() {
    has_python "tiktoken, tokenizers" || { skip "tokenizer (no tiktoken: bench/peers/setup.sh installs it)"; return; }
    data=${NIB_DATA:-../shared/data}
    [ -f "$data/gpt2-bpe/vocab.bpe" ] || { skip "tokenizer (no gpt2-bpe in $data)"; return; }
    gunzip -c "$data/enwik8/enwik8_first4000000.gz" >"$dir/enwik8" || return
    libraries="$python bench/peers/tokenizers_peer.py"
    for n in 1 "$threads"; do
        for text in "$dir/enwik8" "$data/tinyshakespeare/input.txt"; do
            name=$(echo "$text" | sed 's,/input.txt,,; s,.*/,,')
            contest "$nib bench tokenizer $data/gpt2-bpe $text --threads=$n --json" "$libraries encode $text $data/gpt2-bpe --threads=$n" &&
                row "encode $name" "--threads=$n" MB/s encode_mb_s encode_mb_s
        done
    done
    for vocab in 1024 4096 32768; do
        contest "sh $dir/clock nib . $nib tokenizer train $dir/enwik8 --vocab=$vocab --out=$dir/learnt --threads=$threads" "$libraries train $dir/enwik8 --vocab=$vocab --threads=$threads" &&
            row "learn $vocab tokens" "--threads=$threads" s s s
    done
}

# ---- limits ----

limits() {
    gcc -O3 -march=native -fopenmp bench/peers/limits.c -o "$dir/limits" || { skip limits; return; }
    "$dir/limits"
    contest "$nib bench train --steps=1 --threads=$threads --json" "$dir/limits --json" && row "limit multiply-adds" "--threads=$threads" GFLOP/s peak_gflops peak_gflops
    contest "$nib bench decode tiny --threads=$threads --json" "$dir/limits --json" && row "limit reading" "--threads=$threads" GB/s read_gb_s read_gb_s
}

# ---- the whole ----

parts="tiny baby 124m decode nanogpt sample startup tokenizer limits"
# shellcheck disable=SC2086
[ $# -gt 0 ] || set -- $parts
for part in "$@"; do
    case " $parts " in *" $part "*) ;; *) echo "peers.sh has no part $part; it has $parts" >&2 && exit 2 ;; esac
done
for part in "$@"; do
    if [ "$part" = 124m ]; then gpt2; else $part; fi
done
awk -F, 'BEGIN { printf "%-26s %12s %12s %8s %8s  %-8s %s\n", "work", "ours", "peer", "ratio", "median", "unit", "peer" }
         { printf "%-26s %12s %12s %8s %8s  %-8s %s\n", $4, $6, $8, $9, $12, $13 == "s" || $13 == "MiB" ? $13 " (less)" : $13, $7 }' "$dir/rows"
