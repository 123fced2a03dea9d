// Runs kernels in process: textual leat.kernel_func ops through the CPU passes and LLVM's JIT, then called through LeatKernel's functions
// on plain arrays. Every buffer has guard bytes behind it, results start poisoned, and tasks run in two halves, the second half first.
#pragma once

#include "leat/KernelABI.h"
#include "passes/CPU/Target.h"

#include <cstring>
#include <memory>
#include <string>
#include <vector>

namespace leat::test {

/// A tensor on the host. `type` as in MLIR: f32, f16, i64, i1, ...
struct Array {
  std::string type;
  std::vector<int64_t> dims;
  std::vector<unsigned char> bytes;

  Array() = default;
  Array(std::string type, std::vector<int64_t> dims);
  static Array f32(std::vector<int64_t> dims, std::vector<float> values);
  static Array i64(std::vector<int64_t> dims, std::vector<int64_t> values);
  /// Uniform in [lo, hi], rounded to the type; the same for the same seed.
  static Array random(std::string type, std::vector<int64_t> dims, uint32_t seed, double lo = -1, double hi = 1);

  int64_t size() const;
  int64_t elementBytes() const;
  double at(int64_t i) const;
  void set(int64_t i, double value);
  std::vector<double> values() const;
  int64_t length = 0; ///< live entries, if it is a state
};

class Kernels {
public:
  /// Compiles a module of kernel functions. `bits`: vector width; 128 is the portable baseline, 256 has FMA and F16C, 512 AVX-512.
  /// Prints the reason and returns null on error.
  /// `more`: names of further processor features that the code may use.
  static std::unique_ptr<Kernels> compile(const std::string &text, unsigned bits, const std::vector<std::string> &more = {});
  /// Widths of vectors that tests of kernels go through.
  static std::vector<unsigned> widths();
  /// A kernel adds in the same order however many rows there are: results of a row do not depend on those around it.
  static bool oneForm();
  /// Weights may be stored in the layouts of leat-pack-params.
  static bool readsPacked();
  /// Elementary functions of f64 are there: calls of the mathematical library.
  static bool hasLibrary();
  /// A run takes long.
  static bool isSimulated();
  static bool hostHas(const std::string &feature);
  static leat::cpu::Target target(unsigned bits);
  /// False if this machine lacks the instructions.
  static bool supported(unsigned bits);
  ~Kernels();

  /// Runs a kernel. `results`: arrays of the right type and dims, whose contents are replaced. States among `inputs` are updated.
  void run(const std::string &name, std::vector<Array *> inputs, std::vector<Array *> results, std::vector<int64_t> scalars = {});
  int64_t lastTasks = 0;
  int64_t lastCost[LEAT_COSTS] = {};
  void *symbol(const std::string &name);

private:
  struct Impl;
  std::unique_ptr<Impl> impl;
};

inline int64_t bitsOf(float v) {
  int32_t bits;
  std::memcpy(&bits, &v, 4);
  return bits;
}

/// 2^-24-relative distance of two numbers, NaN equal to NaN.
double ulps(double expected, double got);

} // namespace leat::test
