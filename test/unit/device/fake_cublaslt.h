// What tests ask of the stand-in for libcublasLt (fake_cublaslt.cpp): what goes wrong, and what it was asked to multiply.
#ifndef LEAT_TEST_UNIT_DEVICE_FAKE_CUBLASLT_H
#define LEAT_TEST_UNIT_DEVICE_FAKE_CUBLASLT_H

#include <cstddef>
#include <cstdint>
#include <vector>

struct FakeBlasMatrix {
  int32_t type = -1;
  uint64_t rows = 0, columns = 0; // as the library sees them: elements of a column are adjacent
  int64_t stride = 0;             // from column to column
  int32_t batch = 1;
  int64_t batchStride = 0;
  bool operator==(const FakeBlasMatrix &) const = default;
};

struct FakeBlasProduct {
  int32_t compute = 0, scale = -1, transA = 0, transB = 0;
  uint32_t epilogue = 1;
  FakeBlasMatrix a, b, d;
  float alpha = 0, beta = -1;
};

struct FakeBlas {
  // What the library answers.
  int32_t createCode = 0, findCode = 0, multiplyCode = 0;
  int algorithms = 1;
  // What was asked.
  int searches = 0;
  uint32_t reductions = 7;               // that the last search allowed
  std::vector<FakeBlasProduct> products; // in the order of cublasLtMatmul
  int executed = 0;                      // products that were computed: those of a graph each time that it runs
  int open = 0;                          // handles, descriptions, layouts and preferences
};

// The one that the library works with; a test resets it.
using FakeBlasState = FakeBlas *(*)(); // symbol: leat_fake_cublaslt_state

#endif
