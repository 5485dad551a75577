#!/bin/sh
# setup.sh [DIR] -- the peers that bench/peers.sh runs, in a Python environment outside any checkout (NIB_PEERS, or DIR); takes
# some minutes once.  Prints the environment's python.
set -e
home=${1:-${NIB_PEERS:-${XDG_CACHE_HOME:-$HOME/.cache}/nib-peers}}
[ -x "$home/bin/python" ] || python3 -m venv "$home" >&2
"$home/bin/python" -c 'import torch, tiktoken, tokenizers, transformers, gguf, llama_cpp' 2>/dev/null ||
    "$home/bin/pip" install -q numpy torch==2.13.0 tiktoken tokenizers transformers safetensors gguf llama-cpp-python requests >&2
echo "$home/bin/python"
