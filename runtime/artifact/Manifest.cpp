// From FlatBuffers to ManifestInfo. The verifier of FlatBuffers answers for the structure, the checks here for the meaning.
#include "runtime/artifact/Manifest.h"
#include "leat/KernelABI.h"
#include "runtime/artifact/Manifest_generated.h"

#include <algorithm>
#include <cctype>
#include <unordered_set>

namespace leat::rt {

namespace {

constexpr int64_t maxSlots = 1 << 20;
constexpr size_t maxPhases = LEAT_MAX_PHASES;
constexpr int maxArguments = 4096; // what fits into the parameters of a launch

std::string str(const flatbuffers::String *text) { return text ? text->str() : std::string(); }

// Walks a vector that may be absent.
template <typename V, typename F> Status each(const V *vector, F f) {
  if (vector)
    for (flatbuffers::uoffset_t i = 0; i < vector->size(); ++i)
      LEAT_RETURN_IF_ERROR(f(vector->Get(i)));
  return {};
}

Status damaged(const std::string &where, const char *what) {
  return error(Code::BadFile, "the artifact's manifest is damaged: %s: %s: recompile with leat compile", printable(where).c_str(), what);
}

class Names {
public:
  bool add(const std::string &name) { return !name.empty() && names.insert(name).second; }

private:
  std::unordered_set<std::string> names;
};

bool isSymbol(const std::string &text) {
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [](unsigned char c) { return std::isalnum(c) || c == '_' || c == '.' || c == '$'; });
}

Status decodeShape(const flatbuffers::Vector<int64_t> *dims, const std::string &where, int64_t least, Shape &shape) {
  if (dims && dims->size() > maxRank)
    return damaged(where, "more than 8 dimensions");
  return each(dims, [&](int64_t dim) -> Status {
    if (dim < least)
      return damaged(where, "a negative dimension");
    shape.dims[shape.rank++] = dim;
    return {};
  });
}

Status decodeTensor(const fb::TensorInfo *from, const std::string &where, TensorInfo &to) {
  to.name = str(from->name());
  to.dtype = static_cast<DType>(from->dtype());
  if (dtypeSize(to.dtype) == 0)
    return damaged(where + " '" + to.name + "'", "an element type that a buffer cannot hold");
  if (from->dims() && from->dims()->size() > maxRank)
    return damaged(where + " '" + to.name + "'", "more than 8 dimensions");
  return each(from->dims(), [&](const fb::Dim *dim) -> Status {
    if (dim->value() < -1)
      return damaged(where + " '" + to.name + "'", "a negative dimension");
    to.dims.push_back({str(dim->symbol()), dim->value()});
    return {};
  });
}

Status decodeFunction(const fb::Function *from, FunctionInfo &to) {
  to.name = str(from->name());
  to.symbol = str(from->symbol());
  to.kind = str(from->kind());
  to.slots = from->slots();
  to.launches = from->launches();
  to.groups = from->groups();
  std::string where = "function '" + to.name + "'";
  if (!isSymbol(to.symbol))
    return damaged(where, "a symbol that is no symbol");
  if (to.kind != "main" && to.kind != "step")
    return error(Code::Unsupported, "%s is of kind '%s', which this runtime does not know: update the runtime", printable(where).c_str(),
                 printable(to.kind).c_str());
  if (to.slots < 0 || to.slots > maxSlots)
    return damaged(where, "an absurd number of buffers");
  Names inputs, outputs;
  LEAT_RETURN_IF_ERROR(each(from->inputs(), [&](const fb::TensorInfo *info) -> Status {
    LEAT_RETURN_IF_ERROR(decodeTensor(info, where + " input", to.inputs.emplace_back()));
    return inputs.add(to.inputs.back().name) ? Status() : damaged(where, "two inputs of one name, or one without");
  }));
  return each(from->outputs(), [&](const fb::TensorInfo *info) -> Status {
    LEAT_RETURN_IF_ERROR(decodeTensor(info, where + " output", to.outputs.emplace_back()));
    return outputs.add(to.outputs.back().name) ? Status() : damaged(where, "two outputs of one name, or one without");
  });
}

Status decodeParam(const fb::Param *from, uint64_t weights, ParamInfo &to) {
  to.name = str(from->name());
  to.layout = str(from->layout());
  to.dtype = static_cast<DType>(from->dtype());
  to.offset = from->offset();
  to.length = from->length();
  std::string where = "weight '" + to.name + "'";
  LEAT_RETURN_IF_ERROR(decodeShape(from->dims(), where, 0, to.dims));
  int64_t size = dtypeSize(to.dtype), bytes = 0;
  if (size == 0)
    return damaged(where, "an element type that a buffer cannot hold");
  if (to.offset > weights || to.length > weights - to.offset)
    return damaged(where, "it lies outside the weights");
  if (to.offset % 64 != 0)
    return damaged(where, "it is not aligned to 64 bytes");
  if (!byteSize(to.dims.dims, to.dims.rank, size, bytes))
    return damaged(where, "an absurd shape");
  // Packed layouts and codes below a byte have sizes of their own; the code that reads them was compiled for them.
  bool subByte = to.dtype >= DType::U4 && to.dtype != DType::F8E8M0;
  if (to.layout.empty() && !subByte && to.length < static_cast<uint64_t>(bytes))
    return damaged(where, "it is shorter than its shape says");
  return {};
}

Status decodeKernel(const fb::Kernel *from, size_t modules, KernelInfo &to) {
  to.name = str(from->name());
  to.description = str(from->description());
  to.strategy = str(from->strategy());
  to.kind = str(from->kind());
  to.module = from->device_module();
  to.buffers = from->buffers();
  to.scalars = from->scalars();
  to.gemm = str(from->gemm());
  to.cublaslt = from->cublaslt();
  std::string where = "kernel '" + to.name + "'";
  bool device = to.kind == "tuned" || to.kind == "generic";
  if (!device && to.kind != "host" && !to.kind.empty())
    return error(Code::Unsupported, "%s is of kind '%s', which this runtime does not know: update the runtime", printable(where).c_str(),
                 printable(to.kind).c_str());
  LEAT_RETURN_IF_ERROR(each(from->entries(), [&](const fb::Entry *entry) -> Status {
    to.entries.push_back({str(entry->symbol()), entry->registers(), entry->shared_bytes(), entry->threads()});
    return isSymbol(to.entries.back().symbol) ? Status() : damaged(where, "an entry that is no symbol");
  }));
  bool host = to.kind == "host" || (to.kind.empty() && modules == 0);
  if (!device && !host)
    return damaged(where, "no kind, in an artifact with device code");
  if (!to.kind.empty() && (to.buffers < LEAT_DEVICE_BUFFERS || to.scalars < 0 || to.buffers > maxArguments || to.scalars > maxArguments))
    return damaged(where, "an absurd number of arguments");
  if (!device && (!to.gemm.empty() || to.cublaslt))
    return damaged(where, "a product for a library, without device code");
  if (host)
    return to.module == -1 && to.entries.empty() ? Status() : damaged(where, "device code that its kind does not have");
  if (to.module < 0 || static_cast<size_t>(to.module) >= modules)
    return damaged(where, "a module of device code that does not exist");
  if (to.entries.empty() || to.entries.size() > maxPhases)
    return damaged(where, "an absurd number of phases");
  return {};
}

Status decodeDevice(const fb::Device *from, uint64_t code, DeviceInfo &to) {
  if (!from)
    return {};
  to.api = str(from->api());
  to.gpu = str(from->gpu());
  if (to.api != "cuda")
    return error(Code::Unsupported, "the artifact's device code is for '%s', which this runtime does not know: update the runtime",
                 printable(to.api).c_str());
  auto inside = [&](uint64_t offset, uint64_t length) { return offset <= code && length <= code - offset; };
  return each(from->modules(), [&](const fb::DeviceModule *module) -> Status {
    to.modules.push_back({module->ptx_offset(), module->ptx_length(), module->cubin_offset(), module->cubin_length()});
    const DeviceModuleInfo &info = to.modules.back();
    return inside(info.ptxOffset, info.ptxLength) && inside(info.cubinOffset, info.cubinLength)
               ? Status()
               : damaged("device code", "a module lies outside of it");
  });
}

Status decodeState(const fb::StateInfo *from, StateInfo &to) {
  to.name = str(from->name());
  to.inputName = str(from->input_name());
  to.outputName = str(from->output_name());
  to.dtype = static_cast<DType>(from->dtype());
  to.axis = from->axis();
  to.batchAxis = from->batch_axis();
  to.sink = from->sink();
  to.ring = from->ring();
  to.page = from->page();
  std::string where = "state '" + to.name + "'";
  int growth = static_cast<int>(from->growth());
  if (growth < 0 || growth > static_cast<int>(Growth::Table))
    return damaged(where, "an unknown kind of growth");
  to.growth = static_cast<Growth>(growth);
  if (dtypeSize(to.dtype) == 0)
    return damaged(where, "an element type that a buffer cannot hold");
  LEAT_RETURN_IF_ERROR(decodeShape(from->dims(), where, -1, to.dims));
  if (to.axis < -1 || to.axis >= to.dims.rank || to.batchAxis < -1 || to.batchAxis >= to.dims.rank ||
      (to.axis >= 0 && to.axis == to.batchAxis))
    return damaged(where, "an axis that it does not have");
  constexpr int64_t limit = int64_t(1) << 40;
  if (to.sink < 0 || to.ring < 0 || to.sink > limit || to.ring > limit)
    return damaged(where, "absurd ring sizes");
  if ((to.growth == Growth::Append || to.growth == Growth::Ring) && to.axis < 0)
    return damaged(where, "it grows but has no axis to grow along");
  if (to.page < 0 || to.page > 256 || (to.page & (to.page - 1)) || (to.growth == Growth::Table && to.page == 0))
    return damaged(where, "pages of an absurd size");
  if (to.growth == Growth::Table && (to.dtype != DType::I32 || to.dims.rank != 2 || to.axis != 1 || to.batchAxis != 0))
    return damaged(where, "a table of pages that is no i32 [batch, pages]");
  if (to.isPool() && ((to.growth != Growth::Append && to.growth != Growth::Ring) || to.dims.rank != 4 || to.axis != 2 ||
                      to.batchAxis >= 0 || to.dims[0] != -1 || to.dims[2] != to.page))
    return damaged(where, "a pool of pages of another shape than [pages, heads, page, size]");
  if (to.growth == Growth::Ring &&
      (to.sink + to.ring <= 0 || (!to.page && to.dims[to.axis] != -1 && to.dims[to.axis] != to.sink + to.ring)))
    return damaged(where, "its ring has another size than its axis");
  if (to.growth == Growth::Counter && (to.dtype != DType::I64 || to.dims.rank > 1))
    return damaged(where, "a counter that is no i64");
  for (int i = 0; i < to.dims.rank; ++i)
    if (to.dims[i] < 0 && i != to.axis && i != to.batchAxis && !(to.isPool() && i == 0))
      return damaged(where, "a dimension that nobody decides");
  return {};
}

} // namespace

