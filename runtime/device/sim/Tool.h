// leat-ptxsim: the simulator as a command. Reads options, makes buffers, launches one kernel, prints findings.
#ifndef LEAT_RUNTIME_DEVICE_SIM_TOOL_H
#define LEAT_RUNTIME_DEVICE_SIM_TOOL_H

#include "runtime/core/Tensor.h"
#include "runtime/device/sim/Simulator.h"

#include <deque>
#include <map>

namespace leat::sim {

// Exit codes: 0 no error was found, 1 the kernel has errors, 2 the command line or a file is wrong.
int toolMain(int argc, char **argv);

// The kernel's arguments, built from text: buffers, scalars, tensor maps. ToolArguments.cpp says how they are written.
class ToolArguments {
public:
  explicit ToolArguments(Simulator &simulator) : simulator(simulator) {}
  // NAME=SPEC: a buffer that arguments can refer to.
  rt::Status addBuffer(const std::string &text);
  rt::Status addArgument(const std::string &text);
  // Puts the arguments into the kernel's parameters.
  rt::Result<std::vector<std::byte>> pack(const KernelInfo &kernel) const;
  rt::Status writeOutputs() const;

private:
  struct Buffer {
    rt::Tensor tensor;
    std::string output; // file to write it to
  };
  rt::Result<Buffer *> makeBuffer(const std::string &spec, const std::string &name);
  rt::Status addScalar(const std::string &type, const std::string &value);
  rt::Status addTensorMap(const std::string &spec);

  Simulator &simulator;
  std::deque<Buffer> buffers;
  std::map<std::string, Buffer *> named;
  std::vector<std::vector<std::byte>> values;
  std::vector<std::string> texts;
};

} // namespace leat::sim

#endif
