// The command line of leat-ptxsim.
#include "runtime/device/sim/Tool.h"
#include "runtime/core/File.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace leat::sim {

using rt::Code;
using rt::error;
using rt::Status;

static const char *const usage = R"(leat-ptxsim: runs a GPU kernel on the CPU and reports what it does wrong.

usage: leat-ptxsim FILE.ptx [options]

  --list               print the kernels and their parameters, and whether every instruction is known
  --kernel=NAME        the kernel to run (default: the only one)
  --grid=X[,Y[,Z]]     blocks (default 1)
  --block=X[,Y[,Z]]    threads of a block (default: what the kernel requires, else 1)
  --cluster=X[,Y[,Z]]  blocks of a cluster
  --shared=BYTES       dynamic shared memory

  --arg=SPEC           an argument; once for each parameter, in order:
       f32:64x128:random(7)      a buffer: type, shape, contents (zero, nan, iota, random(SEED), fill(VALUE))
       in.npy                    a buffer with a file's contents
       'f32:64:zero > out.npy'   either, saved when the kernel is done
       u32=128                   a scalar
       @NAME                     a buffer that --buffer made
       'map(NAME, 64x64, 128)'   a tensor map over such a buffer: box (outermost first), bytes of swizzle
  --buffer=NAME=SPEC   a buffer that arguments refer to

  --landing=late|early|random:SEED   when asynchronous work takes place (default late)
  --schedule=SEED      warps take turns in an order drawn from SEED
  --threads=N          host threads (default 1; 0: all CPUs)
  --budget=N           warp instructions until a launch counts as hanging
  --no-checks          bounds and alignment only: several times faster
  --max-reports=N      different findings to keep (default 50)
  --counters           print instructions, sectors, bank conflicts
  --json[=FILE]        print findings and counters as JSON

exit code: 0 nothing wrong was found, 1 the kernel has errors, 2 the command or a file is wrong
)";

