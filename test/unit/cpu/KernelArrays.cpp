// Arrays of tests: elements of any type as doubles.
#include "KernelJit.h"

#include "llvm/ADT/APFloat.h"

#include <cmath>
#include <random>

namespace leat::test {

static int64_t bytesOf(const std::string &type) {
  if (type == "i1" || type == "i4")
    return 1;
  if (type == "index")
    return 8;
  if (type == "bf16")
    return 2;
  return std::stoi(type.substr(1)) / 8;
}

static const llvm::fltSemantics *semantics(const std::string &type) {
  return type == "f16" ? &llvm::APFloat::IEEEhalf() : type == "bf16" ? &llvm::APFloat::BFloat() : nullptr;
}

Array::Array(std::string type, std::vector<int64_t> dims) : type(std::move(type)), dims(std::move(dims)) {
  bytes.resize(size() * elementBytes());
}

Array Array::f32(std::vector<int64_t> dims, std::vector<float> values) {
  Array a("f32", std::move(dims));
  std::memcpy(a.bytes.data(), values.data(), a.bytes.size());
  return a;
}

Array Array::i64(std::vector<int64_t> dims, std::vector<int64_t> values) {
  Array a("i64", std::move(dims));
  std::memcpy(a.bytes.data(), values.data(), a.bytes.size());
  return a;
}

Array Array::random(std::string type, std::vector<int64_t> dims, uint32_t seed, double lo, double hi) {
  Array a(std::move(type), std::move(dims));
  std::mt19937 generator(seed);
  std::uniform_real_distribution<double> uniform(lo, hi);
  for (int64_t i = 0; i < a.size(); ++i)
    a.set(i, a.type[0] == 'i' ? std::floor(uniform(generator)) : uniform(generator));
  return a;
}

int64_t Array::size() const {
  int64_t n = 1;
  for (int64_t d : dims)
    n *= d;
  return n;
}

int64_t Array::elementBytes() const { return bytesOf(type); }

double Array::at(int64_t i) const {
  const unsigned char *p = bytes.data() + i * elementBytes();
  auto as = [&](auto v) {
    std::memcpy(&v, p, sizeof v);
    return static_cast<double>(v);
  };
  if (type == "f32")
    return as(float());
  if (type == "f64")
    return as(double());
  if (const auto *format = semantics(type)) {
    uint16_t raw;
    std::memcpy(&raw, p, 2);
    llvm::APFloat value(*format, llvm::APInt(16, raw));
    bool loses;
    value.convert(llvm::APFloat::IEEEdouble(), llvm::APFloat::rmNearestTiesToEven, &loses);
    return value.convertToDouble();
  }
  switch (elementBytes()) {
  case 1:
    return as(int8_t());
  case 2:
    return as(int16_t());
  case 4:
    return as(int32_t());
  default:
    return as(int64_t());
  }
}

void Array::set(int64_t i, double value) {
  unsigned char *p = bytes.data() + i * elementBytes();
  auto put = [&](auto v) { std::memcpy(p, &v, sizeof v); };
  if (type == "f32")
    return put(static_cast<float>(value));
  if (type == "f64")
    return put(value);
  if (const auto *format = semantics(type)) {
    llvm::APFloat converted(value);
    bool loses;
    converted.convert(*format, llvm::APFloat::rmNearestTiesToEven, &loses);
    return put(static_cast<uint16_t>(converted.bitcastToAPInt().getZExtValue()));
  }
  switch (elementBytes()) {
  case 1:
    return put(static_cast<int8_t>(value));
  case 2:
    return put(static_cast<int16_t>(value));
  case 4:
    return put(static_cast<int32_t>(value));
  default:
    return put(static_cast<int64_t>(value));
  }
}

std::vector<double> Array::values() const {
  std::vector<double> all;
  for (int64_t i = 0; i < size(); ++i)
    all.push_back(at(i));
  return all;
}

double ulps(double expected, double got) {
  if (std::isnan(expected) || std::isnan(got))
    return std::isnan(expected) && std::isnan(got) ? 0 : INFINITY;
  if (static_cast<float>(expected) == static_cast<float>(got))
    return 0;
  if (std::isinf(expected) || std::isinf(got))
    return INFINITY;
  int exponent;
  std::frexp(expected, &exponent);
  return std::abs(expected - got) / std::ldexp(1.0, std::max(exponent, -125) - 24);
}

} // namespace leat::test
