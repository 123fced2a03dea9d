// Verifier of sampling.
#include "dialects/Leat/Verifiers.h"

using namespace mlir;

namespace leat {

LogicalResult SampleOp::verify() {
  auto logits = rankedType(getLogits());
  if (logits.getRank() != 2 || !isa<FloatType>(logits.getElementType()))
    return emitOpError("needs float logits [B, V], got ") << logits;
  double temperature = getTemperature().convertToDouble(), topP = getTopP().convertToDouble(), minP = getMinP().convertToDouble();
  if (temperature < 0)
    return emitOpError("needs a temperature >= 0, got ") << temperature;
  if (topP <= 0 || topP > 1)
    return emitOpError("needs top_p in (0, 1], got ") << topP;
  if (minP < 0 || minP >= 1)
    return emitOpError("needs min_p in [0, 1), got ") << minP;
  if (getRepetitionPenalty().convertToDouble() <= 0)
    return emitOpError("needs a repetition_penalty > 0");
  return success();
}

} // namespace leat
