// A compiled model on disk: opened (mapped, checked, decoded), and its code loaded when it is to run.
#ifndef LEAT_RUNTIME_ARTIFACT_ARTIFACT_H
#define LEAT_RUNTIME_ARTIFACT_ARTIFACT_H

#include "leat/KernelABI.h"
#include "runtime/artifact/Container.h"
#include "runtime/artifact/Manifest.h"
#include "runtime/core/File.h"

#include <memory>

namespace leat::rt {

// The file and what it says. Nothing of it has run.
class Artifact {
public:
  // Opens and checks everything. The mapping lives as long as the object; do not overwrite the file in place meanwhile (replacing it is
  // fine).
  static Result<std::unique_ptr<Artifact>> open(const std::string &path, const ContainerChecks &checks = {});
  // The same over bytes that the caller keeps alive.
  static Result<std::unique_ptr<Artifact>> parse(std::span<const uint8_t> bytes, const ContainerChecks &checks = {});

  const ManifestInfo &manifest() const { return info; }
  std::span<const uint8_t> section(SectionKind kind) const;
  uint64_t fileSize() const { return bytes.size(); }
  const void *param(size_t index) const { return weights.data() + info.params[index].offset; }
  // For who has copied `bytes` of a section: gives back the memory that the mapping held for them.
  void dropPages(std::span<const uint8_t> bytes) const { file.dropPages(bytes); }
  // Device code of a module: PTX text, and machine code where there is some.
  std::span<const uint8_t> ptx(const DeviceModuleInfo &m) const {
    return section(SectionKind::DeviceCode).subspan(m.ptxOffset, m.ptxLength);
  }
  std::span<const uint8_t> cubin(const DeviceModuleInfo &m) const {
    return section(SectionKind::DeviceCode).subspan(m.cubinOffset, m.cubinLength);
  }
  // Tells apart models whose states do not fit each other: weights, function signatures, states and the options that shape a stream. Not
  // the machine code: a state moves between builds for different CPUs.
  uint64_t stateHash() const { return hash; }

private:
  MappedFile file;
  std::span<const uint8_t> bytes, weights;
  std::vector<Section> sections;
  ManifestInfo info;
  uint64_t hash = 0;
};

// The artifact's machine code for the CPU, mapped into the process.
class LoadedCode {
public:
  // Checks the host's CPU first, then the ELF headers, then maps. Loading code is an act of trust: it runs with the process's rights.
  static Result<std::unique_ptr<LoadedCode>> load(const Artifact &artifact);
  ~LoadedCode();
  LoadedCode(const LoadedCode &) = delete;
  LoadedCode &operator=(const LoadedCode &) = delete;

  const LeatKernel *kernels() const { return table; }
  const LeatDeviceKernel *deviceKernels() const { return devices; } // null without device code
  LeatFunction function(size_t index) const { return functions[index]; }

private:
  LoadedCode() = default;
  void *handle = nullptr;
  int memory = -1; // the file that the code was loaded from
  const LeatKernel *table = nullptr;
  const LeatDeviceKernel *devices = nullptr;
  std::vector<LeatFunction> functions;
};

} // namespace leat::rt

#endif
