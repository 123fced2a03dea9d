// See Entry.h.
#include "passes/CUDA/Entry.h"

#include "leat/KernelABI.h"

#include "mlir/Dialect/LLVMIR/NVVMDialect.h"

using namespace mlir;

namespace leat::cuda {

static Block &bodyOf(KernelFuncOp kernel) { return kernel.getBody().front(); }

unsigned bufferCount(KernelFuncOp kernel) {
  unsigned results = llvm::count_if(bodyOf(kernel).getTerminator()->getOperandTypes(), [](Type t) { return isa<RankedTensorType>(t); });
  return kernel.getNumInputs() + results + LEAT_DEVICE_BUFFERS;
}

unsigned scalarCount(KernelFuncOp kernel) {
  unsigned inputs = kernel.getNumInputs(), count = bodyOf(kernel).getNumArguments() - inputs;
  auto add = [&](Type type) {
    if (auto state = dyn_cast<StateType>(type))
      count += 2 + state.getContent().getRank();
    else
      count += cast<RankedTensorType>(type).getNumDynamicDims();
  };
  for (BlockArgument arg : bodyOf(kernel).getArguments().take_front(inputs))
    add(arg.getType());
  for (Type type : bodyOf(kernel).getTerminator()->getOperandTypes())
    if (isa<RankedTensorType>(type))
      add(type);
  return count;
}

std::string entryName(KernelFuncOp kernel, unsigned phase) {
  std::string name = "leat_";
  for (char c : kernel.getSymName())
    name += llvm::isAlnum(c) || c == '_' ? c : '_';
  return phase ? name + "_phase" + std::to_string(phase) : name;
}

Entry createEntry(KernelFuncOp kernel, unsigned phase, unsigned maxThreads, int64_t sharedBytes, unsigned tensorMaps) {
  OpBuilder b(kernel);
  MLIRContext *context = b.getContext();
  Location loc = kernel.getLoc();
  auto pointer = LLVM::LLVMPointerType::get(context);
  SmallVector<Type> arguments(2 + tensorMaps, pointer);
  auto type = LLVM::LLVMFunctionType::get(LLVM::LLVMVoidType::get(context), arguments);
  Entry entry;
  entry.func = LLVM::LLVMFuncOp::create(b, loc, entryName(kernel, phase), type);
  entry.func->setAttr(NVVM::NVVMDialect::getKernelFuncAttrName(), b.getUnitAttr());
  entry.func->setAttr(kEntryAttr, b.getDictionaryAttr({b.getNamedAttr("kernel", kernel.getSymNameAttr()),
                                                       b.getNamedAttr("phase", b.getI64IntegerAttr(phase)),
                                                       b.getNamedAttr("threads", b.getI64IntegerAttr(maxThreads)),
                                                       b.getNamedAttr("shared", b.getI64IntegerAttr(sharedBytes))}));
  entry.func->setAttr(NVVM::NVVMDialect::getMaxntidAttrName(), b.getDenseI32ArrayAttr({static_cast<int32_t>(maxThreads)}));
  // One block of a multiprocessor may have all registers: without a word on it the assembler aims at a number of blocks that it guesses,
  // which shared memory of the launch may not allow, and spills registers to come there. Those of roles move only where it knows how many
  // a thread begins with, which this says as well.
  entry.func->setAttr(NVVM::NVVMDialect::getMinctasmAttrName(), b.getI32IntegerAttr(1));
  auto byValue = [&](unsigned i, Type what, int64_t alignment) {
    entry.func.setArgAttr(i, LLVM::LLVMDialect::getByValAttrName(), TypeAttr::get(what));
    entry.func.setArgAttr(i, LLVM::LLVMDialect::getAlignAttrName(), b.getI64IntegerAttr(alignment));
    entry.func.setArgAttr(i, NVVM::NVVMDialect::getGridConstantAttrName(), b.getUnitAttr());
  };
  // An empty array is no parameter in PTX.
  byValue(0, LLVM::LLVMArrayType::get(pointer, bufferCount(kernel)), 8);
  byValue(1, LLVM::LLVMArrayType::get(b.getI64Type(), std::max(scalarCount(kernel), 1u)), 8);
  for (unsigned i = 0; i < tensorMaps; ++i)
    byValue(2 + i, LLVM::LLVMArrayType::get(b.getI8Type(), 128), 64);
  Block *block = entry.func.addEntryBlock(b);
  entry.buffers = block->getArgument(0);
  entry.scalars = block->getArgument(1);
  for (unsigned i = 0; i < tensorMaps; ++i)
    entry.tensorMaps.push_back(block->getArgument(2 + i));
  return entry;
}

} // namespace leat::cuda
