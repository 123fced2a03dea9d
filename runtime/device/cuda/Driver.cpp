// See Driver.h.
#include "runtime/device/cuda/Driver.h"

#include <dlfcn.h>
#include <memory>

namespace leat::rt::cuda {

rt::Result<Driver> openDriver(const char *library) {
  const char *name = library ? library : "libcuda.so.1";
  void *handle = dlopen(name, RTLD_NOW | RTLD_LOCAL);
  if (!handle)
    return error(
        Code::Unsupported,
        "there is no NVIDIA driver on this machine (%s): run with --device=sim, which executes the same kernels on the CPU, slowly, or "
        "compile with --target=cpu",
        printable(dlerror()).c_str());
  Driver driver;
  const char *missing = nullptr;
#define LEAT_CUDA_LOAD(field, symbol, parameters)                                                                                          \
  if (!(driver.field = reinterpret_cast<decltype(driver.field)>(dlsym(handle, symbol))))                                                   \
    missing = symbol;
#define LEAT_CUDA_TRY(field, symbol, parameters) driver.field = reinterpret_cast<decltype(driver.field)>(dlsym(handle, symbol));
  LEAT_CUDA_FUNCTIONS(LEAT_CUDA_LOAD)
  LEAT_CUDA_OPTIONAL(LEAT_CUDA_TRY)
#undef LEAT_CUDA_LOAD
#undef LEAT_CUDA_TRY
  if (missing) {
    dlclose(handle);
    return error(Code::Unsupported, "the NVIDIA driver (%s) is too old: it has no %s; CUDA 12 or later is needed", name, missing);
  }
  return driver;
}

std::string Driver::describe(Result code) const {
  const char *name = nullptr, *text = nullptr;
  errorName(code, &name);
  errorString(code, &text);
  return formatText("%s: %s", name ? name : "an unknown code", text ? text : std::to_string(code).c_str());
}

} // namespace leat::rt::cuda
