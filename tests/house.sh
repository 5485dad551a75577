#!/bin/sh
# house.sh -- is the house in order?  Who includes whom, how long files and functions are, what must not stand anywhere.
# Prints what is wrong, a line each; exit status 1 if anything is.
cd "$(dirname "$0")/.." || exit 1
wrong=$(mktemp) && trap 'rm -f "$wrong"' EXIT

# What each folder sees, itself apart: everything to its left in
#   base <- graph <- {cpu, cuda}; base <- report; base <- file <- token <- text; {graph, file} <- model; {cpu, model, text} <- infer; {infer, report} <- train <- api <- serve <- cli
sees() {
    case $1 in
    base) echo "" ;;
    graph) echo "base" ;;
    cpu | cuda) echo "base graph" ;;
    file | report) echo "base" ;;
    token) echo "base file" ;;
    text) echo "base file token" ;;
    model) echo "base graph file" ;;
    infer) echo "base graph cpu cuda file token text model" ;;
    train) echo "base graph cpu cuda file report token text model infer" ;;
    api) echo "base graph cpu cuda file report token text model infer train" ;;
    serve) echo "base graph cpu cuda file report token text model infer train api" ;;
    cli) echo "base graph cpu cuda file report token text model infer train api serve" ;;
    *) echo "unknown folder $1" >>"$wrong" ;;
    esac
}

for folder in src/*/; do
    folder=$(basename "$folder")
    allowed=" $folder $(sees "$folder") "
    grep -Hn '#include "' src/"$folder"/*.[ch] 2>/dev/null | sed 's/#include "\([^"]*\)".*/\1/' | while IFS=: read -r file line path; do
        case $path in
        nib.h) [ "$folder" = api ] || echo "$file:$line: only src/api includes nib.h" ;;
        */*) case $allowed in *" ${path%%/*} "*) ;; *) echo "$file:$line: $folder must not include $path" ;; esac ;;
        *) echo "$file:$line: include \"folder/file.h\", not \"$path\"" ;;
        esac
    done >>"$wrong"
done

# Budgets: lines of files, of the core, of model pages; number of ops and fusions.
wc -l src/*/*.[ch] src/graph/ops.def tests/*.[ch] include/*.h | awk '$2 != "total" && $1 > 800 { print $2 ": " $1 " lines, 800 are allowed" }' >>"$wrong"
core=$(cat src/graph/* | wc -l)
[ "$core" -le 2500 ] || echo "src/graph: $core lines, 2500 are allowed" >>"$wrong"
wc -l src/model/gpt.c src/model/llama.c | awk '$2 != "total" && $1 > 250 { print $2 ": " $1 " lines, a model page has 250 at most" }' >>"$wrong"
ops=$(grep -c '^OP(' src/graph/ops.def)
[ "$ops" -le 40 ] || echo "ops.def: $ops ops, 40 are allowed" >>"$wrong"
fusions=$(grep -c '^    { OP_' src/graph/fuse.c)
[ "$fusions" -le 8 ] || echo "fuse.c: $fusions fusions, 8 are allowed" >>"$wrong"
[ "$(wc -l <include/nib.h)" -le 300 ] || echo "nib.h: more than 300 lines" >>"$wrong"

# Functions: none over 120 lines.  A function runs from a line that begins with { to one that begins with }.
awk 'FNR == 1 { open = 0 } /^{/ { open = FNR } /^}/ && open { if (FNR - open > 120) print FILENAME ":" open ": a function of " FNR - open " lines"; open = 0 }' src/*/*.c >>"$wrong"

# File names are unique, but for cpu/x.c and cuda/x.cu.
ls src/*/*.c src/*/*.h | sed 's,.*/,,' | sort | uniq -d | sed 's/$/: two files of this name/' >>"$wrong"

# Only src/cli prints or exits.
awk '/^#ifdef FUZZ_/ { fuzz = 1 } /^#endif/ { fuzz = 0 } FNR == 1 { fuzz = 0 }
     !fuzz && /(^|[^a-z_])(printf|puts|exit|abort|perror)\(|stderr|fprintf\(std/ { print FILENAME ":" FNR ": only src/cli prints or exits: " $0 }' \
    $(ls src/*/*.[ch] | grep -v '^src/cli/') >>"$wrong"

# Nothing left open, no trailing blanks, no tabs.
grep -nE '\b(TODO|FIXME|XXX|HACK)\b' src/*/* tests/*.[ch] examples/* >>"$wrong"
grep -nE '[[:space:]]$' src/*/*.[ch] src/graph/ops.def tests/*.[ch] include/*.h >>"$wrong"
grep -nP '\t' src/*/*.[ch] tests/*.[ch] include/*.h >>"$wrong"

if [ -s "$wrong" ]; then
    cat "$wrong"
    exit 1
fi
