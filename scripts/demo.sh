#!/bin/sh
# demo.sh -- from nothing to new stories: prepares the built-in corpus, trains a small GPT for about a minute, lets it write, and
# asks the grammar what it thinks of that.
cd "$(dirname "$0")/.." || exit 1
set -e
dir=build/demo
rm -rf "$dir" && mkdir -p "$dir"
echo "== stories to learn from"
./nib data tales --out "$dir/data"
echo
echo "== training"
./nib train config/tales.conf --dataset="$dir/data" --out_dir="$dir/out"
echo
echo "== the loss of the finished model, on stories it has not seen"
./nib eval "$dir/out" --dataset="$dir/data"
echo
echo "== what it writes"
./nib sample "$dir/out" --num_samples=4 --seed=7
echo
echo "== what the grammar thinks of a hundred of them"
./nib sample "$dir/out" --num_samples=100 >"$dir/samples.txt"
verdict=$(./nib tales judge "$dir/samples.txt")
echo "$verdict"
share=$(echo "$verdict" | sed 's/.*together (\([0-9]*\)%).*/\1/')
if [ "$share" -lt 80 ]; then
    echo "demo: failed, at least 80% should hold together"
    echo "0 passed, 1 failed, 0 skipped"
    exit 1
fi
echo "demo: passed"
echo "1 passed, 0 failed, 0 skipped"
