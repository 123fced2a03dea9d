// What bounds and steers the reading of a model.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace leat {

/// Limits on what an untrusted model may ask for. A model beyond one is refused with the limit's name before the work is done.
struct LoadBudget {
  int64_t fileBytes = (int64_t(1) << 31) - 1; ///< of the .onnx file; protobuf's own limit. External data is not counted
  int64_t fields = int64_t(1) << 24;          ///< protobuf fields in the file; bounds the memory of the parsed message
  int64_t parameterBytes = int64_t(1) << 40;  ///< sum over all tensors, mapped or not
  int64_t convertedBytes = int64_t(4) << 30;  ///< tensors that must be copied: typed fields, sparse, misaligned
  int64_t nodes = 1000000;                    ///< subgraphs and inlined functions included
  int64_t functions = 10000;                  ///< model-local functions
  int64_t tensors = 1000000;                  ///< initializers and tensor attributes
  int64_t scopes = 20000000;                  ///< subgraphs times the names they see, which is what typing them costs
  int depth = 16;                             ///< nesting of subgraphs
};

struct FrontendOptions {
  LoadBudget budget;
  /// Shape overrides, each `input=2x128` (`?` leaves a dimension dynamic) or `symbol=4`.
  std::vector<std::string> shapes;
};

} // namespace leat