std::string shapeText(const TensorInfo &info) {
  std::string text = "[";
  for (size_t i = 0; i < info.dims.size(); ++i) {
    const DimInfo &dim = info.dims[i];
    text += (i ? "," : "") + (dim.value >= 0 ? std::to_string(dim.value) : dim.symbol.empty() ? "?" : printable(dim.symbol));
  }
  return text + "]";
}

Result<size_t> functionIndex(const ManifestInfo &manifest, const std::string &name) {
  std::string known;
  for (size_t i = 0; i < manifest.functions.size(); ++i) {
    const FunctionInfo &function = manifest.functions[i];
    if (name.empty() ? function.kind == "main" : function.name == name)
      return i;
    known += (i ? ", " : "") + printable(function.name);
  }
  if (name.empty())
    return size_t(0);
  return error(Code::NotFound, "the model has no function '%s'; it has %s", printable(name).c_str(), known.c_str());
}

Result<ManifestInfo> decodeManifest(std::span<const uint8_t> bytes, uint64_t weights, uint64_t deviceCode) {
  // Every table takes at least 8 bytes, so the file's size bounds the work.
  flatbuffers::Verifier verifier(bytes.data(), bytes.size(), 16, static_cast<flatbuffers::uoffset_t>(bytes.size() / 4));
  if (bytes.size() >= FLATBUFFERS_MAX_BUFFER_SIZE || bytes.size() < 8 || !fb::ManifestBufferHasIdentifier(bytes.data()) ||
      !fb::VerifyManifestBuffer(verifier))
    return damaged("structure", "it is not a FlatBuffers manifest");
  const fb::Manifest *from = fb::GetManifest(bytes.data());
  ManifestInfo to;
  to.kernelAbi = from->kernel_abi();
  to.compiler = str(from->compiler());
  to.model = str(from->model());
  to.targetCpu = str(from->target_cpu());
  if (to.kernelAbi != LEAT_KERNEL_ABI)
    return error(Code::Version,
                 "the artifact was compiled for kernel ABI %d (by %s), this runtime has kernel ABI %d: recompile with leat compile",
                 to.kernelAbi, to.compiler.empty() ? "an unknown compiler" : printable(to.compiler).c_str(), LEAT_KERNEL_ABI);

  Names functions, states, params;
  auto decodeAll = [&]() -> Status {
    auto strings = [](std::vector<std::string> &list) {
      return [&list](const flatbuffers::String *text) -> Status {
        list.push_back(str(text));
        return {};
      };
    };
    auto pairs = [](std::vector<std::pair<std::string, std::string>> &list) {
      return [&list](const fb::KeyValue *pair) -> Status {
        list.emplace_back(str(pair->key()), str(pair->value()));
        return {};
      };
    };
    LEAT_RETURN_IF_ERROR(each(from->features(), strings(to.features)));
    LEAT_RETURN_IF_ERROR(each(from->messages(), strings(to.messages)));
    LEAT_RETURN_IF_ERROR(each(from->options(), pairs(to.options)));
    LEAT_RETURN_IF_ERROR(each(from->metadata(), pairs(to.metadata)));
    LEAT_RETURN_IF_ERROR(each(from->functions(), [&](const fb::Function *function) -> Status {
      LEAT_RETURN_IF_ERROR(decodeFunction(function, to.functions.emplace_back()));
      return functions.add(to.functions.back().name) ? Status() : damaged("functions", "two of one name, or one without");
    }));
    LEAT_RETURN_IF_ERROR(decodeDevice(from->device(), deviceCode, to.device));
    LEAT_RETURN_IF_ERROR(each(from->kernels(), [&](const fb::Kernel *kernel) -> Status {
      return decodeKernel(kernel, to.device.modules.size(), to.kernels.emplace_back());
    }));
    LEAT_RETURN_IF_ERROR(each(from->params(), [&](const fb::Param *param) -> Status {
      LEAT_RETURN_IF_ERROR(decodeParam(param, weights, to.params.emplace_back()));
      return params.add(to.params.back().name) ? Status() : damaged("weights", "two of one name, or one without");
    }));
    LEAT_RETURN_IF_ERROR(each(from->states(), [&](const fb::StateInfo *state) -> Status {
      LEAT_RETURN_IF_ERROR(decodeState(state, to.states.emplace_back()));
      return states.add(to.states.back().name) ? Status() : damaged("states", "two of one name, or one without");
    }));
    int64_t tables = 0;
    for (const StateInfo &state : to.states)
      tables += state.growth == Growth::Table;
    for (const StateInfo &state : to.states)
      if (tables > 1 || (state.isPool() && tables == 0))
        return damaged("states", "pools of pages need one table");
    return to.functions.empty() ? damaged("functions", "there is none") : Status();
  };
  if (Status status = decodeAll(); !status.ok())
    return status;
  return to;
}

} // namespace leat::rt
