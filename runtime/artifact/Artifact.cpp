// Opening an artifact and loading its code.
#include "runtime/artifact/Artifact.h"
#include "runtime/artifact/CpuFeatures.h"

#include <cerrno>
#include <cstring>
#include <dlfcn.h>
#include <elf.h>
#include <sys/mman.h>
#include <unistd.h>

namespace leat::rt {

namespace {

// FNV-1a over what decides whether a saved state fits.
class Hash {
public:
  void add(const void *data, size_t size) {
    for (size_t i = 0; i < size; ++i)
      value = (value ^ static_cast<const uint8_t *>(data)[i]) * 0x100000001b3ull;
  }
  void add(int64_t number) { add(&number, sizeof(number)); }
  void add(const std::string &text) {
    add(static_cast<int64_t>(text.size()));
    add(text.data(), text.size());
  }
  uint64_t value = 0xcbf29ce484222325ull;
};

uint64_t hashForState(const ManifestInfo &info, uint32_t weightsCrc) {
  Hash hash;
  hash.add(weightsCrc);
  for (const FunctionInfo &function : info.functions) {
    hash.add(function.name);
    for (const auto *list : {&function.inputs, &function.outputs})
      for (const TensorInfo &tensor : *list) {
        hash.add(tensor.name);
        hash.add(static_cast<int64_t>(tensor.dtype));
        for (const DimInfo &dim : tensor.dims)
          hash.add(dim.value);
      }
  }
  for (const StateInfo &state : info.states) {
    hash.add(state.name);
    for (int64_t number :
         {int64_t(state.dtype), int64_t(state.growth), int64_t(state.axis), int64_t(state.batchAxis), state.sink, state.ring})
      hash.add(number);
    for (int i = 0; i < state.dims.rank; ++i)
      hash.add(state.dims[i]);
  }
  for (const auto &[key, value] : info.options)
    if (key == "kv" || key == "stream") {
      hash.add(key);
      hash.add(value);
    }
  return hash.value;
}

} // namespace

Result<std::unique_ptr<Artifact>> Artifact::parse(std::span<const uint8_t> bytes, const ContainerChecks &checks) {
  auto artifact = std::make_unique<Artifact>();
  artifact->bytes = bytes;
  Result<std::vector<Section>> sections = parseContainer(bytes, artifactMagic, artifactFormat, "artifact", checks);
  if (!sections.ok())
    return sections.takeStatus();
  artifact->sections = std::move(*sections);
  const Section *manifest = findSection(artifact->sections, SectionKind::Manifest),
                *weights = findSection(artifact->sections, SectionKind::Weights);
  if (!manifest || !findSection(artifact->sections, SectionKind::HostCode))
    return error(Code::BadFile, "the artifact is damaged: it has no %s: recompile with leat compile", manifest ? "host code" : "manifest");
  if (weights)
    artifact->weights = weights->bytes;
  Result<ManifestInfo> info = decodeManifest(manifest->bytes, artifact->weights.size(), artifact->section(SectionKind::DeviceCode).size());
  if (!info.ok())
    return info.takeStatus();
  artifact->info = std::move(*info);
  artifact->hash = hashForState(artifact->info, weights ? weights->crc : 0);
  return artifact;
}

Result<std::unique_ptr<Artifact>> Artifact::open(const std::string &path, const ContainerChecks &checks) {
  Result<MappedFile> file = MappedFile::open(path);
  if (!file.ok())
    return file.takeStatus();
  Result<std::unique_ptr<Artifact>> artifact = parse({file->data(), file->size()}, checks);
  if (!artifact.ok())
    return artifact.takeStatus().withContext("'" + printable(path, 400) + "'");
  (*artifact)->file = std::move(*file);
  return artifact;
}

std::span<const uint8_t> Artifact::section(SectionKind kind) const {
  const Section *section = findSection(sections, kind);
  return section ? section->bytes : std::span<const uint8_t>();
}

// What the system's loader would take on faith: that the file is for this machine and its segments lie inside it.
static Status checkElf(std::span<const uint8_t> code) {
  auto damaged = [](const char *what) {
    return error(Code::BadFile, "the artifact's code is damaged: %s: recompile with leat compile", what);
  };
  Elf64_Ehdr header;
  if (code.size() < sizeof(header))
    return damaged("it is too short");
  std::memcpy(&header, code.data(), sizeof(header));
  if (std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_ident[EI_CLASS] != ELFCLASS64 ||
      header.e_ident[EI_DATA] != ELFDATA2LSB || header.e_type != ET_DYN)
    return damaged("it is not a 64-bit shared object");
#if defined(__x86_64__)
  constexpr int machine = EM_X86_64;
#else
  constexpr int machine = EM_AARCH64;
#endif
  if (header.e_machine != machine)
    return error(Code::Unsupported,
                 "the artifact's code is for another kind of machine (ELF machine %d, this is %d): recompile with leat compile here",
                 header.e_machine, machine);
  if (header.e_phentsize != sizeof(Elf64_Phdr) || header.e_phoff > code.size() ||
      header.e_phnum * sizeof(Elf64_Phdr) > code.size() - header.e_phoff)
    return damaged("its program headers lie outside of it");
  for (int i = 0; i < header.e_phnum; ++i) {
    Elf64_Phdr segment;
    std::memcpy(&segment, code.data() + header.e_phoff + i * sizeof(segment), sizeof(segment));
    if (segment.p_offset > code.size() || segment.p_filesz > code.size() - segment.p_offset)
      return damaged("a segment lies outside of it");
  }
  return {};
}

LoadedCode::~LoadedCode() {
  if (handle)
    dlclose(handle);
  if (memory >= 0)
    ::close(memory);
}

Result<std::unique_ptr<LoadedCode>> LoadedCode::load(const Artifact &artifact) {
  const ManifestInfo &info = artifact.manifest();
  std::span<const uint8_t> code = artifact.section(SectionKind::HostCode);
  if (Status status = checkCpuFeatures(info.features); !status.ok())
    return status;
  if (Status status = checkElf(code); !status.ok())
    return status;

  int fd = memfd_create("leat-code", MFD_CLOEXEC);
  if (fd < 0)
    return error(Code::Io, "cannot make memory for the artifact's code: %s", std::strerror(errno));
  // Open as long as the code is loaded: the loader takes an object by its path before it looks at the file, so the descriptor's number must
  // not be given to another artifact.
  std::unique_ptr<LoadedCode> loaded(new LoadedCode);
  loaded->memory = fd;
  Status status;
  while (!code.empty() && status.ok()) {
    ssize_t put = ::write(fd, code.data(), code.size());
    if (put < 0 && errno != EINTR)
      status = error(Code::Capacity, "cannot copy the artifact's code: %s", std::strerror(errno));
    else if (put > 0)
      code = code.subspan(put);
  }
  if (status.ok()) {
    loaded->handle = dlopen(formatText("/proc/self/fd/%d", fd).c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!loaded->handle)
      status = error(Code::BadFile, "cannot load the artifact's code: %s", printable(dlerror()).c_str());
  }
  if (!status.ok())
    return status;

  auto missing = [](const std::string &symbol) {
    return error(Code::BadFile, "the artifact's code lacks the symbol '%s': recompile with leat compile", printable(symbol).c_str());
  };
  loaded->table = static_cast<const LeatKernel *>(dlsym(loaded->handle, "leat_kernels"));
  if (!loaded->table && !info.kernels.empty())
    return missing("leat_kernels");
  if (!info.device.api.empty()) {
    loaded->devices = static_cast<const LeatDeviceKernel *>(dlsym(loaded->handle, "leat_device_kernels"));
    if (!loaded->devices && !info.kernels.empty())
      return missing("leat_device_kernels");
  }
  for (size_t i = 0; i < info.kernels.size(); ++i)
    if (info.kernels[i].onDevice() ? !loaded->devices[i].geometry || (!info.kernels[i].gemm.empty() && !loaded->devices[i].gemm)
                                   : !loaded->table[i].run || !loaded->table[i].tasks || (loaded->devices && !loaded->devices[i].extents))
      return error(Code::BadFile, "kernel '%s' has no code: recompile with leat compile", printable(info.kernels[i].name).c_str());
  for (const FunctionInfo &function : info.functions) {
    void *address = dlsym(loaded->handle, function.symbol.c_str());
    if (!address)
      return missing(function.symbol);
    loaded->functions.push_back(reinterpret_cast<LeatFunction>(address));
  }
  return loaded;
}

} // namespace leat::rt
