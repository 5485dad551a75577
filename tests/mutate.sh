#!/bin/sh
# mutate.sh [FILE] -- negates every condition of src/graph/plan.c (or FILE) in turn and runs the tests of the core on each mutant.
# A mutant that no test catches is a defect of the tests, unless tests/harmless_mutants.txt says why it cannot matter:
# "condition # reason", a line each.  Appends a row to tests/results/mutations.csv; exit status 1 if an unexplained one survives.
# COUNT: random graphs a mutant (default 400).  JOBS: at once (default: all cores).
cd "$(dirname "$0")/.." || exit 1
. bench/stamp.sh
file=${1:-src/graph/plan.c}
export COUNT=${COUNT:-400} file
jobs=${JOBS:-$(nproc)}
export dir=build/mutants
rm -rf "$dir" && mkdir -p "$dir" || exit 1
start=$(date +%s)

flags="-std=gnu17 -O1 -w -Isrc -Itests"
gcc -std=gnu17 -O1 -o "$dir/mutate" tests/mutate.c || exit 1
for c in src/base/*.c src/graph/*.c src/model/nn.c src/model/gpt.c src/model/llama.c tests/test_plan.c; do
    [ "$c" = "$file" ] || gcc $flags -c "$c" -o "$dir/$(basename "$c" .c).o" || exit 1
done
export flags
gcc $flags -c "$file" -o "$dir/original" && gcc -o "$dir/original.run" "$dir/original" "$dir"/*.o -lcmocka -ljansson -lm || exit 1
"$dir/original.run" >/dev/null 2>&1 || { echo "the tests fail on $file as it is: nothing can be said of mutants"; exit 1; }

one() {     # builds and tests mutant $1; leaves a line in survived, caught or broken
    "$dir/mutate" "$file" "$1" >"$dir/$1.c" 2>"$dir/$1.txt" || return
    what=broken
    if gcc $flags -c "$dir/$1.c" -o "$dir/$1.mutant" 2>/dev/null &&
        gcc -o "$dir/$1.run" "$dir/$1.mutant" "$dir"/*.o -lcmocka -ljansson -lm 2>/dev/null; then
        what=caught
        timeout 60 "$dir/$1.run" >/dev/null 2>&1 && what=survived
    fi
    cat "$dir/$1.txt" >>"$dir/$what"
    rm -f "$dir/$1.c" "$dir/$1.txt" "$dir/$1.mutant" "$dir/$1.run"
}

n=$("$dir/mutate" "$file")
touch "$dir/survived" "$dir/caught" "$dir/broken"
i=0
while [ "$i" -lt "$n" ]; do echo "$i"; i=$((i + 1)); done | xargs -P "$jobs" -I{} sh -c "$(sed -n '/^one() {/,/^}/p' "$0"); one {}"

unexplained=0
while IFS= read -r line; do
    grep -qF "${line#*: } #" tests/harmless_mutants.txt 2>/dev/null || { echo "survived: $file:$line"; unexplained=$((unexplained + 1)); }
done <"$dir/survived"
caught=$(wc -l <"$dir/caught") survived=$(wc -l <"$dir/survived") broken=$(wc -l <"$dir/broken")
echo "$n mutants of $file: $caught caught, $survived survived ($unexplained unexplained), $broken do not compile"
csv=tests/results/mutations.csv
mkdir -p tests/results
[ -f "$csv" ] || echo "commit,file,count,seconds,mutants,caught,explained,unexplained,not_compiled" >"$csv"
echo "$commit,$file,$COUNT,$(($(date +%s) - start)),$n,$caught,$((survived - unexplained)),$unexplained,$broken" >>"$csv"
[ "$unexplained" -eq 0 ]