namespace {

struct Command {
  std::string file, kernel, jsonFile;
  Options options;
  LaunchConfig config;
  bool list = false, counters = false, json = false, blockGiven = false;
  std::vector<std::string> buffers, arguments;
};

bool parseNumber(const char *text, uint64_t &value) {
  char *end = nullptr;
  value = std::strtoull(text, &end, 0);
  return *text >= '0' && *text <= '9' && *end == 0;
}

Status parseDim(const char *option, const char *text, Dim3 &dim) {
  uint32_t *parts[] = {&dim.x, &dim.y, &dim.z};
  dim = {};
  std::string rest = text;
  for (int i = 0; i < 3; ++i) {
    size_t comma = rest.find(',');
    uint64_t value;
    if (!parseNumber(rest.substr(0, comma).c_str(), value) || value < 1 || value > UINT32_MAX)
      break;
    *parts[i] = uint32_t(value);
    if (comma == std::string::npos)
      return {};
    rest = rest.substr(comma + 1);
  }
  return error(Code::InvalidArgument, "%s%s: one to three positive sizes are needed, as 8,4", option, text);
}

Status parseLanding(const char *text, Options &options) {
  if (!std::strcmp(text, "late"))
    options.landing = Landing::Late;
  else if (!std::strcmp(text, "early"))
    options.landing = Landing::Early;
  else if (!std::strncmp(text, "random:", 7) && parseNumber(text + 7, options.seed))
    options.landing = Landing::Random;
  else
    return error(Code::InvalidArgument, "--landing=%s: late, early or random:SEED", text);
  return {};
}

Status parseOption(const char *argument, Command &command) {
  auto value = [&](const char *name) -> const char * {
    size_t length = std::strlen(name);
    return std::strncmp(argument, name, length) ? nullptr : argument + length;
  };
  auto number = [&](const char *text, uint64_t &out) -> Status {
    return parseNumber(text, out) ? Status() : error(Code::InvalidArgument, "%s: a number is needed", argument);
  };
  Options &options = command.options;
  uint64_t n = 0;
  if (!std::strcmp(argument, "--list"))
    command.list = true;
  else if (!std::strcmp(argument, "--no-checks"))
    options.checks = false;
  else if (!std::strcmp(argument, "--counters"))
    command.counters = true;
  else if (!std::strcmp(argument, "--json"))
    command.json = true;
  else if (const char *v = value("--json="))
    command.json = true, command.jsonFile = v;
  else if (const char *v = value("--kernel="))
    command.kernel = v;
  else if (const char *v = value("--grid="))
    return parseDim("--grid=", v, command.config.grid);
  else if (const char *v = value("--block=")) {
    command.blockGiven = true;
    return parseDim("--block=", v, command.config.block);
  } else if (const char *v = value("--cluster="))
    return parseDim("--cluster=", v, command.config.cluster);
  else if (const char *v = value("--landing="))
    return parseLanding(v, options);
  else if (const char *v = value("--buffer="))
    command.buffers.push_back(v);
  else if (const char *v = value("--arg="))
    command.arguments.push_back(v);
  else if (const char *v = value("--budget="))
    return number(v, options.instructionBudget);
  else if (const char *v = value("--schedule=")) {
    options.randomSchedule = true;
    return number(v, options.seed);
  } else if (const char *v = value("--shared=")) {
    LEAT_RETURN_IF_ERROR(number(v, n));
    command.config.dynamicSharedBytes = uint32_t(std::min<uint64_t>(n, UINT32_MAX));
  } else if (const char *v = value("--threads=")) {
    LEAT_RETURN_IF_ERROR(number(v, n));
    options.threads = int(std::min<uint64_t>(n, 1024));
  } else if (const char *v = value("--max-reports=")) {
    LEAT_RETURN_IF_ERROR(number(v, n));
    options.maxReports = int(std::min<uint64_t>(n, 100000));
  } else if (argument[0] == '-')
    return error(Code::InvalidArgument, "there is no option '%s'; --help lists them", argument);
  else if (!command.file.empty())
    return error(Code::InvalidArgument, "one file is read, '%s' is the second", argument);
  else
    command.file = argument;
  return {};
}

void listKernels(Module &module) {
  for (const KernelInfo &kernel : module.kernels()) {
    std::printf("%s\n", kernel.name.c_str());
    if (kernel.requiredBlock.x)
      std::printf("  block %u,%u,%u\n", kernel.requiredBlock.x, kernel.requiredBlock.y, kernel.requiredBlock.z);
    else if (kernel.maximumBlock.x)
      std::printf("  block of at most %llu threads\n", static_cast<unsigned long long>(kernel.maximumBlock.count()));
    if (kernel.requiredCluster.x)
      std::printf("  cluster %u,%u,%u\n", kernel.requiredCluster.x, kernel.requiredCluster.y, kernel.requiredCluster.z);
    if (kernel.staticSharedBytes)
      std::printf("  static shared memory: %u bytes\n", kernel.staticSharedBytes);
    for (const Parameter &p : kernel.parameters)
      std::printf("  %3u: %u bytes, aligned to %u: %s\n", p.offset, p.bytes, p.alignment, p.name.c_str());
    if (Status status = module.check(kernel.name); !status.ok())
      std::printf("  cannot be run: %s\n", status.message().c_str());
  }
}

void printCounters(const LaunchResult &result) {
  const Counters &c = result.counters;
  auto line = [](const char *name, uint64_t value) { std::printf("%-28s %llu\n", name, static_cast<unsigned long long>(value)); };
  line("warp instructions", c.warpInstructions);
  line("thread instructions", c.threadInstructions);
  line("global load requests", c.globalLoads);
  line("global load bytes", c.globalLoadBytes);
  line("global load sectors", c.globalLoadSectors);
  line("global store requests", c.globalStores);
  line("global store bytes", c.globalStoreBytes);
  line("global store sectors", c.globalStoreSectors);
  line("shared requests", c.sharedRequests);
  line("shared wavefronts", c.sharedWavefronts);
  line("bank conflicts", c.bankConflicts());
  line("cp.async bytes", c.asyncCopyBytes);
  line("bulk copy bytes", c.bulkBytes);
  line("bulk copy sectors", c.bulkSectors);
  line("mma", c.mma);
  line("wgmma", c.wgmma);
  line("multiply-adds", c.multiplyAdds);
  std::printf("%-28s %.3f s\n", "simulated in", result.seconds);
}

rt::Result<bool> run(Command &command) {
  auto bytes = rt::readFile(command.file);
  if (!bytes.ok())
    return bytes.takeStatus();
  auto module = Module::parse(std::string_view(reinterpret_cast<const char *>(bytes->data()), bytes->size()), command.file);
  if (!module.ok())
    return module.takeStatus();
  if (command.list) {
    listKernels(**module);
    return true;
  }
  const auto &kernels = (*module)->kernels();
  if (command.kernel.empty() && kernels.size() != 1)
    return error(Code::InvalidArgument, "%s has %zu kernels: choose one by --kernel=NAME (--list shows them)", command.file.c_str(),
                 kernels.size());
  if (command.kernel.empty())
    command.kernel = kernels[0].name;
  LEAT_RETURN_IF_ERROR((*module)->check(command.kernel));
  const KernelInfo &kernel = *(*module)->kernel(command.kernel);
  if (!command.blockGiven && kernel.requiredBlock.x)
    command.config.block = kernel.requiredBlock;
  Simulator simulator(command.options);
  ToolArguments arguments(simulator);
  for (const std::string &buffer : command.buffers)
    LEAT_RETURN_IF_ERROR(arguments.addBuffer(buffer));
  for (const std::string &argument : command.arguments)
    LEAT_RETURN_IF_ERROR(arguments.addArgument(argument));
  auto parameters = arguments.pack(kernel);
  if (!parameters.ok())
    return parameters.takeStatus();
  auto result = simulator.launch(**module, command.kernel, command.config, std::span<const std::byte>(*parameters));
  if (!result.ok())
    return result.takeStatus();
  LEAT_RETURN_IF_ERROR(arguments.writeOutputs());
  if (command.json) {
    std::string json = resultToJson(*result);
    if (command.jsonFile.empty()) {
      std::fputs(json.c_str(), stdout);
    } else {
      std::span<const uint8_t> piece(reinterpret_cast<const uint8_t *>(json.data()), json.size());
      LEAT_RETURN_IF_ERROR(rt::writeFile(command.jsonFile, std::span(&piece, 1)));
    }
  } else {
    for (const Report &report : result->reports)
      std::printf("%s\n", formatReport(report).c_str());
  }
  if (command.counters)
    printCounters(*result);
  return result->clean();
}

} // namespace

int toolMain(int argc, char **argv) {
  Command command;
  for (int i = 1; i < argc; ++i) {
    if (!std::strcmp(argv[i], "--help") || !std::strcmp(argv[i], "-h")) {
      std::fputs(usage, stdout);
      return 0;
    }
    if (Status status = parseOption(argv[i], command); !status.ok()) {
      std::fprintf(stderr, "error: %s\n", status.message().c_str());
      return 2;
    }
  }
  if (command.file.empty()) {
    std::fprintf(stderr, "error: which PTX file? leat-ptxsim --help says how\n");
    return 2;
  }
  auto clean = run(command);
  if (!clean.ok()) {
    std::fprintf(stderr, "error: %s\n", clean.status().message().c_str());
    return 2;
  }
  return *clean ? 0 : 1;
}

} // namespace leat::sim
