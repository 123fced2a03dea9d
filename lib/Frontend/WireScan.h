// A look at a protobuf message before it is parsed: how many fields it has. Two bytes can become an object of two hundred, so a small file
// could ask for all memory; the count is the bound.
#pragma once

#include <cstddef>
#include <cstdint>

namespace leat::frontend {

/// The number of fields in a ModelProto and all messages in it; stops counting after `limit`. Malformed parts end the count of their
/// message, for the parser to reject.
int64_t countFields(const char *data, size_t size, int64_t limit);

} // namespace leat::frontend
