// See TensorMaps.h.
#include "passes/CUDA/TensorMaps.h"

#include "leat/KernelABI.h"

using namespace mlir;

namespace leat::cuda {

constexpr unsigned kFunctionArguments = 6; ///< of every kernel function; those of a program's tensor maps follow
constexpr int64_t kOnnxF16 = 10, kOnnxBF16 = 16;

std::optional<TensorMap> tensorMapOf(KernelBuilder &k, Value tensor, ArrayRef<MapDim> dims, tile::SharedType tile) {
  auto s = cpu::traceStrided(k, tensor);
  Type element = tile.getElement();
  int64_t chunk = 16 / tile.getElementBytes();
  if (!s || s->element != element || s->knownStrides[dims[0].dim] != 1 || knownMultiple(s->offset) % chunk != 0)
    return std::nullopt;
  Value bytes = k.idx(tile.getElementBytes());
  TensorMap map{s->argument.getArgNumber(), k.mul(s->offset, bytes), element, {}, {}, {}, tile.getSwizzle()};
  for (auto [i, d] : llvm::enumerate(dims)) {
    if (i && knownMultiple(s->strides[d.dim]) % chunk != 0)
      return std::nullopt;
    Value size = d.size ? d.size : k.dim(tensor, d.dim);
    map.dims.push_back(k.max(size, k.idx(1))); // a map has no empty dimensions: what is not there is not asked for
    map.strides.push_back(k.mul(s->strides[d.dim], bytes));
    map.box.push_back(i ? d.box : k.idx(tile.getSwizzle() / tile.getElementBytes()));
  }
  return map;
}

TensorMap tensorMapOfPages(KernelBuilder &k, const cpu::Pages &pages, int64_t entries, tile::SharedType tile) {
  int64_t bytes = tile.getElementBytes();
  TensorMap map{pages.pool.getArgNumber(), k.idx(0), tile.getElement(), {}, {}, {}, tile.getSwizzle()};
  auto add = [&](Value size, Value stride, int64_t box) {
    map.dims.push_back(k.max(size, k.idx(1)));
    map.strides.push_back(k.mul(stride, k.idx(bytes)));
    map.box.push_back(k.idx(box));
  };
  add(k.idx(pages.size), k.idx(1), tile.getSwizzle() / bytes);
  add(k.idx(pages.entries), k.idx(pages.size), entries);
  add(k.idx(pages.heads), k.idx(pages.entries * pages.size), 1);
  add(k.dim(pages.pool, 0), pages.stride(k), 1);
  return map;
}

Value tensorMapArgument(KernelBuilder &k) {
  unsigned next = k.func.getNumArguments();
  (void)k.func.insertArgument(next, LLVM::LLVMPointerType::get(k.b.getContext()), {}, k.b.getLoc());
  return k.func.getArgument(next);
}

unsigned tensorMapCount(KernelBuilder &k) { return k.func.getNumArguments() - kFunctionArguments; }

void storeTensorMaps(KernelBuilder &k, Value geometry, ArrayRef<TensorMap> maps) {
  Type index = k.b.getIndexType();
  auto put = [&](size_t field, Value v) { k.store(v, k.bytePtr(geometry, k.idx(field)), index, k.idx(0)); };
  put(offsetof(LeatGeometry, tensor_maps), k.idx(maps.size()));
  for (auto [i, map] : llvm::enumerate(maps)) {
    auto at = [&, i = i](size_t field) { return offsetof(LeatGeometry, maps) + i * sizeof(LeatTensorMap) + field; };
    put(at(offsetof(LeatTensorMap, buffer)), k.idx(map.buffer));
    put(at(offsetof(LeatTensorMap, offset)), map.offset);
    put(at(offsetof(LeatTensorMap, dtype)), k.idx(map.element.isBF16() ? kOnnxBF16 : kOnnxF16));
    put(at(offsetof(LeatTensorMap, rank)), k.idx(map.dims.size()));
    put(at(offsetof(LeatTensorMap, swizzle)), k.idx(map.swizzle));
    for (size_t d = 0; d < map.dims.size(); ++d) {
      put(at(offsetof(LeatTensorMap, dims) + 8 * d), map.dims[d]);
      put(at(offsetof(LeatTensorMap, strides) + 8 * d), map.strides[d]);
      put(at(offsetof(LeatTensorMap, box) + 8 * d), map.box[d]);
    }
  }
}

} // namespace leat::cuda
