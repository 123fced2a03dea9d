// Emits accesses to a LeatFrame: one builder per host function, which owns the function's entry block, constants and failure path.
#pragma once

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/IR/Builders.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/StringMap.h"

namespace leat::host {

/// Messages of run-time checks, each once, in the order of their indices.
class Messages {
public:
  int64_t add(llvm::StringRef text) {
    auto [it, inserted] = index.try_emplace(text, list.size());
    if (inserted)
      list.push_back(text.str());
    return it->second;
  }
  llvm::ArrayRef<std::string> all() const { return list; }

private:
  llvm::StringMap<int64_t> index;
  std::vector<std::string> list;
};

/// Bytes that one element takes in a buffer: booleans and sub-byte integers one byte, index eight. 0: no storage form (strings).
int64_t storageBytes(mlir::Type element);

class FrameBuilder {
public:
  FrameBuilder(mlir::ModuleOp module, mlir::LLVM::LLVMFuncOp function, Messages &messages);

  mlir::OpBuilder b; // set to the place where code is emitted next
  mlir::Location loc;

  mlir::LLVM::LLVMFuncOp function() { return func; }
  mlir::LLVM::LLVMPointerType pointer() { return ptrType; }
  mlir::Value frame() { return func.getArgument(0); }

  /// A constant, materialised once in the entry block.
  mlir::Value constant(mlir::Type type, mlir::Attribute value);
  mlir::Value i64(int64_t value) { return constant(b.getI64Type(), b.getI64IntegerAttr(value)); }

  mlir::Value offset(mlir::Value base, int64_t bytes);
  mlir::Value load(mlir::Type type, mlir::Value base, int64_t bytes);
  void store(mlir::Value value, mlir::Value base, int64_t bytes);
  mlir::Value mul(mlir::Value x, mlir::Value y);

  /// A pointer field of the frame, loaded once on entry.
  mlir::Value field(size_t offset);

  mlir::Block *newBlock(mlir::TypeRange arguments = {});
  void branch(mlir::Block *to, mlir::ValueRange arguments = {});
  void condBranch(mlir::Value condition, mlir::Block *yes, mlir::ValueRange yesArgs, mlir::Block *no, mlir::ValueRange noArgs);

  /// Returns from the function with `code` unless it is 0; code is emitted behind the check from then on.
  void returnUnlessZero(mlir::Value code);
  /// Reports `message` with the arguments unless `condition` holds.
  void check(mlir::Value condition, llvm::StringRef message, mlir::Value a, mlir::Value c);
  void finish();

  /// The data of slot `slot`, made large enough for staticBytes * product of dims bytes. Negative or absurd sizes fail.
  mlir::Value ensure(mlir::Value slot, int64_t staticBytes, mlir::ValueRange dims);

  /// Room in the stack for launch arguments; grows to the largest request.
  mlir::Value buffers(int64_t count);
  mlir::Value scalars(int64_t count);
  /// Room in the stack for the launches of a group.
  mlir::Value launches();
  /// Room in the stack for `bytes` that nobody else uses.
  mlir::Value cell(int64_t bytes);
  /// Room in the stack for `bytes` on the way between host and device; the same for all.
  mlir::Value staging(int64_t bytes);

  mlir::Value call(mlir::Type result, mlir::Value callee, mlir::ValueRange arguments);

private:
  mlir::LLVM::LLVMFuncOp ensureHelper(unsigned dims);
  mlir::Value stack(mlir::Value &array, int64_t &size, int64_t count);

  mlir::ModuleOp module;
  mlir::LLVM::LLVMFuncOp func;
  Messages &messages;
  mlir::LLVM::LLVMPointerType ptrType;
  mlir::Block *entry, *exit;
  mlir::Block *failed = nullptr; // loads the code a helper left in the error cell
  mlir::Value errorCell, bufferArray, scalarArray, launchArray, stagingArray;
  int64_t bufferCount = 0, scalarCount = 0, launchCount = 0, stagingCount = 0;
  llvm::DenseMap<std::pair<mlir::Type, mlir::Attribute>, mlir::Value> constants;
  llvm::DenseMap<int64_t, mlir::Value> fields;
  mlir::Operation *entryEnd = nullptr; // constants, allocas and field loads go before it
};

} // namespace leat::host
