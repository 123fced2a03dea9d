// Writes the .leat file. Weights come first, streamed from where they are mapped through their packing; the manifest, which says where each
// is, comes last. The header and the table, which hold checksums of what follows them, are filled in at the end.
#include "lib/Artifact/Writer.h"

#include "dialects/Leat/Leat.h"
#include "leat/KernelABI.h"
#include "lib/Artifact/Layouts.h"
#include "runtime/artifact/Container.h"
#include "runtime/artifact/Manifest_generated.h"
#include "runtime/core/Crc32c.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MathExtras.h"
#include "llvm/Support/raw_ostream.h"

using namespace mlir;

namespace leat::artifact {

/// Machine code is an ELF file, which is read where it lies.
constexpr uint64_t kDeviceAlignment = 64;

static llvm::Error failure(const llvm::Twine &text) { return llvm::createStringError(llvm::inconvertibleErrorCode(), text); }

class SectionStream;

namespace {

/// One weight: where its bytes are now and how they go into the file.
struct Weight {
  ParamOp param;
  RankedTensorType type;
  std::string owned; // of values in the IR
  int64_t bytes = 0; // before packing
  const Layout *layout;
  uint64_t offset = 0, length = 0;
};

class Writer {
public:
  Writer(ModuleOp module, const ArtifactContents &contents) : module(module), contents(contents) {}
  llvm::Error collectWeights();
  std::string manifest();
  llvm::Error write(StringRef path);

private:
  ParamStore &store() { return module.getContext()->getLoadedDialect<LeatDialect>()->params(); }
  llvm::Error writeSections(SectionStream &out);
  flatbuffers::Offset<fb::TensorInfo> tensorInfo(Attribute attr);
  flatbuffers::Offset<fb::Function> function(DictionaryAttr info, StringRef symbol);
  flatbuffers::Offset<fb::StateInfo> state(SlotOp slot);
  flatbuffers::Offset<fb::Param> param(const Weight &weight);
  flatbuffers::Offset<fb::Kernel> kernel(DictionaryAttr info);
  flatbuffers::Offset<fb::Device> device();

