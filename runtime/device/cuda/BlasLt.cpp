// See BlasLt.h.
#include "runtime/device/cuda/BlasLt.h"

#include <dlfcn.h>

namespace leat::rt::cuda::blaslt {

// By their names a library is found where the system looks, and also one that the process has loaded already, from a Python package, say.
static constexpr const char *names[] = {"libcublasLt.so.13", "/usr/local/cuda/lib64/libcublasLt.so.13", "libcublasLt.so.12",
                                        "/usr/local/cuda/lib64/libcublasLt.so.12"};

std::string Library::describe(Code code) const { return statusName ? statusName(code) : "code " + std::to_string(code); }

// Adds to `why` what is wrong with it.
static bool openOne(const char *name, Library &library, std::string &why) {
  why += why.empty() ? "" : "; ";
  void *handle = dlopen(name, RTLD_NOW | RTLD_LOCAL);
  if (!handle) {
    why += printable(dlerror());
    return false;
  }
  const char *missing = nullptr;
#define LEAT_BLASLT_LOAD(field, symbol, parameters)                                                                                        \
  if (!(library.field = reinterpret_cast<decltype(library.field)>(dlsym(handle, symbol))))                                                 \
    missing = symbol;
  LEAT_BLASLT_FUNCTIONS(LEAT_BLASLT_LOAD)
#undef LEAT_BLASLT_LOAD
  library.statusName = reinterpret_cast<decltype(library.statusName)>(dlsym(handle, "cublasLtGetStatusName"));
  Code code = missing ? done : library.create(&library.handle);
  if (!missing && code == done)
    return true;
  why += missing ? formatText("%s has no %s", name, missing) : formatText("%s does not start: %s", name, library.describe(code).c_str());
  dlclose(handle);
  return false;
}

rt::Result<Library> open(const char *library) {
  std::string why;
  Library opened;
  if (library && openOne(library, opened, why))
    return opened;
  if (!library)
    for (const char *name : names)
      if (openOne(name, opened, why))
        return opened;
  return error(rt::Code::Unsupported, "cuBLASLt cannot be opened: %s", why.c_str());
}

} // namespace leat::rt::cuda::blaslt
