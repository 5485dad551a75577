#!/bin/sh
# run.sh [CHECK.py ...] -- what needs Python: installs PyTorch (CPU), transformers, PEFT, tokenizers and TensorBoard once, outside the checkout, then
# makes the golden files anew and compares them, and lets the other tools read what nib writes.  Without arguments every
# check_*.py.  NIB_TWIN names the Python environment.  Ends with "N passed, N failed, N skipped"; exit status 1 if anything failed.
cd "$(dirname "$0")/../.." || exit 1
home=${NIB_TWIN:-${XDG_CACHE_HOME:-$HOME/.cache}/nib-twin}
python=$home/bin/python

is_complete() { "$python" -c 'import torch, transformers, peft, gguf, tokenizers, safetensors, tiktoken, tensorboard, unicodedata2, numpy, mpmath' 2>/dev/null; }

# Debian's python3 comes without ensurepip, which venv needs.
can_make() { python3 -c 'import ensurepip, venv' 2>/dev/null; }
get_venv() {
    sudo=
    [ "$(id -u)" = 0 ] || sudo=sudo
    echo "installing python3-venv"
    $sudo apt-get install -y -q python3-venv >/dev/null 2>&1 || { $sudo apt-get update -q && $sudo apt-get install -y -q python3-venv; } >/dev/null
}

# PyTorch's own index has a build without CUDA, a tenth of the size; where it cannot be reached, PyPI's will do.
make_complete() {
    echo "installing PyTorch, transformers, PEFT, tokenizers and TensorBoard into $home"
    if [ ! -x "$home/bin/pip" ]; then
        can_make || get_venv || return 1
        python3 -m venv "$home" || return 1
    fi
    "$home/bin/pip" install -q --timeout 10 --retries 0 torch --index-url https://download.pytorch.org/whl/cpu >/dev/null 2>&1 ||
        "$home/bin/pip" install -q torch || return 1
    "$home/bin/pip" install -q numpy safetensors tokenizers transformers peft tiktoken mpmath tensorboard unicodedata2 gguf && is_complete || return 1
    # It is compiled for some minutes; what needs it is skipped where that fails.
    CMAKE_ARGS="-DLLAVA_BUILD=OFF -DLLAMA_BUILD_TOOLS=OFF -DLLAMA_BUILD_COMMON=OFF" "$home/bin/pip" install -q llama-cpp-python >/dev/null 2>&1 || true
}

is_complete || make_complete || {
    echo "no Python environment in $home" >&2
    exit 1
}
make -s nib libnib.so >/dev/null || exit 1
[ $# -gt 0 ] || set -- tests/twin/check_*.py

log=$(mktemp) && trap 'rm -f "$log" "$log.status"' EXIT
passed=0 failed=0 skipped=0
for check in "$@"; do
    echo "== $check"
    start=$(date +%s)
    { PYTHONUNBUFFERED=1 "$python" "$check" 2>&1; echo $? >"$log.status"; } | tee "$log"
    # The last line of each is "N passed, N failed, N skipped".  A check that died before it could say so, or by its exit status
    # says otherwise, has failed.
    counts=$(tail -n 1 "$log" | sed -n 's/^\([0-9]*\) passed, \([0-9]*\) failed, \([0-9]*\) skipped$/\1 \2 \3/p')
    read -r p f s <<END
${counts:-0 1 0}
END
    if [ "$f" -eq 0 ] && [ "$(cat "$log.status")" != 0 ]; then f=1; fi
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
    echo "   $(($(date +%s) - start)) s"
done
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