  ModuleOp module;
  const ArtifactContents &contents;
  std::vector<Weight> weights;
  flatbuffers::FlatBufferBuilder b;
};

} // namespace

/// ONNX's number for an element type, where the IR does not say more.
static int32_t dtypeOf(Operation *op, Type element) {
  if (auto given = op->getAttrOfType<IntegerAttr>("leat.dtype"))
    return given.getInt();
  if (auto integer = dyn_cast<IntegerType>(element)) {
    bool isUnsigned = integer.isUnsigned();
    switch (integer.getWidth()) {
    case 1:
      return 9;
    case 4:
      return isUnsigned ? 21 : 22;
    case 8:
      return isUnsigned ? 2 : 3;
    case 16:
      return isUnsigned ? 4 : 5;
    case 32:
      return isUnsigned ? 12 : 6;
    default:
      return isUnsigned ? 13 : 7;
    }
  }
  return llvm::TypeSwitch<Type, int32_t>(element)
      .Case<IndexType>([](Type) { return 7; })
      .Case<Float16Type>([](Type) { return 10; })
      .Case<BFloat16Type>([](Type) { return 16; })
      .Case<Float64Type>([](Type) { return 11; })
      .Case<Float8E4M3FNType>([](Type) { return 17; })
      .Case<Float8E4M3FNUZType>([](Type) { return 18; })
      .Case<Float8E5M2Type>([](Type) { return 19; })
      .Case<Float8E5M2FNUZType>([](Type) { return 20; })
      .Case<Float4E2M1FNType>([](Type) { return 23; })
      .Default([](Type) { return 1; });
}

/// The bytes of a value in the IR as the parameter store would hold them.
static std::string valueBytes(DenseElementsAttr values) {
  int64_t bits = values.getElementType().isIndex() ? 64 : values.getElementType().getIntOrFloatBitWidth();
  std::string bytes;
  unsigned filled = 0, partial = 0; // sub-byte types, low bits first
  auto append = [&](const APInt &v) {
    uint64_t word = v.zextOrTrunc(64).getZExtValue();
    if (bits >= 8 || bits == 1) {
      for (int64_t i = 0; i < std::max<int64_t>(bits / 8, 1); ++i)
        bytes.push_back(static_cast<char>(word >> (8 * i)));
      return;
    }
    partial |= static_cast<unsigned>(word) << filled;
    if ((filled += bits) == 8) {
      bytes.push_back(static_cast<char>(partial));
      filled = partial = 0;
    }
  };
  if (isa<FloatType>(values.getElementType()))
    for (const APFloat &v : values.getValues<APFloat>())
      append(v.bitcastToAPInt());
  else
    for (const APInt &v : values.getValues<APInt>())
      append(v);
  if (filled)
    bytes.push_back(static_cast<char>(partial));
  return bytes;
}

llvm::Error Writer::collectWeights() {
  for (auto param : module.getOps<ParamOp>()) {
    Weight weight;
    weight.param = param;
    weight.type = cast<RankedTensorType>(param.getType());
    StringRef layout = param.getLayout().value_or("");
    weight.layout = findLayout(layout);
    if (!weight.layout)
      return failure("internal error: weight '" + param.getSymName() + "' wants the unknown layout '" + layout + "'");
    if (auto key = param.getKey()) {
      if (!store().contains(*key))
        return failure("the bytes of weight '" + param.getSymName() + "' are missing");
      weight.bytes = store().size(*key);
    } else {
      auto values = dyn_cast<DenseElementsAttr>(*param.getValue());
      if (!values)
        return failure("weight '" + param.getSymName() + "' has a value in a form that cannot be written");
      weight.owned = valueBytes(values);
      weight.bytes = weight.owned.size();
    }
    int64_t expected = sourceBytes(weight.type);
    if (expected != weight.bytes)
      return failure("weight '" + weight.param.getSymName() + "' has " + llvm::Twine(weight.bytes) + " bytes where its type needs " +
                     llvm::Twine(expected));
    weights.push_back(std::move(weight));
  }
  return llvm::Error::success();
}

flatbuffers::Offset<fb::TensorInfo> Writer::tensorInfo(Attribute attr) {
  auto info = cast<DictionaryAttr>(attr);
  std::vector<flatbuffers::Offset<fb::Dim>> dims;
  for (auto dim : info.getAs<ArrayAttr>("dims").getAsRange<StringAttr>()) {
    int64_t value;
    if (dim.getValue().getAsInteger(10, value))
      dims.push_back(fb::CreateDim(b, b.CreateString(dim.getValue().str()), -1));
    else
      dims.push_back(fb::CreateDim(b, b.CreateString(""), value));
  }
  return fb::CreateTensorInfo(b, b.CreateString(info.getAs<StringAttr>("name").str()), info.getAs<IntegerAttr>("dtype").getInt(),
                              b.CreateVector(dims));
}

flatbuffers::Offset<fb::Function> Writer::function(DictionaryAttr info, StringRef symbol) {
  std::vector<flatbuffers::Offset<fb::TensorInfo>> inputs, outputs;
  for (Attribute attr : info.getAs<ArrayAttr>("inputs"))
    inputs.push_back(tensorInfo(attr));
  for (Attribute attr : info.getAs<ArrayAttr>("outputs"))
    outputs.push_back(tensorInfo(attr));
  return fb::CreateFunction(b, b.CreateString(info.getAs<StringAttr>("name").str()), b.CreateString(symbol.str()),
                            b.CreateString(info.getAs<StringAttr>("kind").str()), b.CreateVector(inputs), b.CreateVector(outputs),
                            info.getAs<IntegerAttr>("slots").getInt(), info.getAs<IntegerAttr>("launches").getInt(),
                            info.getAs<IntegerAttr>("groups").getInt());
}

flatbuffers::Offset<fb::StateInfo> Writer::state(SlotOp slot) {
  auto type = cast<RankedTensorType>(slot.getType());
  std::vector<int64_t> dims;
  for (int64_t dim : type.getShape())
    dims.push_back(ShapedType::isDynamic(dim) ? -1 : dim);
  return fb::CreateStateInfo(b, b.CreateString(slot.getSymName().str()), dtypeOf(slot, type.getElementType()), b.CreateVector(dims),
                             static_cast<fb::Growth>(slot.getGrowth()), slot.getAxis(), slot.getBatchAxis(), slot.getSink(), slot.getRing(),
                             slot.getPage(), b.CreateString(slot.getInputName().str()), b.CreateString(slot.getOutputName().str()));
}

flatbuffers::Offset<fb::Param> Writer::param(const Weight &weight) {
  std::vector<int64_t> dims(weight.type.getShape());
  ParamOp op = weight.param;
  return fb::CreateParam(b, b.CreateString(op.getSymName().str()), dtypeOf(op, weight.type.getElementType()), b.CreateVector(dims),
                         b.CreateString(weight.layout->name.str()), weight.offset, weight.length);
}

flatbuffers::Offset<fb::Kernel> Writer::kernel(DictionaryAttr info) {
  auto text = [&](StringRef key) {
    auto attr = info.getAs<StringAttr>(key);
    return b.CreateString(attr ? attr.str() : "");
  };
  auto number = [&](StringRef key, int64_t otherwise) {
    auto attr = info.getAs<IntegerAttr>(key);
    return attr ? attr.getInt() : otherwise;
  };
  int64_t module = number("module", -1);
  std::vector<flatbuffers::Offset<fb::Entry>> entries;
  if (auto list = info.getAs<ArrayAttr>("entries"))
    for (auto item : list.getAsRange<DictionaryAttr>()) {
      std::string symbol = item.getAs<StringAttr>("symbol").str();
      DeviceModule::Entry known{"", -1, 0};
      for (const DeviceModule::Entry &entry : contents.device[module].entries)
        if (entry.symbol == symbol)
          known = entry;
      int64_t shared = known.sharedBytes + item.getAs<IntegerAttr>("shared").getInt();
      entries.push_back(fb::CreateEntry(b, b.CreateString(symbol), known.registers, shared, item.getAs<IntegerAttr>("threads").getInt()));
    }
  return fb::CreateKernel(b, text("name"), text("description"), text("strategy"), text("kind"), module, b.CreateVector(entries),
                          number("buffers", 0), number("scalars", 0), text("gemm"), number("cublaslt", 0) != 0);
}

/// Null for artifacts without device code.
flatbuffers::Offset<fb::Device> Writer::device() {
  if (contents.gpu.empty())
    return 0;
  std::vector<flatbuffers::Offset<fb::DeviceModule>> modules;
  uint64_t at = 0;
  for (const DeviceModule &module : contents.device) {
    uint64_t cubin = llvm::alignTo(at + module.ptx.size(), kDeviceAlignment);
    modules.push_back(fb::CreateDeviceModule(b, at, module.ptx.size(), cubin, module.cubin.size()));
    at = llvm::alignTo(cubin + module.cubin.size(), kDeviceAlignment);
  }
  return fb::CreateDevice(b, b.CreateString("cuda"), b.CreateString(contents.gpu), b.CreateVector(modules));
}

std::string Writer::manifest() {
  std::vector<flatbuffers::Offset<fb::Function>> functions;
  for (auto op : module.getOps<LLVM::LLVMFuncOp>())
    if (auto info = op->getAttrOfType<DictionaryAttr>("leat.function"))
      functions.push_back(function(info, op.getSymName()));
  std::vector<flatbuffers::Offset<fb::Kernel>> kernels;
  if (auto list = module->getAttrOfType<ArrayAttr>("leat.kernels"))
    for (auto info : list.getAsRange<DictionaryAttr>())
      kernels.push_back(kernel(info));
  std::vector<flatbuffers::Offset<fb::Param>> params;
  for (const Weight &weight : weights)
    params.push_back(param(weight));
  std::vector<flatbuffers::Offset<fb::StateInfo>> states;
  for (auto slot : module.getOps<SlotOp>())
    states.push_back(state(slot));
  std::vector<flatbuffers::Offset<flatbuffers::String>> messages;
  if (auto list = module->getAttrOfType<ArrayAttr>("leat.messages"))
    for (auto text : list.getAsRange<StringAttr>())
      messages.push_back(b.CreateString(text.str()));
  std::vector<flatbuffers::Offset<fb::KeyValue>> options, metadata;
  for (auto &[key, value] : contents.options)
    options.push_back(fb::CreateKeyValue(b, b.CreateString(key), b.CreateString(value)));
  if (auto dict = module->getAttrOfType<DictionaryAttr>("onnx.metadata"))
    for (NamedAttribute entry : dict)
      if (auto text = dyn_cast<StringAttr>(entry.getValue()))
        metadata.push_back(fb::CreateKeyValue(b, b.CreateString(entry.getName().str()), b.CreateString(text.str())));
  std::vector<flatbuffers::Offset<flatbuffers::String>> features;
  for (const std::string &feature : contents.features)
    features.push_back(b.CreateString(feature));
  auto manifest = fb::CreateManifest(b, LEAT_KERNEL_ABI, b.CreateString("leat 0.1.0"), b.CreateString(contents.model),
                                     b.CreateString(contents.targetCpu), b.CreateVector(features), b.CreateVector(functions),
                                     b.CreateVector(kernels), b.CreateVector(params), b.CreateVector(states), b.CreateVector(messages),
                                     b.CreateVector(options), b.CreateVector(metadata), device());
  b.Finish(manifest, fb::ManifestIdentifier());
  return std::string(reinterpret_cast<const char *>(b.GetBufferPointer()), b.GetSize());
}

/// Sections one after the other into a stream, with their checksums.
class SectionStream {
public:
  explicit SectionStream(llvm::raw_fd_ostream &os, unsigned sections) : os(os) {
    at = sizeof(rt::ContainerHeader) + sections * sizeof(rt::SectionEntry);
    os.write_zeros(at);
  }
  void begin(rt::SectionKind kind, uint64_t alignment) {
    uint64_t start = llvm::alignTo(at, alignment);
    os.write_zeros(start - at);
    at = start;
    table.push_back({static_cast<uint32_t>(kind), 0, start, 0, 0, 0});
  }
  void write(ArrayRef<char> bytes) {
    os.write(bytes.data(), bytes.size());
    table.back().crc = rt::crc32c(table.back().crc, bytes.data(), bytes.size());
    table.back().length += bytes.size();
    at += bytes.size();
  }
  void section(rt::SectionKind kind, uint64_t alignment, StringRef bytes) {
    begin(kind, alignment);
    write(ArrayRef<char>(bytes.data(), bytes.size()));
  }
  uint64_t length() const { return table.back().length; }
  void finish() {
    rt::ContainerHeader header = {};
    std::memcpy(header.magic, rt::artifactMagic, sizeof(header.magic));
    header.format = rt::artifactFormat;
    header.sectionCount = table.size();
    header.fileSize = at;
    header.tableCrc = rt::crc32c(0, table.data(), table.size() * sizeof(rt::SectionEntry));
    os.seek(0);
    os.write(reinterpret_cast<const char *>(&header), sizeof(header));
    os.write(reinterpret_cast<const char *>(table.data()), table.size() * sizeof(rt::SectionEntry));
  }

private:
  llvm::raw_fd_ostream &os;
  uint64_t at;
  std::vector<rt::SectionEntry> table;
};

llvm::Error Writer::writeSections(SectionStream &out) {
  static constexpr char zeros[64] = {};
  int64_t total = 0, done = 0;
  for (const Weight &weight : weights)
    total += weight.bytes;
  out.begin(rt::SectionKind::Weights, 4096);
  for (Weight &weight : weights) {
    out.write(ArrayRef<char>(zeros, llvm::offsetToAlignment(out.length(), llvm::Align(64))));
    weight.offset = out.length();
    ParamStore::Entry entry{ArrayRef<char>(weight.owned.data(), weight.owned.size()), nullptr};
    if (auto key = weight.param.getKey())
      entry = store().load(*key);
    if (llvm::Error error = weight.layout->pack(weight.type, entry.bytes, [&](ArrayRef<char> bytes) { out.write(bytes); }))
      return error;
    weight.length = out.length() - weight.offset;
    done += weight.bytes;
    if (contents.progress)
      contents.progress(done, total);
  }
  out.section(rt::SectionKind::HostCode, 4096, contents.sharedObject);
  if (!contents.device.empty()) {
    out.begin(rt::SectionKind::DeviceCode, 64);
    for (const DeviceModule &module : contents.device)
      for (const std::string *code : {&module.ptx, &module.cubin}) {
        out.write(ArrayRef<char>(code->data(), code->size()));
        out.write(ArrayRef<char>(zeros, llvm::offsetToAlignment(out.length(), llvm::Align(kDeviceAlignment))));
      }
  }
  if (!contents.irText.empty())
    out.section(rt::SectionKind::Ir, 64, contents.irText);
  out.section(rt::SectionKind::Manifest, 64, manifest());
  return llvm::Error::success();
}

llvm::Error Writer::write(StringRef path) {
  std::string temporary = (path + ".part").str();
  std::error_code ec;
  llvm::raw_fd_ostream os(temporary, ec);
  if (ec)
    return failure("cannot write '" + path + "': " + ec.message());
  SectionStream out(os, 3 + !contents.irText.empty() + !contents.device.empty());
  if (llvm::Error error = writeSections(out)) {
    os.close();
    os.clear_error();
    llvm::sys::fs::remove(temporary);
    return error;
  }
  out.finish();
  os.close();
  ec = os.has_error() ? os.error() : llvm::sys::fs::rename(temporary, path);
  os.clear_error();
  if (ec) {
    llvm::sys::fs::remove(temporary);
    return failure("cannot write '" + path + "': " + ec.message());
  }
  return llvm::Error::success();
}

llvm::Error writeArtifact(ModuleOp module, const ArtifactContents &contents, StringRef path) {
  Writer writer(module, contents);
  if (llvm::Error error = writer.collectWeights())
    return error;
  return writer.write(path);
}

} // namespace leat::artifact
