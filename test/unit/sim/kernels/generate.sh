#!/usr/bin/env bash
# Makes the .ptx files of this folder from the .cu files, with the CUDA toolkit's nvcc. The tests read the .ptx and need no toolkit.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
nvcc=${NVCC:-nvcc}
make() { # make SOURCE OUTPUT options...
  local source=$1 output=$2 text
  shift 2
  text=$("$nvcc" -ptx "$@" "$source" -o - 2>/dev/null || { "$nvcc" -ptx "$@" "$source" -o "$output.tmp" && cat "$output.tmp" && rm "$output.tmp"; })
  {
    echo "// Made from $source by generate.sh: nvcc $("$nvcc" --version | sed -n 's/.*release \([0-9.]*\),.*/\1/p') $*"
    sed -e '/^\/\//d' -e '/^[[:space:]]*\/\/ /d' -e '/^[[:space:]]*$/d' <<<"$text"
  } >"$output"
}
make scalar.cu scalar.ptx -arch=sm_80 -O3
make scalar.cu scalar_unoptimised.ptx -arch=sm_80 -Xcicc -O0
make sm80.cu sm80.ptx -arch=sm_80 -O3
[ -e sm90.cu ] && make sm90.cu sm90.ptx -gencode arch=compute_90a,code=sm_90a -O3
