// What this machine can do at most, measured: the numbers beside which kernels are judged. The best of a few passes each.
#pragma once

#include "runtime/core/ThreadPool.h"
#include "runtime/device/Device.h"

namespace leat::driver {

/// Bytes per second that all threads read from memory far larger than the caches.
double readBandwidth(rt::ThreadPool &pool);

/// Operations per second on all threads, with the widest vectors the host has; 0 for what it has no instructions for. A multiply-add is
/// two.
struct ArithmeticRates {
  double f32 = 0;  ///< fused multiply-add
  double bf16 = 0; ///< vdpbf16ps
  double int8 = 0; ///< vpdpbusd
};
ArithmeticRates arithmeticRates(rt::ThreadPool &pool);

/// Bytes per second that a device reads and writes when it copies memory far larger than its caches.
double deviceBandwidth(rt::Device &device);

} // namespace leat::driver
