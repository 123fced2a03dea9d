// Walks the wire format of a ModelProto with a stack of its own.
#include "lib/Frontend/WireScan.h"

#include <vector>

namespace leat::frontend {
namespace {

/// Messages of onnx.proto by what is inside them. Leaf: nothing repeated that is a message.
enum Message : uint8_t {
  Leaf,
  Model,
  Training,
  Graph,
  Node,
  Attribute,
  Tensor,
  Sparse,
  ValueInfo,
  Type,
  TensorType,
  ElementType,
  MapType,
  Shape,
  Function,
  Entries, // messages whose repeated fields are leaves, at field 2, 3 or 4
};

Message childOf(Message message, uint64_t field) {
  switch (message) {
  case Model:
    return field == 7 ? Graph : field == 20 ? Training : field == 25 ? Function : Leaf;
  case Training:
    return field <= 2 ? Graph : Leaf;
  case Graph:
    return field == 1                                  ? Node
           : field == 5                                ? Tensor
           : field == 15                               ? Sparse
           : field == 11 || field == 12 || field == 13 ? ValueInfo
           : field == 14                               ? Entries
                                                       : Leaf;
  case Node:
    return field == 5 ? Attribute : field == 10 ? Entries : Leaf;
  case Attribute:
    return field == 5 || field == 10    ? Tensor
           : field == 6 || field == 11  ? Graph
           : field == 22 || field == 23 ? Sparse
           : field == 14 || field == 15 ? Type
                                        : Leaf;
  case Sparse:
    return Tensor;
  case ValueInfo:
    return field == 2 ? Type : Leaf;
  case Type:
    return field == 1 || field == 8 ? TensorType : field == 4 || field == 9 ? ElementType : field == 5 ? MapType : Leaf;
  case TensorType:
    return field == 2 ? Shape : Leaf;
  case ElementType:
    return field == 1 ? Type : Leaf;
  case MapType:
    return field == 2 ? Type : Leaf;
  case Function:
    return field == 7 ? Node : field == 11 ? Attribute : field == 12 ? ValueInfo : Leaf;
  case Entries:
    return field >= 2 && field <= 4 ? Entries : Leaf;
  case Tensor:
  case Shape:
  case Leaf:
    break;
  }
  return Leaf;
}

bool readVarint(const uint8_t *&at, const uint8_t *end, uint64_t &value) {
  value = 0;
  for (int shift = 0; at != end && shift < 64; shift += 7) {
    uint8_t byte = *at++;
    value |= uint64_t(byte & 0x7f) << shift;
    if (byte < 0x80)
      return true;
  }
  return false;
}

} // namespace

int64_t countFields(const char *data, size_t size, int64_t limit) {
  struct Open {
    Message message;
    const uint8_t *end;
  };
  const auto *at = reinterpret_cast<const uint8_t *>(data);
  std::vector<Open> stack = {{Model, at + size}};
  int64_t fields = 0;
  while (!stack.empty() && fields <= limit) {
    auto [message, end] = stack.back();
    if (at == end) {
      stack.pop_back();
      continue;
    }
    ++fields;
    uint64_t tag, length;
    bool good = readVarint(at, end, tag);
    if (good) {
      switch (tag & 7) {
      case 0:
        good = readVarint(at, end, length);
        break;
      case 1:
      case 5: {
        size_t width = (tag & 7) == 1 ? 8 : 4;
        good = size_t(end - at) >= width;
        at += good ? width : 0;
        break;
      }
      case 2: {
        good = readVarint(at, end, length) && length <= size_t(end - at);
        if (!good)
          break;
        Message child = childOf(message, tag >> 3);
        // Protobuf itself goes no deeper than a hundred messages.
        if (child != Leaf && stack.size() < 128)
          stack.push_back({child, at + length});
        else
          at += length;
        break;
      }
      case 3: // the tags around a group count as fields like those inside
      case 4:
        break;
      default:
        good = false;
      }
    }
    if (!good) {
      at = end;
      stack.pop_back();
    }
  }
  return fields;
}

} // namespace leat::frontend
