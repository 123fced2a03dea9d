// The fixture of tests that run one module of kernels at every vector width: compiled once per width, skipped where the processor lacks it.
#pragma once

#include "KernelJit.h"

#include <gtest/gtest.h>
#include <map>

namespace leat::test {

/// `text()` is the module. The parameter is the width in bits.
class KernelTest : public testing::TestWithParam<unsigned> {
protected:
  virtual const char *text() const = 0;
  void SetUp() override {
    if (!Kernels::supported(GetParam()))
      GTEST_SKIP() << "this processor has no vectors of " << GetParam() << " bits";
    static std::map<std::pair<const char *, unsigned>, std::unique_ptr<Kernels>> compiled;
    auto &known = compiled[{text(), GetParam()}];
    if (!known)
      known = Kernels::compile(text(), GetParam());
    jit = known.get();
    ASSERT_TRUE(jit);
  }
  Kernels *jit = nullptr;
};

} // namespace leat::test
