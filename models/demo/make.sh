#!/bin/sh
# Owns the whole way from nothing to demo.gguf: tokenizer, training, export, evaluation.
#
#   sudo apt-get install python3-torch python3-numpy python3-regex python3-jinja2 libopenblas0-pthread
#   sh models/demo/make.sh [folder for checkpoints, default /tmp/demo-train]
#
# With an NVIDIA GPU and torch 2.4 or newer: about 6 minutes of training, as the file here was made. Without: 2,000 steps on one core,
# which see an eightieth of the text; a run that is stopped goes on from its last checkpoint. Never part of install, test or CI.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=${1:-/tmp/demo-train}
python=${PYTHON:-/usr/bin/python3}
mkdir -p "$work"
cd "$here"

# One thread, and a malloc that keeps its pages: the second is worth 5 % of the speed.
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE=1
export MALLOC_MMAP_THRESHOLD_=4000000000 MALLOC_TRIM_THRESHOLD_=8000000000 MALLOC_TOP_PAD_=500000000

[ -f tokenizer.json ] || "$python" bpe.py --out tokenizer.json
if "$python" -c "import torch, sys; sys.exit(not torch.cuda.is_available())"; then
  "$python" train.py --tokenizer tokenizer.json --dir "$work/first" --seconds 245
  "$python" train.py --tokenizer tokenizer.json --dir "$work/run" --seconds 88 --seed 2 --start "$work/first/last.pt"
else
  # With Debian's reference BLAS this takes ten times as long.
  update-alternatives --query libblas.so.3-x86_64-linux-gnu 2>/dev/null | grep -q '^Value:.*openblas' || echo "warning: libblas.so.3 is not OpenBLAS" >&2
  "$python" train.py --tokenizer tokenizer.json --dir "$work/run" --steps 2000
fi
"$python" export.py --checkpoint "$work/run/last.pt" --tokenizer tokenizer.json --out demo.gguf --decide 7
"$python" evaluate.py --model demo.gguf -n 200
