// Encoding and decoding of tensor maps, with the driver's rules.
#include "runtime/device/sim/TensorMap.h"

#include <cstring>

namespace leat::sim {

using rt::Code;
using rt::error;

namespace {

struct Encoded {
  u64 magic, base;
  u8 rank, elementBytes, swizzleBytes, reserved;
  u32 lastIndex[5];
  u64 strides[4];
  u16 box[5];
};
static_assert(sizeof(Encoded) <= tensorMapBytes);
constexpr u64 magic = 0x50414d54414c454cull;

} // namespace

rt::Status encodeTensorMap(const TensorMapSpec &spec, void *bytes) {
  auto refuse = [](const char *what, int dimension, u64 value) {
    return error(Code::InvalidArgument, "tensor map: dimension %d: %s, not %llu", dimension, what, (unsigned long long)value);
  };
  if (spec.rank < 1 || spec.rank > 5)
    return error(Code::InvalidArgument, "tensor map: the rank is 1 to 5, not %d", spec.rank);
  int size = spec.elementBytes;
  if (size != 1 && size != 2 && size != 4 && size != 8)
    return error(Code::InvalidArgument, "tensor map: elements have 1, 2, 4 or 8 bytes, not %d", size);
  if (reinterpret_cast<uintptr_t>(spec.base) % 16)
    return error(Code::InvalidArgument, "tensor map: the address has to be a multiple of 16");
  if (spec.swizzleBytes != 0 && spec.swizzleBytes != 32 && spec.swizzleBytes != 64 && spec.swizzleBytes != 128)
    return error(Code::InvalidArgument, "tensor map: the swizzle has 0, 32, 64 or 128 bytes, not %d", spec.swizzleBytes);
  for (int d = 0; d < spec.rank; ++d) {
    if (spec.dims[d] < 1 || spec.dims[d] > u64(1) << 32)
      return refuse("the size is 1 to 2^32", d, spec.dims[d]);
    if (spec.box[d] < 1 || spec.box[d] > 256)
      return refuse("the box has 1 to 256 elements", d, spec.box[d]);
    if (spec.elementStrides[d] != 1)
      return refuse("the element stride has to be 1 here", d, spec.elementStrides[d]);
    if (d > 0 && (spec.strides[d - 1] % 16 || spec.strides[d - 1] >= u64(1) << 40))
      return refuse("the stride is a multiple of 16 below 2^40", d, spec.strides[d - 1]);
  }
  u32 inner = spec.box[0] * u32(size);
  if (inner % 16)
    return refuse("the box's rows are a multiple of 16 bytes", 0, inner);
  if (spec.swizzleBytes && inner > u32(spec.swizzleBytes))
    return refuse("the box's rows do not exceed the swizzle's bytes", 0, inner);
  Encoded encoded = {};
  encoded.magic = magic;
  encoded.base = u64(reinterpret_cast<uintptr_t>(spec.base));
  encoded.rank = u8(spec.rank);
  encoded.elementBytes = u8(size);
  encoded.swizzleBytes = u8(spec.swizzleBytes);
  for (int d = 0; d < spec.rank; ++d) {
    encoded.lastIndex[d] = u32(spec.dims[d] - 1);
    encoded.box[d] = u16(spec.box[d]);
    if (d > 0)
      encoded.strides[d - 1] = spec.strides[d - 1];
  }
  std::memset(bytes, 0, tensorMapBytes);
  std::memcpy(bytes, &encoded, sizeof(encoded));
  return {};
}

bool decodeTensorMap(const u8 *bytes, TensorMapSpec &spec) {
  Encoded encoded;
  std::memcpy(&encoded, bytes, sizeof(encoded));
  if (encoded.magic != magic)
    return false;
  spec.base = reinterpret_cast<void *>(uintptr_t(encoded.base));
  spec.rank = encoded.rank;
  spec.elementBytes = encoded.elementBytes;
  spec.swizzleBytes = encoded.swizzleBytes;
  for (int d = 0; d < 5; ++d) {
    spec.dims[d] = u64(encoded.lastIndex[d]) + 1;
    spec.box[d] = encoded.box[d];
    if (d > 0)
      spec.strides[d - 1] = encoded.strides[d - 1];
  }
  u8 check[tensorMapBytes]; // a kernel may have changed the bytes: they have to be what encoding makes
  return encodeTensorMap(spec, check).ok();
}

} // namespace leat::sim
