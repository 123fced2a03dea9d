// What tests ask of the stand-in for libcuda (fake_cuda.cpp): what its GPU is like, what goes wrong, and what was called.
#ifndef LEAT_TEST_UNIT_DEVICE_FAKE_CUDA_H
#define LEAT_TEST_UNIT_DEVICE_FAKE_CUDA_H

#include <cstdint>

struct FakeCuda {
  int gpus = 1, major = 8, minor = 0, cacheBytes = 1 << 16, sharedBytes = 163 << 10;
  int64_t memory = int64_t(1) << 32; // bytes that can be allocated at a time
  bool refusePtx = false;            // the driver's compiler finds a mistake
  // How often each was called; `clusters`: launches that asked for some.
  int clusters = 0, launches = 0, graphLaunches = 0, graphsMade = 0, graphsUpdated = 0, copiesIn = 0, copiesOut = 0, fills = 0,
      synchronizations = 0, modules = 0;
  int branches = 0;              // launches of graphs that had to wait for less than all launches before them
  int64_t held = 0;              // bytes allocated now
  int streams = 0, contexts = 0; // open now
};

// The one that the library works with; a test resets it.
using FakeCudaState = FakeCuda *(*)(); // symbol: leat_fake_cuda_state

#endif
