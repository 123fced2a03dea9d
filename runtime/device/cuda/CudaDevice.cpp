// See CudaDevice.h.
#include "runtime/device/cuda/CudaDevice.h"
#include "runtime/device/cuda/CudaQueue.h"
#include "runtime/device/cuda/Driver.h"

#include <algorithm>
#include <cstdlib>
#include <vector>

namespace leat::rt {

namespace cuda {
namespace {

class CudaDevice : public Device {
public:
  static rt::Result<std::shared_ptr<Device>> open(const char *library, const char *gemmLibrary);
  ~CudaDevice() override;

  const std::string &name() const override { return title; }
  int64_t multiprocessors() const override { return processors; }
  rt::Result<void *> allocate(int64_t bytes, const char *what) override;
  void release(void *memory) override;
  rt::Result<void *> adopt(const void *host, int64_t bytes, const char *what) override;
  rt::Result<void *> allocateHost(int64_t bytes) override;
  void releaseHost(void *memory) override;
  rt::Result<void *> load(const ModuleCode &code, const std::string &name) override;
  rt::Result<void *> entry(void *module, const std::string &symbol) override;
  Status encodeTensorMap(const LeatTensorMap &map, void *base, void *bytes) override;
  Status openGemmLibrary() override;
  rt::Result<std::unique_ptr<Queue>> createQueue() override {
    return CudaQueue::create(driver, context, *this, cache, blas.handle ? &blas : nullptr);
  }

private:
  Status check(Result code, const char *what) const {
    return code == success ? Status() : error(Code::Failed, "the GPU's driver failed %s: %s", what, driver.describe(code).c_str());
  }
  // The context is the thread's; calls come from any.
  void use() { driver.setContext(context); }
  Status checkGpu(const std::string &needed) const;
  bool cubinFits(const std::string &gpu) const;

