// The dialects and passes that Leat's tools know.
#pragma once

namespace mlir {
class DialectRegistry;
}

namespace leat {
/// Leat's dialects and the upstream ones its programs are made of.
void registerDialects(mlir::DialectRegistry &registry);
/// Leat's passes and pipelines, and the upstream passes that are useful beside them in leat-opt.
void registerPasses();
} // namespace leat
