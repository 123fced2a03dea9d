// See DeviceProgram.h.
#include "runtime/device/DeviceProgram.h"

namespace leat::rt {

Result<std::unique_ptr<DeviceProgram>> DeviceProgram::create(std::shared_ptr<Device> device, const Artifact &artifact, GemmChoice gemm) {
  std::unique_ptr<DeviceProgram> program(new DeviceProgram);
  program->owner = std::move(device);
  const ManifestInfo &manifest = artifact.manifest();
  std::vector<void *> modules;
  for (const DeviceModuleInfo &info : manifest.device.modules) {
    std::span<const uint8_t> ptx = artifact.ptx(info);
    ModuleCode code{{reinterpret_cast<const char *>(ptx.data()), ptx.size()}, artifact.cubin(info), manifest.device.gpu};
    Result<void *> module = program->owner->load(code, "device module " + std::to_string(modules.size()));
    if (!module.ok())
      return module.takeStatus();
    modules.push_back(*module);
  }
  for (const KernelInfo &kernel : manifest.kernels) {
    std::vector<void *> &entries = program->kernelEntries.emplace_back();
    for (const EntryInfo &info : kernel.entries) {
      Result<void *> entry = program->owner->entry(modules[kernel.module], info.symbol);
      if (!entry.ok())
        return entry.takeStatus();
      entries.push_back(*entry);
    }
  }
  bool forced = gemm == GemmChoice::CublasLt, any = false;
  for (const KernelInfo &kernel : manifest.kernels)
    any |= program->byLibrary.emplace_back(!kernel.gemm.empty() && gemm != GemmChoice::Generated && (forced || kernel.cublaslt));
  if (any || forced)
    if (Status status = program->owner->openGemmLibrary(); !status.ok()) {
      if (forced)
        return std::move(status).withContext("products by cuBLASLt were asked for");
      program->byLibrary.assign(manifest.kernels.size(), false);
    }
  std::span<const uint8_t> weights = artifact.section(SectionKind::Weights);
  LEAT_RETURN_IF_ERROR(program->weights.adopt(*program->owner, weights.data(), static_cast<int64_t>(weights.size()), "the weights"));
  for (const ParamInfo &param : manifest.params)
    program->paramPointers.push_back(static_cast<uint8_t *>(program->weights.data()) + param.offset);
  return program;
}

Result<void *> DeviceProgram::constant(Queue &queue, const void *host, int64_t bytes) {
  std::lock_guard lock(mutex);
  DeviceMemory &memory = constants[host];
  if (!memory.data()) {
    LEAT_RETURN_IF_ERROR(queue.synchronize()); // a sequence that is being collected must not see an allocation
    LEAT_RETURN_IF_ERROR(memory.allocate(*owner, bytes, "a constant"));
    if (Status status = queue.copyIn(memory.data(), host, bytes); !status.ok()) {
      memory.release();
      return status;
    }
    // Other sessions, with queues of their own, may use it from now on.
    LEAT_RETURN_IF_ERROR(queue.synchronize());
  }
  return memory.data();
}

} // namespace leat::rt
