#!/usr/bin/env bash
# Makes the .ptx files of this folder: from .cu files with the CUDA toolkit's nvcc, from .cpp files with clang. The tests read the .ptx and need
# no toolkit.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
nvcc=${NVCC:-nvcc}
clang=${CLANG:-clang++-22}
header() { # header SOURCE COMPILER options...: the first line, and the text without comments and empty lines
  echo "// Made from $1 by generate.sh: ${*:2}"
  sed -e '/^[[:space:]]*\/\//d' -e 's/[[:space:]]*\/\/ .*$//' -e '/^[[:space:]]*$/d'
}
cuda() { # cuda SOURCE OUTPUT options...
  "$nvcc" -ptx "${@:3}" "$1" -o "$2.tmp"
  header "$1" "nvcc $("$nvcc" --version | sed -n 's/.*release \([0-9.]*\),.*/\1/p')" "${@:3}" <"$2.tmp" >"$2"
  rm "$2.tmp"
}
llvm() { # llvm SOURCE OUTPUT options...
  "$clang" --target=nvptx64-nvidia-cuda -S "${@:3}" "$1" -o - | header "$1" "clang $("$clang" -dumpversion)" "${@:3}" >"$2"
}
cuda scalar.cu scalar.ptx -arch=sm_80 -O3
cuda scalar.cu scalar_unoptimised.ptx -arch=sm_80 -Xcicc -O0
cuda sm80.cu sm80.ptx -arch=sm_80 -O3
cuda sm90.cu sm90.ptx -gencode arch=compute_90a,code=sm_90a -O3
llvm scalar_llvm.cpp scalar_llvm.ptx -march=sm_80 -O3 -ffp-contract=off -fno-math-errno
llvm scalar_llvm.cpp scalar_llvm_unoptimised.ptx -march=sm_80 -O0 -ffp-contract=off -fno-math-errno
