// See DeviceExecutor.h.
#include "runtime/device/DeviceExecutor.h"

#include <algorithm>
#include <cstring>

namespace leat::rt {

namespace {

int64_t elements(const LeatBuffer &buffer) {
  int64_t count = 1;
  for (int64_t d = 0; d < buffer.rank; ++d)
    count *= buffer.dims[d];
  return count;
}

} // namespace

DeviceExecutor::DeviceExecutor(const Artifact &artifact, const LoadedCode &code, DeviceProgram &program, Queue &queue, ThreadPool &pool,
                               LeatState *states, int64_t batch, bool profile)
    : Executor(artifact, code, states, batch, profile), program(program), queue(queue), runner(pool, count), memory(slots.size()) {
  size_t mostInputs = 0, mostOutputs = 0;
  for (const FunctionInfo &function : manifest.functions) {
    mostInputs = std::max(mostInputs, function.inputs.size());
    mostOutputs = std::max(mostOutputs, function.outputs.size());
  }
  inputMemory.resize(mostInputs);
  inputBuffers.resize(mostInputs);
  outputMemory.resize(mostOutputs);
  frame.params = program.params();
  frame.grow = grow;
  frame.launch = launch;
  frame.launch_group = launchGroup;
  frame.read = read;
  frame.write = write;
  frame.copy = copy;
  frame.constant = constant;
}

DeviceExecutor::~DeviceExecutor() {
  (void)queue.synchronize(); // nothing may use the memory that goes now
  for (HostRoom &room : outputMemory)
    if (room.data)
      program.device().releaseHost(room.data);
}

Status DeviceExecutor::reserve(DeviceMemory &block, int64_t bytes, const char *what) {
  if (block.data() && bytes <= block.bytes())
    return {};
  LEAT_RETURN_IF_ERROR(queue.synchronize()); // work in flight may use what goes
  int64_t before = block.bytes();
  ++count.allocations;
  count.bufferBytes -= before;
  Status status = block.allocate(program.device(), generous(bytes, before), what);
  if (!status.ok())
    status = block.allocate(program.device(), bytes, what);
  count.bufferBytes += block.bytes();
  return status;
}

Status DeviceExecutor::bringInputs(const FunctionInfo &function, const LeatBuffer *inputs) {
  for (size_t i = 0; i < function.inputs.size(); ++i) {
    Input &input = inputMemory[i];
    input.host = inputs[i].data;
    input.bytes = elements(inputs[i]) * dtypeSize(function.inputs[i].dtype);
    LEAT_RETURN_IF_ERROR(reserve(input.memory, input.bytes, "an input"));
    if (input.bytes)
      LEAT_RETURN_IF_ERROR(queue.copyIn(input.memory.data(), input.host, input.bytes));
    inputBuffers[i] = inputs[i];
    inputBuffers[i].data = input.memory.data();
  }
  return {};
}

Status DeviceExecutor::bringOutputs(const FunctionInfo &function, LeatBuffer *outputs) {
  for (size_t i = 0; i < function.outputs.size(); ++i) {
    LeatBuffer &output = outputs[i];
    // Shapes are checked by the session; absurd ones must not be copied before.
    int64_t bytes;
    if (output.rank < 0 || output.rank > LEAT_MAX_RANK ||
        !byteSize(output.dims, static_cast<int>(output.rank), dtypeSize(function.outputs[i].dtype), bytes))
      return error(Code::Internal, "output '%s' came out with an absurd shape", printable(function.outputs[i].name).c_str());
    HostRoom &room = outputMemory[i];
    if (!room.data || room.bytes < bytes) {
      if (room.data)
        program.device().releaseHost(room.data);
      int64_t wanted = generous(bytes, room.bytes);
      room = {};
      Result<void *> fresh = program.device().allocateHost(wanted);
      if (!fresh.ok())
        return fresh.takeStatus();
      room = {*fresh, wanted};
    }
    if (bytes)
      LEAT_RETURN_IF_ERROR(queue.copyOut(room.data, output.data, bytes));
    output.data = room.data;
  }
  return {};
}

Status DeviceExecutor::run(size_t function, LeatBuffer *inputs, LeatBuffer *outputs) {
  const FunctionInfo &info = manifest.functions[function];
  LEAT_RETURN_IF_ERROR(bringInputs(info, inputs));
  LEAT_RETURN_IF_ERROR(enqueue(function, outputs));
  LEAT_RETURN_IF_ERROR(bringOutputs(info, outputs));
  return queue.synchronize();
}

Status DeviceExecutor::enqueue(size_t function, LeatBuffer *outputs) {
  frame.inputs = inputBuffers.data();
  frame.outputs = outputs;
  if (!measuring)
    LEAT_RETURN_IF_ERROR(queue.beginSequence(function));
  Status status = call(function);
  if (!measuring)
    if (Status end = queue.endSequence(); status.ok())
      status = std::move(end);
  return status;
}

Status DeviceExecutor::repeat(size_t function, LeatBuffer *, LeatBuffer *outputs, std::span<int64_t> nanoseconds) {
  bool kernels = std::exchange(measuring, false); // they have the timer to themselves
  Status status;
  for (size_t i = 0; i < nanoseconds.size() && status.ok(); ++i) {
    status = queue.startTimer(/*cold=*/true);
    if (status.ok())
      status = enqueue(function, outputs);
    Result<int64_t> time = queue.stopTimer();
    if (status.ok() && !time.ok())
      status = time.takeStatus();
    nanoseconds[i] = time.ok() ? *time : 0;
  }
  measuring = kernels;
  LEAT_RETURN_IF_ERROR(std::move(status));
  LEAT_RETURN_IF_ERROR(bringOutputs(manifest.functions[function], outputs));
  return queue.synchronize();
}

void *DeviceExecutor::grow(LeatFrame *frame, int64_t index, int64_t bytes) {
  auto &self = static_cast<DeviceExecutor &>(of(frame));
  if (index < 0 || index >= static_cast<int64_t>(self.slots.size()) || bytes < 0) {
    self.stop(error(Code::Internal, "generated code asked for %lld bytes in buffer %lld", (long long)bytes, (long long)index));
    return nullptr;
  }
  DeviceMemory &block = self.memory[index];
  if (Status status = self.reserve(block, bytes, "a temporary buffer"); !status.ok()) {
    self.slots[index] = {nullptr, 0};
    self.stop(std::move(status));
    return nullptr;
  }
  self.slots[index] = {block.data(), block.bytes()};
  return block.data();
}

int64_t DeviceExecutor::launch(LeatFrame *frame, int64_t index, void *const *buffers, const int64_t *scalars) {
  LeatLaunch launch{index, buffers, scalars};
  return launchGroup(frame, &launch, 1);
}

int64_t DeviceExecutor::launchGroup(LeatFrame *frame, const LeatLaunch *launches, int64_t count) {
  auto &self = static_cast<DeviceExecutor &>(of(frame));
  Status status = self.checkGroup(launches, count);
  if (!status.ok())
    return self.stop(std::move(status));
  auto onDevice = [&](const LeatLaunch &launch) { return self.manifest.kernels[launch.kernel].onDevice(); };
  if (count > 1 && !self.measuring && std::all_of(launches, launches + count, onDevice))
    status = self.launchBranches(launches, count);
  else
    for (int64_t i = 0; i < count && status.ok(); ++i)
      status = self.measuring ? self.launchMeasured(launches[i]) : self.launchOne(launches[i]);
  return status.ok() ? 0 : self.stop(std::move(status));
}

Status DeviceExecutor::launchBranches(const LeatLaunch *launches, int64_t count) {
  // Memory that has to grow waits for the device: before the branches begin.
  for (int64_t i = 0; i < count; ++i)
    if (!program.asksLibrary(launches[i].kernel))
      LEAT_RETURN_IF_ERROR(prepare(launches[i], lanes[i]));
  LEAT_RETURN_IF_ERROR(queue.beginBranches(static_cast<int>(count)));
  Status status;
  for (int64_t i = 0; i < count && status.ok(); ++i) {
    status = queue.branch(static_cast<int>(i));
    if (status.ok())
      status = program.asksLibrary(launches[i].kernel) ? launchOnDevice(launches[i], lanes[i]) : send(launches[i], lanes[i]);
  }
  Status end = queue.endBranches();
  return status.ok() ? std::move(end) : std::move(status);
}

Status DeviceExecutor::launchOne(const LeatLaunch &launch) {
  return manifest.kernels[launch.kernel].onDevice() ? launchOnDevice(launch, lanes[0])
                                                    : launchOnHost(launch.kernel, launch.buffers, launch.scalars);
}

Status DeviceExecutor::launchMeasured(const LeatLaunch &launch) {
  LEAT_RETURN_IF_ERROR(queue.startTimer(/*cold=*/true));
  LEAT_RETURN_IF_ERROR(launchOne(launch));
  Result<int64_t> time = queue.stopTimer();
  if (!time.ok())
    return time.takeStatus();
  addProfile(launch.kernel, launch.scalars, *time);
  return {};
}

Result<bool> DeviceExecutor::multiplyByLibrary(size_t index, void *const *buffers, const int64_t *scalars) {
  const KernelInfo &kernel = manifest.kernels[index];
  LeatGemm gemm;
  code.deviceKernels()[index].gemm(scalars, &gemm);
  if (gemm.m <= 0 || gemm.n <= 0 || gemm.k <= 0 || gemm.batch <= 0 || gemm.batch > INT32_MAX)
    return false;
  auto has = [&](int64_t buffer) { return buffer >= 0 && buffer < kernel.buffers - LEAT_DEVICE_BUFFERS; };
  if (!has(gemm.left.buffer) || !has(gemm.right.buffer) || !has(gemm.output.buffer) || (gemm.bias != -1 && !has(gemm.bias)))
    return error(Code::Internal, "kernel '%s' multiplies a buffer that it does not have", kernel.name.c_str());
  return queue.multiply(gemm, buffers, kernel.name.c_str());
}

Status DeviceExecutor::launchOnDevice(const LeatLaunch &launch, Lane &lane) {
  if (program.asksLibrary(launch.kernel)) {
    Result<bool> multiplied = multiplyByLibrary(launch.kernel, launch.buffers, launch.scalars);
    if (!multiplied.ok() || *multiplied)
      return multiplied.takeStatus();
  }
  LEAT_RETURN_IF_ERROR(prepare(launch, lane));
  return send(launch, lane);
}

Status DeviceExecutor::prepare(const LeatLaunch &launch, Lane &lane) {
  code.deviceKernels()[launch.kernel].geometry(launch.scalars, lane.phases);
  int64_t scratchBytes = 0, joinedBytes = 0;
  for (size_t phase = 0; phase < program.entries(launch.kernel).size(); ++phase) {
    scratchBytes = std::max(scratchBytes, lane.phases[phase].scratch);
    joinedBytes = std::max(joinedBytes, lane.phases[phase].joined);
  }
  LEAT_RETURN_IF_ERROR(reserve(lane.scratch, scratchBytes, "the scratch of a kernel"));
  LEAT_RETURN_IF_ERROR(reserve(lane.joined, joinedBytes, "what the phases of a kernel share"));
  if (!lane.tickets.data()) {
    LEAT_RETURN_IF_ERROR(reserve(lane.tickets, sizeof(uint32_t), "the tickets of a kernel's blocks"));
    LEAT_RETURN_IF_ERROR(queue.zero(lane.tickets.data(), lane.tickets.bytes()));
  }
  return {};
}

Status DeviceExecutor::send(const LeatLaunch &launch, Lane &lane) {
  const KernelInfo &kernel = manifest.kernels[launch.kernel];
  const std::vector<void *> &entries = program.entries(launch.kernel);
  pointers.assign(launch.buffers, launch.buffers + kernel.buffers - LEAT_DEVICE_BUFFERS);
  for (const DeviceMemory *own : {&lane.scratch, &lane.joined, &lane.tickets})
    pointers.push_back(own->data());
  for (size_t phase = 0; phase < entries.size(); ++phase) {
    const LeatGeometry &g = lane.phases[phase];
    LaunchShape shape;
    bool empty = false;
    for (int d = 0; d < 3; ++d) {
      if (g.grid[d] < 0 || g.grid[d] > INT32_MAX || g.block[d] < 0 || g.block[d] > 1024 || g.cluster[d] < 1 || g.cluster[d] > 16)
        return error(Code::Internal, "kernel '%s' asked for an absurd launch", kernel.name.c_str());
      empty |= g.grid[d] == 0 || g.block[d] == 0;
      shape.grid[d] = static_cast<uint32_t>(g.grid[d]);
      shape.block[d] = static_cast<uint32_t>(g.block[d]);
      shape.cluster[d] = static_cast<uint32_t>(g.cluster[d]);
    }
    if (empty)
      continue;
    if (g.resident > 0)
      shape.grid[0] = static_cast<uint32_t>(std::min(g.grid[0], g.resident * program.device().multiprocessors()));
    if (g.dynamic_shared < 0 || g.dynamic_shared > (1 << 20) || g.tensor_maps < 0 || g.tensor_maps > LEAT_MAX_TENSOR_MAPS)
      return error(Code::Internal, "kernel '%s' asked for %lld bytes of shared memory and %lld tensor maps", kernel.name.c_str(),
                   (long long)g.dynamic_shared, (long long)g.tensor_maps);
    shape.dynamicShared = static_cast<uint32_t>(g.dynamic_shared);
    alignas(64) uint8_t maps[LEAT_MAX_TENSOR_MAPS][128];
    void *arguments[2 + LEAT_MAX_TENSOR_MAPS] = {pointers.data(), const_cast<int64_t *>(launch.scalars)};
    for (int64_t i = 0; i < g.tensor_maps; ++i) {
      const LeatTensorMap &map = g.maps[i];
      if (map.buffer < 0 || map.buffer >= kernel.buffers)
        return error(Code::Internal, "kernel '%s' maps buffer %lld, which it does not have", kernel.name.c_str(), (long long)map.buffer);
      if (Status status = program.device().encodeTensorMap(map, static_cast<uint8_t *>(pointers[map.buffer]) + map.offset, maps[i]);
          !status.ok())
        return std::move(status).withContext("kernel '" + kernel.name + "'");
      arguments[2 + i] = maps[i];
    }
    Status launched = queue.launch(entries[phase], shape, {arguments, static_cast<size_t>(2 + g.tensor_maps)}, kernel.name.c_str());
    if (!launched.ok()) {
      lane.tickets.release(); // blocks may have drawn some of them
      return launched;
    }
  }
  return {};
}

// A kernel without device code: its operands come to the host and its results go back.
Status DeviceExecutor::launchOnHost(size_t index, void *const *buffers, const int64_t *scalars) {
  const KernelInfo &kernel = manifest.kernels[index];
  size_t operands = static_cast<size_t>(kernel.buffers - LEAT_DEVICE_BUFFERS);
  std::vector<int64_t> extents(2 * operands);
  code.deviceKernels()[index].extents(scalars, extents.data());
  if (hostCopies.size() < operands)
    hostCopies.resize(operands);
  std::vector<void *> host;
  auto bytes = [&](size_t i) { return extents[2 * i]; };
  auto access = [&](size_t i) { return extents[2 * i + 1]; };
  for (size_t i = 0; i < operands; ++i) {
    if (bytes(i) < 0 ||
        ((!hostCopies[i].data() || hostCopies[i].bytes() < bytes(i)) && !hostCopies[i].allocate(std::max<int64_t>(bytes(i), 64))))
      return error(Code::Capacity, "out of memory for an operand of kernel '%s', which runs on the host (%lld bytes)", kernel.name.c_str(),
                   (long long)bytes(i));
    if (access(i) != LEAT_ACCESS_WRITE && bytes(i))
      LEAT_RETURN_IF_ERROR(queue.copyOut(hostCopies[i].data(), buffers[i], bytes(i)));
    host.push_back(hostCopies[i].data());
  }
  KernelRunner::Call call{&code.kernels()[index], &kernel.name, host.data(), scalars};
  LEAT_RETURN_IF_ERROR(runner.run({&call, 1}));
  for (size_t i = 0; i < operands; ++i)
    if (access(i) != LEAT_ACCESS_READ && bytes(i))
      LEAT_RETURN_IF_ERROR(queue.copyIn(buffers[i], host[i], bytes(i)));
  return {};
}

int64_t DeviceExecutor::read(LeatFrame *frame, void *host, const void *device, int64_t bytes) {
  auto &self = static_cast<DeviceExecutor &>(of(frame));
  // What the caller gave is still there: no need to wait for the device.
  for (const Input &input : self.inputMemory) {
    int64_t at = static_cast<const uint8_t *>(device) - static_cast<const uint8_t *>(input.memory.data());
    if (input.memory.data() && input.host && at >= 0 && at <= input.bytes && bytes <= input.bytes - at) {
      std::memcpy(host, static_cast<const uint8_t *>(input.host) + at, static_cast<size_t>(bytes));
      return 0;
    }
  }
  Status status = self.queue.copyOut(host, device, bytes);
  return status.ok() ? 0 : self.stop(std::move(status));
}

int64_t DeviceExecutor::write(LeatFrame *frame, void *device, const void *host, int64_t bytes) {
  auto &self = static_cast<DeviceExecutor &>(of(frame));
  Status status = bytes ? self.queue.copyIn(device, host, bytes) : Status();
  return status.ok() ? 0 : self.stop(std::move(status));
}

int64_t DeviceExecutor::copy(LeatFrame *frame, void *to, const void *from, int64_t bytes) {
  auto &self = static_cast<DeviceExecutor &>(of(frame));
  Status status = bytes > 0 && to != from ? self.queue.copy(to, from, bytes) : Status();
  return status.ok() ? 0 : self.stop(std::move(status));
}

int64_t DeviceExecutor::constant(LeatFrame *frame, void **device, const void *host, int64_t bytes) {
  auto &self = static_cast<DeviceExecutor &>(of(frame));
  Result<void *> memory = self.program.constant(self.queue, host, bytes);
  if (!memory.ok())
    return self.stop(memory.takeStatus());
  *device = *memory;
  return 0;
}

} // namespace leat::rt
