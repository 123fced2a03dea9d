// See Ptx.h.
#include "lib/Target/Ptx.h"

#include "lib/Target/Optimise.h"

#include "llvm/IR/LegacyPassManager.h"
#include "llvm/IR/Module.h"
#include "llvm/MC/MCSubtargetInfo.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FileUtilities.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Program.h"
#include "llvm/Support/Regex.h"
#include "llvm/Support/raw_ostream.h"
#include "llvm/TargetParser/Triple.h"

#include <chrono>
#include <mutex>

extern "C" {
void LLVMInitializeNVPTXTargetInfo(void);
void LLVMInitializeNVPTXTarget(void);
void LLVMInitializeNVPTXTargetMC(void);
void LLVMInitializeNVPTXAsmPrinter(void);
}

namespace leat::target {

static const llvm::Triple kTriple("nvptx64-nvidia-cuda");

static llvm::Error failure(const llvm::Twine &text) { return llvm::createStringError(llvm::inconvertibleErrorCode(), text); }

static const llvm::Target *nvptx(std::string &error) {
  static std::once_flag once;
  std::call_once(once, [] {
    LLVMInitializeNVPTXTargetInfo();
    LLVMInitializeNVPTXTarget();
    LLVMInitializeNVPTXTargetMC();
    LLVMInitializeNVPTXAsmPrinter();
  });
  return llvm::TargetRegistry::lookupTarget(kTriple, error);
}

std::unique_ptr<llvm::TargetMachine> GpuSpec::createTargetMachine() const {
  std::string error;
  return std::unique_ptr<llvm::TargetMachine>(nvptx(error)->createTargetMachine(
      kTriple, chip, features, llvm::TargetOptions(), std::nullopt, std::nullopt, llvm::CodeGenOptLevel::Aggressive));
}

llvm::Expected<GpuSpec> resolveGpu(llvm::StringRef name) {
  std::string error;
  const llvm::Target *target = nvptx(error);
  if (!target)
    return failure("this LLVM has no code generator for NVIDIA GPUs: " + error);
  unsigned number = 0;
  llvm::StringRef digits = name;
  bool wellFormed = digits.consume_front("sm_") && (digits.consume_back("a"), !digits.getAsInteger(10, number));
  std::unique_ptr<llvm::MCSubtargetInfo> info(target->createMCSubtargetInfo(kTriple, "", ""));
  if (!wellFormed || number < 80 || !info->isCPUStringValid(name))
    return failure("unknown GPU '" + name + "'; use sm_80 (Ampere and everything later), sm_86, sm_89, sm_90, or sm_90a (Hopper only)");
  // The PTX that the chip came with, and at least that of sm_80's asynchronous copies as drivers since CUDA 11 read it.
  return GpuSpec{name.str(), number >= 100 ? "" : number >= 90 ? "+ptx86" : "+ptx80"};
}

std::string emitPtx(llvm::Module &module, llvm::TargetMachine &machine) {
  module.setDataLayout(machine.createDataLayout());
  module.setTargetTriple(machine.getTargetTriple());
  for (llvm::Function &function : module) {
    if (function.isDeclaration() || function.getCallingConv() == llvm::CallingConv::PTX_Kernel)
      continue;
    function.setLinkage(llvm::GlobalValue::InternalLinkage);
    // A call would copy the kernel's arguments, which are by value, into memory.
    if (!function.hasFnAttribute(llvm::Attribute::NoInline))
      function.addFnAttr(llvm::Attribute::AlwaysInline);
  }
  runO2(module, machine);

  llvm::SmallString<0> text;
  llvm::raw_svector_ostream os(text);
  llvm::legacy::PassManager passes;
  if (!machine.addPassesToEmitFile(passes, os, nullptr, llvm::CodeGenFileType::AssemblyFile))
    passes.run(module);
  return std::string(text);
}

std::string findPtxas(llvm::StringRef given) {
  if (!given.empty())
    return given.str();
  if (auto found = llvm::sys::findProgramByName("ptxas"))
    return *found;
  if (auto found = llvm::sys::findProgramByName("ptxas", {"/usr/local/cuda/bin"}))
    return *found;
  return "";
}

/// Reads what `ptxas -v` prints: lines about an entry follow the line that names it.
static void readReport(llvm::StringRef text, Assembled &into) {
  llvm::Regex entry("Compiling entry function '([^']+)'"), spills("([0-9]+) bytes spill stores, ([0-9]+) bytes spill loads"),
      registers("Used ([0-9]+) registers"), shared("([0-9]+) bytes smem"), notice("C75[0-9][0-9]");
  auto number = [](llvm::StringRef digits) {
    int64_t value = 0;
    digits.getAsInteger(10, value);
    return value;
  };
  llvm::SmallVector<llvm::StringRef> lines, match;
  text.split(lines, '\n');
  for (llvm::StringRef line : lines) {
    if (notice.match(line))
      into.notices.push_back(line.trim().str());
    if (entry.match(line, &match)) {
      into.entries.emplace_back();
      into.entries.back().name = match[1].str();
    }
    if (into.entries.empty())
      continue;
    EntryResources &last = into.entries.back();
    if (spills.match(line, &match))
      last.spillBytes += number(match[1]) + number(match[2]);
    if (registers.match(line, &match))
      last.registers = number(match[1]);
    if (shared.match(line, &match))
      last.sharedBytes = number(match[1]);
  }
}

llvm::Expected<Assembled> assemblePtx(llvm::StringRef ptxas, const GpuSpec &gpu, llvm::StringRef ptx) {
  llvm::SmallString<128> source, object, report;
  auto temporary = [](llvm::StringRef suffix, llvm::SmallString<128> &path) {
    return llvm::sys::fs::createTemporaryFile("leat", suffix, path);
  };
  if (temporary("ptx", source) || temporary("cubin", object) || temporary("txt", report))
    return failure("cannot make temporary files for ptxas");
  llvm::FileRemover removeSource(source), removeObject(object), removeReport(report);
  std::error_code error;
  {
    llvm::raw_fd_ostream os(source, error);
    os << ptx;
  }
  std::string arch = "-arch=" + gpu.chip, message;
  llvm::StringRef arguments[] = {ptxas, "-v", arch, "-o", object, source};
  std::optional<llvm::StringRef> redirects[] = {std::nullopt, llvm::StringRef(report), llvm::StringRef(report)};
  std::optional<llvm::sys::ProcessStatistics> statistics;
  int code = llvm::sys::ExecuteAndWait(ptxas, arguments, std::nullopt, redirects, 0, 0, &message, nullptr, &statistics);
  auto log = llvm::MemoryBuffer::getFile(report);
  llvm::StringRef text = log ? (*log)->getBuffer() : llvm::StringRef();
  if (code != 0)
    return failure(ptxas + " refused the code (exit code " + llvm::Twine(code) + "): " + (message.empty() ? text : message));
  auto binary = llvm::MemoryBuffer::getFile(object);
  if (!binary)
    return failure("cannot read what " + ptxas + " wrote: " + binary.getError().message());
  Assembled result;
  result.cubin = (*binary)->getBuffer().str();
  if (statistics)
    result.seconds = std::chrono::duration<double>(statistics->TotalTime).count();
  readReport(text, result);
  return result;
}

} // namespace leat::target
