#!/bin/sh
# Owns the whole way from nothing to demo.gguf: tokenizer, training, export, evaluation. About 100 minutes of one core.
#
#   sudo apt-get install python3-torch python3-numpy python3-regex python3-jinja2 libopenblas0-pthread
#   sh models/demo/make.sh [folder for checkpoints, default /tmp/demo-train]
#
# A run that is stopped goes on from its last checkpoint. Never part of install, test or CI.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=${1:-/tmp/demo-train}
python=${PYTHON:-/usr/bin/python3}
mkdir -p "$work"
cd "$here"

# One thread, and a malloc that keeps its pages: the second is worth 5 % of the speed.
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE=1
export MALLOC_MMAP_THRESHOLD_=4000000000 MALLOC_TRIM_THRESHOLD_=8000000000 MALLOC_TOP_PAD_=500000000

# With Debian's reference BLAS all this takes ten times as long.
update-alternatives --query libblas.so.3-x86_64-linux-gnu 2>/dev/null | grep -q '^Value:.*openblas' || echo "warning: libblas.so.3 is not OpenBLAS" >&2

[ -f tokenizer.json ] || "$python" bpe.py --out tokenizer.json
"$python" train.py --tokenizer tokenizer.json --dir "$work/run" --steps 1860 --decay 1160
"$python" train.py --tokenizer tokenizer.json --dir "$work/run" --steps 1945 --decay 500
"$python" export.py --checkpoint "$work/run/last.pt" --tokenizer tokenizer.json --out demo.gguf
"$python" evaluate.py --model demo.gguf -n 200
