#!/bin/sh
# gemm.sh NIB -- every product of matrices in a training step, by nib bench gemm and, in turn, by oneDNN and OpenBLAS where they are
# installed (Debian: libdnnl-dev, libopenblas-dev); the best of all rounds goes to bench/results/gemm.csv, GFLOP/s.
#
# ROUNDS=3 THREADS=all cores MODEL=all PRODUCT=all DTYPES="float32 bfloat16"
cd "$(dirname "$0")/.." || exit 1
nib=$1 rounds=${ROUNDS:-3} threads=${THREADS:-$(nproc)} csv=bench/results/gemm.csv dir=$PWD/build/peers milliseconds=60
. bench/stamp.sh
export OMP_NUM_THREADS="$threads"
mkdir -p "$dir" bench/results
[ -f $csv ] || echo "date,commit,cpu,model,layer,product,dtype,threads,m,n,k,ours,onednn,ratio,openblas,peak" >$csv

gcc -O2 -fopenmp bench/peers/products.c -o "$dir/onednn" -ldnnl 2>/dev/null || { rm -f "$dir/onednn"; echo "skipped: oneDNN (no libdnnl-dev)" >&2; }
gcc -O2 -fopenmp -DOPENBLAS bench/peers/products.c -o "$dir/openblas" -lopenblas 2>/dev/null || { rm -f "$dir/openblas"; echo "skipped: OpenBLAS (no libopenblas-dev)" >&2; }

# theirs LIBRARY: its GFLOP/s for each line of ours, or 0.
theirs() {
    [ -x "$dir/$1" ] || { sed 's/.*/0 0/' "$dir/shapes"; return; }
    "$dir/$1" $milliseconds <"$dir/shapes"
}

for dtype in ${DTYPES:-float32 bfloat16}; do
    : >"$dir/products"
    for round in $(seq "$rounds"); do
        echo "round $round: products in $dtype" >&2
        "$nib" bench gemm --model="${MODEL:-all}" --product="${PRODUCT:-all}" --dtype="$dtype" --threads="$threads" --milliseconds=$milliseconds --json | sed 's/[{}" ]//g; s/[a-z0-9_]*://g' >"$dir/ours" || exit 1
        awk -F, '{ print $7, $8, $9, $10, $11, $12, $4 }' "$dir/ours" >"$dir/shapes"
        theirs onednn >"$dir/theirs.onednn" || exit 1
        theirs openblas >"$dir/theirs.openblas" || exit 1
        paste -d, "$dir/ours" "$dir/theirs.onednn" "$dir/theirs.openblas" | sed 's/ [^, ]*//g' >>"$dir/products"
    done
    awk -F, -v stamp="$stamp" -v csv=$csv '
        function better(name, key, x) { if (x + 0 > best[name, key]) best[name, key] = x + 0 }
        {
            key = $1 "," $2 "," $3 "," $4 "," $6 "," $7 "," $8 "," $9
            if (!(key in seen)) order[++n] = key
            seen[key] = 1
            better("nib", key, $15)
            better("onednn", key, $18)
            better("openblas", key, $19)
            if ($17 > peak) peak = $17
        }
        END {
            least = 1e9
            for (i = 1; i <= n; i++) {
                key = order[i]
                ratio = best["onednn", key] ? best["nib", key] / best["onednn", key] : 0
                printf "%s,%s,%.1f,%.1f,%.3f,%.1f,%.1f\n", stamp, key, best["nib", key], best["onednn", key], ratio, best["openblas", key], peak >>csv
                split(key, k, ",")
                printf "%-4s %-4s %-7s %-4s %5d x %5d x %5d  nib %6.1f  oneDNN %6.1f  ratio %.3f  OpenBLAS %6.1f  %4.1f%% of the f32 peak\n", k[1], k[2], k[3], k[4], k[6], k[7], k[8], best["nib", key], best["onednn", key], ratio, best["openblas", key], 100 * best["nib", key] / peak
                if (!ratio) continue
                logs += log(ratio)
                ratios++
                if (ratio < least) { least = ratio; worst = k[1] " " k[2] " " k[3] }
            }
            if (ratios) printf "geometric mean %.3f of oneDNN, least %.3f (%s)\n", exp(logs / ratios), least, worst
        }' "$dir/products"
done
