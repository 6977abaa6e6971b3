#!/bin/sh
# All that is measured on a GPU, in under 9 minutes, from a checkout: checks against float64 on the CPU, copy, step, W1, W2, W3, launch-bound
# levels, a batch. Needs JAX, NumPy, SciPy and h5py beside the checkout. Options: --cpu, --small (to try the script), --json FILE.
#     benchmarks/gpu.sh            PYTHON=python3.12 benchmarks/gpu.sh --cpu --small
set -eu
cd "$(dirname "$0")/.."
exec "${PYTHON:-python3}" -m benchmarks.gpu "$@"
