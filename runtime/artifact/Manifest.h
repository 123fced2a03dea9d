// What an artifact says about itself, decoded and checked: from here on nothing looks at the file's own tables again.
#ifndef LEAT_RUNTIME_ARTIFACT_MANIFEST_H
#define LEAT_RUNTIME_ARTIFACT_MANIFEST_H

#include "runtime/core/Tensor.h"

#include <span>
#include <string>
#include <utility>
#include <vector>

namespace leat::rt {

struct DimInfo {
  std::string symbol; // may be empty for a dynamic dim that no other has to equal
  int64_t value = -1; // -1: dynamic
};

struct TensorInfo {
  std::string name;
  DType dtype = DType::Undefined;
  std::vector<DimInfo> dims;
};
// "[batch,?,64]"
std::string shapeText(const TensorInfo &info);

enum class Growth { Append = 0, Ring = 1, Fixed = 2, Counter = 3, Table = 4 };

struct StateInfo {
  std::string name, inputName, outputName;
  DType dtype = DType::Undefined;
  Shape dims; // -1 at `axis` (the capacity) and `batchAxis`, where the session decides
  Growth growth = Growth::Fixed;
  int axis = -1, batchAxis = -1;
  int64_t sink = 0, ring = 0;
  int64_t page = 0; // entries of a page

  // A pool of pages [pages, heads, page, size]; with growth Table the slot names them.
  bool isPool() const { return page > 0 && growth != Growth::Table; }
};

struct FunctionInfo {
  std::string name, symbol, kind;
  std::vector<TensorInfo> inputs, outputs;
  int slots = 0;
  int launches = -1, groups = -1; // as the program has them; -1: not known
};

struct EntryInfo {
  std::string symbol;
  int registers = -1, sharedBytes = -1, threads = -1; // -1: not known
};

struct KernelInfo {
  std::string name, description, strategy;
  // With device code:
  std::string kind; // "tuned", "generic", "host"
  int module = -1;
  std::vector<EntryInfo> entries; // one per phase
  int buffers = 0, scalars = 0;   // what an entry takes
  std::string gemm;               // of a plain product: what it multiplies, for people
  bool cublaslt = false;          // the schedule's choice for a plain product

  bool onDevice() const { return module >= 0; }
};

// Ranges of the device code section; a length of 0: there is none.
struct DeviceModuleInfo {
  uint64_t ptxOffset = 0, ptxLength = 0, cubinOffset = 0, cubinLength = 0;
};

struct DeviceInfo {
  std::string api; // "cuda"; empty: kernels run on the CPU
  std::string gpu; // "sm_80": this or later; "sm_90a": exactly this
  std::vector<DeviceModuleInfo> modules;
};

struct ParamInfo {
  std::string name, layout;
  DType dtype = DType::Undefined;
  Shape dims;
  uint64_t offset = 0, length = 0;
};

struct ManifestInfo {
  int kernelAbi = 0;
  std::string compiler, model, targetCpu;
  std::vector<std::string> features;
  std::vector<FunctionInfo> functions;
  std::vector<KernelInfo> kernels;
  std::vector<ParamInfo> params;
  std::vector<StateInfo> states;
  std::vector<std::string> messages;
  std::vector<std::pair<std::string, std::string>> options, metadata;
  DeviceInfo device;
};

// Index of a function by name; the first of kind "main" for an empty name. An error lists the names there are.
Result<size_t> functionIndex(const ManifestInfo &manifest, const std::string &name);

// Verifies the FlatBuffers structure and the meaning: every range, rank, index and name. `weights` and `deviceCode` are the sizes of these
// sections.
Result<ManifestInfo> decodeManifest(std::span<const uint8_t> bytes, uint64_t weights, uint64_t deviceCode = 0);

} // namespace leat::rt

#endif
