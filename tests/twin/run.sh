#!/bin/sh
# run.sh -- what needs Python: installs PyTorch (CPU), transformers and tokenizers once, outside the checkout, then makes the golden
# files anew and compares them, and lets the other tools read what nib writes.  Ends with "N passed, N failed, N skipped".
cd "$(dirname "$0")/../.." || exit 1
home=${NIB_TWIN:-${XDG_CACHE_HOME:-$HOME/.cache}/nib-twin}
python=$home/bin/python
if ! "$python" -c 'import torch, transformers, tokenizers, safetensors, tiktoken, numpy' 2>/dev/null; then
    echo "installing PyTorch, transformers and tokenizers into $home"
    python3 -m venv "$home" || apt-get install -y -q python3-venv && python3 -m venv "$home" || exit 1
    "$home/bin/pip" install -q numpy safetensors tokenizers transformers tiktoken mpmath || exit 1
    "$home/bin/pip" install -q torch --index-url https://download.pytorch.org/whl/cpu 2>/dev/null || "$home/bin/pip" install -q torch || exit 1
fi
log=$(mktemp) && trap 'rm -f "$log"' EXIT
status=0
for check in tests/twin/check_*.py; do
    echo "$check"
    "$python" "$check" 2>&1 | tee -a "$log"
    # the last line of each is "N passed, N failed, N skipped"
    tail -n 1 "$log" | grep -q '^[0-9]* passed, 0 failed' || status=1
done
awk '/^[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$/ { p += $1; f += $3; s += $5 } END { print p " passed, " f " failed, " s " skipped" }' "$log" >"$log.sum"
echo "twin:"
cat "$log.sum"
rm -f "$log.sum"
exit $status
