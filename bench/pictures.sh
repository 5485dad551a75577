#!/bin/sh
# pictures.sh [FILE] -- the pictures of a report in docs/: nanoGPT's README recipe for a laptop, stopped half-way and resumed, its report.html in light and
# dark.  FILE is tiny shakespeare, downloaded if it is not given.  Needs Chromium.
cd "$(dirname "$0")/.." || exit 1
set -e
chromium=$(command -v chromium || command -v chromium-browser || command -v google-chrome) || { echo "pictures.sh: Chromium is not installed" >&2 && exit 1; }
dir=build/pictures run=build/pictures/shakespeare
rm -rf "$dir" && mkdir -p "$dir"
./nib data shakespeare_char --out "$dir/data" ${1:+--file "$1"}
./nib train config/train_shakespeare_char.py --device=cpu --compile=False --eval_iters=20 --log_interval=1 --block_size=64 --batch_size=12 --n_layer=4 --n_head=4 \
    --n_embd=128 --max_iters=2000 --lr_decay_iters=2000 --dropout=0.0 --sample_interval=500 --dataset="$dir/data" --out_dir="$run" >"$dir/log" &
until grep -q '"step": 1100,' "$run/metrics.jsonl" 2>/dev/null; do
    kill -0 $! || { cat "$dir/log" && exit 1; }
    sleep 0.2
done
kill -TERM $!
wait $! || echo "stopped half-way"
./nib train --init_from=resume --out_dir="$run" >>"$dir/log"
(cd "$dir" && ../../nib report shakespeare)
for mode in light dark; do
    "$chromium" --headless --no-sandbox --disable-gpu --hide-scrollbars --blink-settings=preferredColorScheme=$([ $mode = light ] && echo 1 || echo 0) --user-data-dir="$dir/profile" \
        --window-size=960,1050 --screenshot="docs/report-$mode.png" "file://$PWD/$run/report.html" 2>"$dir/chromium.log" || { cat "$dir/chromium.log" && exit 1; }
    ls -l "docs/report-$mode.png"
done