  Driver driver;
  DeviceId device = 0;
  ContextHandle *context = nullptr;
  int major = 0, minor = 0, cache = 0, processors = 0; // compute capability; bytes of the second-level cache
  std::string title;
  std::string blasName; // of a library that stands in for cuBLASLt
  blaslt::Library blas; // without a handle: not opened
  std::vector<ModuleHandle *> modules;
};

rt::Result<std::shared_ptr<Device>> CudaDevice::open(const char *library, const char *gemmLibrary) {
  rt::Result<Driver> driver = openDriver(library);
  if (!driver.ok())
    return driver.takeStatus();
  auto opened = std::make_shared<CudaDevice>();
  opened->blasName = gemmLibrary ? gemmLibrary : "";
  const Driver &d = opened->driver = *driver;
  int32_t count = 0;
  Result code = d.init(0);
  if (code == success)
    code = d.deviceCount(&count);
  if (code == noDevice || (code == success && count == 0))
    return error(Code::Unsupported,
                 "the NVIDIA driver sees no GPU: run with --device=sim, which executes the same kernels on the CPU, slowly, "
                 "or compile with --target=cpu");
  LEAT_RETURN_IF_ERROR(opened->check(code, "to start"));
  LEAT_RETURN_IF_ERROR(opened->check(d.deviceGet(&opened->device, 0), "to open the GPU"));
  char name[256] = "";
  LEAT_RETURN_IF_ERROR(opened->check(d.deviceName(name, sizeof(name), opened->device), "to name the GPU"));
  LEAT_RETURN_IF_ERROR(opened->check(d.deviceAttribute(&opened->major, capabilityMajor, opened->device), "to describe the GPU"));
  LEAT_RETURN_IF_ERROR(opened->check(d.deviceAttribute(&opened->minor, capabilityMinor, opened->device), "to describe the GPU"));
  LEAT_RETURN_IF_ERROR(opened->check(d.deviceAttribute(&opened->cache, cacheBytes, opened->device), "to describe the GPU"));
  LEAT_RETURN_IF_ERROR(opened->check(d.deviceAttribute(&opened->processors, multiprocessorCount, opened->device), "to describe the GPU"));
  opened->title = formatText("%s (sm_%d%d)", printable(name).c_str(), opened->major, opened->minor);
  LEAT_RETURN_IF_ERROR(opened->check(d.retainContext(&opened->context, opened->device), "to make a context"));
  LEAT_RETURN_IF_ERROR(opened->check(d.setContext(opened->context), "to use its context"));
  return std::shared_ptr<Device>(std::move(opened));
}

CudaDevice::~CudaDevice() {
  if (!context)
    return;
  use();
  if (blas.handle)
    blas.destroy(blas.handle);
  for (ModuleHandle *module : modules)
    driver.unloadModule(module);
  driver.releaseContext(device);
}

Status CudaDevice::openGemmLibrary() {
  use();
  rt::Result<blaslt::Library> opened = blaslt::open(blasName.empty() ? nullptr : blasName.c_str());
  if (!opened.ok())
    return opened.takeStatus();
  blas = *opened;
  return {};
}

rt::Result<void *> CudaDevice::allocate(int64_t bytes, const char *what) {
  use();
  Pointer memory = 0;
  Result code = driver.allocate(&memory, static_cast<size_t>(std::max<int64_t>(bytes, 256)));
  if (code == outOfMemory) {
    size_t free = 0, total = 0;
    driver.memoryInfo(&free, &total);
    return error(Code::Capacity,
                 "out of memory on %s: %lld bytes for %s were asked for, %zu of %zu are free: use a smaller batch, context or input, or "
                 "weights in fewer bits",
                 title.c_str(), (long long)bytes, what, free, total);
  }
  LEAT_RETURN_IF_ERROR(check(code, "to allocate memory"));
  return reinterpret_cast<void *>(memory);
}

void CudaDevice::release(void *memory) {
  use();
  driver.release(reinterpret_cast<Pointer>(memory));
}

rt::Result<void *> CudaDevice::adopt(const void *host, int64_t bytes, const char *what) {
  rt::Result<void *> memory = allocate(bytes, what);
  if (!memory.ok() || bytes == 0)
    return memory;
  // On the legacy stream and waited for: every stream sees it afterwards.
  Status status = check(driver.copyIn(reinterpret_cast<Pointer>(*memory), host, static_cast<size_t>(bytes), nullptr), "to copy to the GPU");
  if (status.ok())
    status = check(driver.synchronize(nullptr), "to copy to the GPU");
  if (status.ok())
    return memory;
  release(*memory);
  return status;
}

rt::Result<void *> CudaDevice::allocateHost(int64_t bytes) {
  use();
  void *memory = nullptr;
  if (driver.allocateHost(&memory, static_cast<size_t>(std::max<int64_t>(bytes, 64))) != success)
    return error(Code::Capacity, "out of page-locked host memory for a result of %lld bytes", (long long)bytes);
  return memory;
}

void CudaDevice::releaseHost(void *memory) {
  use();
  driver.releaseHost(memory);
}

/// The numbers of "sm_90a"; `exact`: with the "a", code for this architecture and no other.
void parseGpu(const std::string &gpu, int &major, int &minor, bool &exact) {
  exact = !gpu.empty() && gpu.back() == 'a';
  int number = gpu.size() > 3 ? std::atoi(gpu.c_str() + 3) : 0;
  major = number / 10, minor = number % 10;
}

Status CudaDevice::checkGpu(const std::string &needed) const {
  int wantMajor, wantMinor;
  bool exact;
  parseGpu(needed, wantMajor, wantMinor, exact);
  bool fits = exact ? major == wantMajor && minor == wantMinor : major > wantMajor || (major == wantMajor && minor >= wantMinor);
  if (fits)
    return {};
  return error(Code::Unsupported, "its code is for %s%s and this machine has %s: compile it with --target=cuda --gpu=%s", needed.c_str(),
               exact ? " only" : " or later", title.c_str(),
               major >= 8 ? "sm_80" : "... is of no use, older GPUs than sm_80 are not supported");
}

/// Machine code runs on GPUs of the same major version that are not older.
bool CudaDevice::cubinFits(const std::string &gpu) const {
  int builtMajor, builtMinor;
  bool exact;
  parseGpu(gpu, builtMajor, builtMinor, exact);
  return major == builtMajor && minor >= builtMinor;
}

rt::Result<void *> CudaDevice::load(const ModuleCode &code, const std::string &name) {
  LEAT_RETURN_IF_ERROR(checkGpu(code.gpu));
  use();
  ModuleHandle *module = nullptr;
  if (!code.cubin.empty() && cubinFits(code.gpu))
    if (driver.loadModule(&module, code.cubin.data(), 0, nullptr, nullptr) == success) {
      modules.push_back(module);
      return static_cast<void *>(module);
    }
  // The driver's own compiler takes text with a zero at its end.
  std::string text(code.ptx);
  std::vector<char> log(8192, 0);
  int32_t options[] = {jitErrorLog, jitErrorLogBytes};
  void *values[] = {log.data(), reinterpret_cast<void *>(log.size())};
  Result result = driver.loadModule(&module, text.c_str(), 2, options, values);
  log.back() = 0;
  if (result != success)
    return error(result == unsupportedPtxVersion ? Code::Unsupported : Code::Failed, "%s: the driver cannot load the code on %s: %s%s%s%s",
                 name.c_str(), title.c_str(), driver.describe(result).c_str(), log[0] ? ": " : "", printable(log.data(), 400).c_str(),
                 result == unsupportedPtxVersion ? ": the driver is older than the code; update it, or compile with --gpu=sm_80" : "");
  modules.push_back(module);
  return static_cast<void *>(module);
}

rt::Result<void *> CudaDevice::entry(void *module, const std::string &symbol) {
  use();
  FunctionHandle *function = nullptr;
  if (Result code = driver.getFunction(&function, static_cast<ModuleHandle *>(module), symbol.c_str()); code != success)
    return error(Code::BadFile, "the artifact's device code has no entry '%s' (%s): recompile with leat compile", printable(symbol).c_str(),
                 driver.describe(code).c_str());
  return static_cast<void *>(function);
}

/// CUtensorMapDataType of ONNX's element type; -1: none.
int32_t tensorMapType(int64_t dtype) {
  switch (dtype) {
  case 1:
    return 7; // f32
  case 10:
    return 6; // f16
  case 16:
    return 9; // bf16
  case 11:
    return 8; // f64
  case 4:
  case 5:
    return 1;
  case 6:
    return 3;
  case 12:
    return 2;
  case 7:
    return 5;
  case 13:
    return 4;
  case 2:
  case 3:
  case 9:
  case 17:
  case 18:
  case 19:
  case 20:
    return 0; // bytes
  default:
    return -1;
  }
}

Status CudaDevice::encodeTensorMap(const LeatTensorMap &map, void *base, void *bytes) {
  if (!driver.encodeTiled)
    return error(Code::Unsupported, "the NVIDIA driver is too old: it has no cuTensorMapEncodeTiled; CUDA 12 or later is needed");
  int32_t type = tensorMapType(map.dtype);
  if (type < 0 || map.rank < 1 || map.rank > 5)
    return error(Code::Internal, "a tensor map of rank %lld over elements of type %lld cannot be made", (long long)map.rank,
                 (long long)map.dtype);
  uint64_t dims[5], strides[5];
  uint32_t box[5], steps[5] = {1, 1, 1, 1, 1};
  for (int64_t d = 0; d < map.rank; ++d) {
    dims[d] = static_cast<uint64_t>(map.dims[d]);
    strides[d] = static_cast<uint64_t>(map.strides[d]);
    box[d] = static_cast<uint32_t>(map.box[d]);
  }
  int32_t swizzle = map.swizzle == 128 ? 3 : map.swizzle == 64 ? 2 : map.swizzle == 32 ? 1 : 0;
  Result code =
      driver.encodeTiled(bytes, type, static_cast<uint32_t>(map.rank), base, dims, strides + 1, box, steps, /*interleave=*/0, swizzle,
                         /*promotion=*/2, /*fill=*/0);
  return check(code, "to encode a tensor map");
}

} // namespace
} // namespace cuda

Result<std::shared_ptr<Device>> openCudaDevice(const char *library, const char *gemmLibrary) {
  return cuda::CudaDevice::open(library, gemmLibrary);
}

} // namespace leat::rt
