// The stages of reading a model, each behind the budget: parse, count, inline, order, check, infer, hand over.
#include "lib/Frontend/OnnxReader.h"
#include "lib/Frontend/OnnxInternal.h"
#include "lib/Frontend/WireScan.h"

#include "onnx/checker.h"
#include "onnx/inliner/inliner.h"

#include <charconv>
#include <set>
#include <unordered_set>

namespace leat::frontend {
namespace {

using onnx::AttributeProto;
using onnx::FunctionProto;
using onnx::GraphProto;
using onnx::ModelProto;
using onnx::NodeProto;
using onnx::TensorProto;

constexpr int64_t newestOpset = 28; // of the ONNX library in third_party/onnx
constexpr int smallTensor = 1024;   // elements; these are constants in the IR, and shape inference may look at them

template <typename Nodes, typename Visit> void forEachNode(Nodes &nodes, const Visit &visit, int depth, int limit) {
  if (depth > limit)
    throw LoadError("subgraphs are nested more than " + std::to_string(limit) + " deep");
  for (auto &node : nodes) {
    visit(node);
    for (auto &attribute : *node.mutable_attribute()) {
      if (attribute.has_g())
        forEachNode(*attribute.mutable_g()->mutable_node(), visit, depth + 1, limit);
      for (auto &graph : *attribute.mutable_graphs())
        forEachNode(*graph.mutable_node(), visit, depth + 1, limit);
    }
  }
}

template <typename Visit> void forEachGraph(GraphProto &graph, const Visit &visit) {
  visit(graph);
  for (auto &node : *graph.mutable_node())
    for (auto &attribute : *node.mutable_attribute()) {
      if (attribute.has_g())
        forEachGraph(*attribute.mutable_g(), visit);
      for (auto &inner : *attribute.mutable_graphs())
        forEachGraph(inner, visit);
    }
}

class Reader {
public:
  Reader(const FrontendOptions &options, std::string folder) : options(options), context(options.budget, std::move(folder)) {}

  void read(const char *data, size_t size, Model &model) {
    if (size > size_t(options.budget.fileBytes))
      throw LoadError("the model has " + std::to_string(size) + " bytes, more than the limit of " +
                      std::to_string(options.budget.fileBytes) + "; keep the weights as external data");
    if (countFields(data, size, options.budget.fields) > options.budget.fields)
      throw LoadError("the model is over the load budget of " + std::to_string(options.budget.fields) + " protobuf fields");
    if (!proto.ParseFromArray(data, int(size)))
      throw LoadError("not an ONNX model: the protobuf message is truncated or damaged, or nested too deeply");
    if (!proto.has_graph())
      throw LoadError("not an ONNX model: it has no graph");
    countNodes();
    resolveVersions();
    inlineFunctions();
    GraphProto &graph = *proto.mutable_graph();
    prepareTensors(graph);
    dropInitializedInputs(graph);
    overrideShapes(graph);
    orderGraph(graph);
    checkNodes(graph);
    checkShapes(graph);
    checkScopes(graph);
    std::set<std::string> declared = symbols(graph);
    model.irVersion = proto.ir_version();
    // Under version 4 every initializer must be an input; they no longer are.
    proto.set_ir_version(std::max<int64_t>(proto.ir_version(), 4));
    inferShapes(proto);
    model.graph = takeGraph(graph, context, versions);
    forgetSymbols(model.graph, declared);
    for (const auto &[domain, version] : versions)
      model.opsets.emplace_back(domain, version);
    std::sort(model.opsets.begin(), model.opsets.end());
    model.producer = proto.producer_name() + (proto.producer_version().empty() ? "" : " " + proto.producer_version());
    for (const auto &entry : proto.metadata_props())
      model.metadata.emplace_back(entry.key(), entry.value());
  }

private:
  const FrontendOptions &options;
  LoadContext context;
  ModelProto proto;
  std::unordered_map<std::string, int64_t> versions;

  void countNode(const NodeProto &node) {
    if (node.op_type().empty())
      throw LoadError("node " + quote(node.name()) + " has no operator");
    LoadContext::spend(context.nodes, 1, options.budget.nodes, describe(node), "nodes");
  }

  void countNodes() {
    auto count = [&](NodeProto &node) {
      node.set_domain(normalDomain(node.domain()));
      countNode(node);
    };
    forEachNode(*proto.mutable_graph()->mutable_node(), count, 0, options.budget.depth);
    for (auto &function : *proto.mutable_functions())
      forEachNode(*function.mutable_node(), count, 0, options.budget.depth);
  }

  void resolveVersions() {
    if (proto.ir_version() > onnx::Version::IR_VERSION)
      throw LoadError("IR version " + std::to_string(proto.ir_version()) + " is newer than " +
                      std::to_string(int(onnx::Version::IR_VERSION)) + ", the newest that is known; export for an older version");
    for (auto &opset : *proto.mutable_opset_import()) {
      opset.set_domain(normalDomain(opset.domain()));
      if (opset.version() < 1 || opset.version() > INT32_MAX)
        throw LoadError("domain " + quote(opset.domain()) + " has the impossible opset version " + std::to_string(opset.version()));
      versions[opset.domain()] = opset.version();
    }
    if (auto standard = versions.find(""); standard != versions.end() && standard->second > newestOpset)
      throw LoadError("opset " + std::to_string(standard->second) + " is newer than " + std::to_string(newestOpset) +
                      ", the newest that is known; export for an older opset");
    if (proto.ir_version() < 3)
      versions.emplace("", 1);
    bool standard = versions.count("");
    auto import = [&](NodeProto &node) {
      if (!standard && node.domain().empty())
        throw LoadError(describe(node) + " is of ONNX's own domain, for which the model imports no opset");
      versions.emplace(node.domain(), 1);
    };
    forEachNode(*proto.mutable_graph()->mutable_node(), import, 0, options.budget.depth);
    proto.clear_opset_import();
    for (const auto &[domain, version] : versions) {
      auto *opset = proto.add_opset_import();
      opset->set_domain(domain);
      opset->set_version(version);
    }
  }

  static std::string functionKey(const std::string &domain, const std::string &name, const std::string &overload) {
    return domain + "\n" + name + "\n" + overload;
  }

  /// Nodes that a call of the function becomes. Counted before inlining, since a chain of functions can double at every step.
  int64_t expandedSize(const FunctionProto &function, const std::unordered_map<std::string, FunctionProto *> &functions,
                       std::unordered_map<const FunctionProto *, int64_t> &sizes, int depth) {
    if (auto known = sizes.find(&function); known != sizes.end()) {
      if (known->second < 0)
        throw LoadError("function " + quote(function.name()) + " calls itself");
      return known->second;
    }
    if (depth > 100)
      throw LoadError("functions call each other more than 100 deep, from " + quote(function.name()));
    sizes[&function] = -1;
    int64_t total = 0;
    forEachNode(
        *const_cast<FunctionProto &>(function).mutable_node(),
        [&](const NodeProto &node) {
          auto callee = functions.find(functionKey(node.domain(), node.op_type(), node.overload()));
          total += callee == functions.end() ? 1 : expandedSize(*callee->second, functions, sizes, depth + 1);
          if (total > options.budget.nodes)
            throw LoadError("function " + quote(function.name()) + " expands to more than the load budget of " +
                            std::to_string(options.budget.nodes) + " nodes");
        },
        0, options.budget.depth);
    return sizes[&function] = total;
  }

  void inlineFunctions() {
    if (proto.functions().empty())
      return;
    if (proto.functions_size() > options.budget.functions)
      throw LoadError("the model has " + std::to_string(proto.functions_size()) + " functions, more than the load budget of " +
                      std::to_string(options.budget.functions));
    std::unordered_map<std::string, FunctionProto *> functions;
    for (auto &function : *proto.mutable_functions()) {
      function.set_domain(normalDomain(function.domain()));
      for (auto &opset : *function.mutable_opset_import())
        opset.set_domain(normalDomain(opset.domain()));
      functions[functionKey(function.domain(), function.name(), function.overload())] = &function;
    }
    std::unordered_map<const FunctionProto *, int64_t> sizes;
    auto prepareCall = [&](NodeProto &node) {
      auto found = functions.find(functionKey(node.domain(), node.op_type(), node.overload()));
      if (found == functions.end())
        return;
      FunctionProto &callee = *found->second;
      LoadContext::spend(context.nodes, expandedSize(callee, functions, sizes, 0), options.budget.nodes, describe(node), "nodes");
      if (node.input_size() > callee.input_size() || node.output_size() > callee.output_size())
        throw LoadError(describe(node) + " has more inputs or outputs than its function");
      // The inliner binds the attributes of the call and knows nothing of the function's defaults.
      for (const auto &byDefault : callee.attribute_proto()) {
        bool given = false;
        for (const auto &attribute : node.attribute())
          given |= attribute.name() == byDefault.name();
        if (!given)
          *node.add_attribute() = byDefault;
      }
    };
    for (auto &function : *proto.mutable_functions())
      forEachNode(*function.mutable_node(), prepareCall, 0, options.budget.depth);
    context.nodes = 0;
    forEachNode(*proto.mutable_graph()->mutable_node(), prepareCall, 0, options.budget.depth);
    try {
      onnx::inliner::InlineLocalFunctions(proto, /*convert_version=*/false);
    } catch (const std::exception &reason) {
      throw LoadError("the model's functions cannot be inlined: " + oneLine(reason.what()));
    }
    refuseOtherVersions();
    context.nodes = 0;
    countNodes();
    resolveVersions();
  }

  /// What the inliner leaves are functions written for another opset than the model's. Converting them is not exact for every operator.
  void refuseOtherVersions() {
    std::unordered_set<std::string> left;
    for (const auto &function : proto.functions())
      left.insert(functionKey(function.domain(), function.name(), function.overload()));
    auto refuse = [&](const NodeProto &node) {
      if (left.count(functionKey(node.domain(), node.op_type(), node.overload())))
        throw LoadError(describe(node) + " calls a function written for another opset than the model's; export the model with one opset");
    };
    if (!left.empty())
      forEachNode(*proto.mutable_graph()->mutable_node(), refuse, 0, options.budget.depth);
  }

  /// Shape inference copies the names that a subgraph sees for each subgraph.
  void checkScopes(GraphProto &graph) {
    int64_t scopes = 0, used = 0;
    forEachGraph(graph, [&](GraphProto &) { ++scopes; });
    LoadContext::spend(used, (scopes - 1) * (context.nodes + context.tensors), options.budget.scopes, "typing of subgraphs",
                       "subgraphs times names");
  }

  /// Checks the dimensions of a tensor and brings small external data into the message, where shape inference sees it.
  void prepareTensor(TensorProto &tensor, const std::string &what) {
    LoadContext::spend(context.tensors, 1, options.budget.tensors, what, "tensors");
    int64_t elements = 0;
    checkedBytes(tensor.dims(), tensor.data_type(), what, &elements);
    if (tensor.data_location() != TensorProto::EXTERNAL || elements > smallTensor)
      return;
    Tensor mapped = takeTensor(tensor, context, what);
    tensor.clear_external_data();
    tensor.clear_data_location();
    tensor.set_raw_data(mapped.data ? std::string(mapped.data, mapped.bytes) : std::string());
  }

  void prepareAttribute(NodeProto &node, AttributeProto &attribute) {
    std::string what = describe(node) + ", attribute " + quote(attribute.name());
    if (attribute.has_t())
      prepareTensor(*attribute.mutable_t(), what);
    for (auto &tensor : *attribute.mutable_tensors())
      prepareTensor(tensor, what);
    if (attribute.has_sparse_tensor()) {
      TensorProto dense = densify(attribute.sparse_tensor(), context, what);
      attribute.clear_sparse_tensor();
      attribute.set_type(AttributeProto::TENSOR);
      *attribute.mutable_t() = std::move(dense);
      if (node.op_type() == "Constant" && attribute.name() == "sparse_value")
        attribute.set_name("value");
    }
    if (!attribute.ref_attr_name().empty())
      throw LoadError(what + " refers to an attribute of a function, outside any function");
  }

  void prepareTensors(GraphProto &graph) {
    forEachGraph(graph, [&](GraphProto &at) {
      for (const auto &sparse : at.sparse_initializer())
        *at.add_initializer() = densify(sparse, context, "sparse initializer " + quote(sparse.values().name()));
      at.clear_sparse_initializer();
      for (auto &tensor : *at.mutable_initializer())
        prepareTensor(tensor, "initializer " + quote(tensor.name()));
      for (auto &node : *at.mutable_node())
        for (auto &attribute : *node.mutable_attribute())
          prepareAttribute(node, attribute);
    });
  }

  /// An input with an initializer is one that callers may leave out, and in old models every weight is one: a constant.
  void dropInitializedInputs(GraphProto &graph) {
    std::unordered_set<std::string> constants;
    for (const auto &tensor : graph.initializer())
      constants.insert(tensor.name());
    google::protobuf::RepeatedPtrField<onnx::ValueInfoProto> inputs;
    inputs.Swap(graph.mutable_input());
    for (auto &input : inputs)
      if (!constants.count(input.name()))
        graph.add_input()->Swap(&input);
  }

  static void bindSymbol(GraphProto &graph, const std::string &symbol, int64_t size) {
    forEachGraph(graph, [&](GraphProto &at) {
      for (auto *values : {at.mutable_input(), at.mutable_output(), at.mutable_value_info()})
        for (auto &value : *values) {
          if (!value.type().tensor_type().has_shape())
            continue;
          for (auto &dim : *value.mutable_type()->mutable_tensor_type()->mutable_shape()->mutable_dim())
            if (dim.dim_param() == symbol)
              dim.set_dim_value(size);
        }
    });
  }

  void overrideShapes(GraphProto &graph) {
    for (const std::string &text : options.shapes) {
      size_t equals = text.rfind('=');
      std::string name = text.substr(0, equals);
      std::vector<int64_t> sizes;
      bool valid = equals != std::string::npos && !name.empty();
      for (size_t begin = equals + 1; valid && begin <= text.size();) {
        size_t end = std::min(text.find('x', begin), text.size());
        int64_t size = -1;
        if (text.substr(begin, end - begin) != "?") {
          auto [stop, failure] = std::from_chars(text.data() + begin, text.data() + end, size);
          valid = failure == std::errc() && stop == text.data() + end && size >= 0 && end > begin;
        }
        sizes.push_back(size);
        begin = end + 1;
      }
      if (!valid)
        throw LoadError("shape " + quote(text) + " is not of the form input=2x128 or symbol=4");
      onnx::ValueInfoProto *input = nullptr;
      for (auto &value : *graph.mutable_input())
        if (value.name() == name)
          input = &value;
      if (!input) {
        if (!symbols(graph).count(name) || sizes.size() != 1 || sizes[0] < 0)
          throw LoadError("shape " + quote(text) + ": the model has neither an input nor a symbolic dimension of that name; " +
                          "see leat inspect for both");
        bindSymbol(graph, name, sizes[0]);
        continue;
      }
      if (!input->type().has_tensor_type())
        throw LoadError("shape " + quote(text) + ": that input is no tensor");
      auto *type = input->mutable_type()->mutable_tensor_type();
      if (type->has_shape() && type->shape().dim_size() != int(sizes.size()))
        throw LoadError("shape " + quote(text) + " has " + std::to_string(sizes.size()) + " dimensions but the input has " +
                        std::to_string(type->shape().dim_size()));
      auto *shape = type->mutable_shape();
      while (shape->dim_size() < int(sizes.size()))
        shape->add_dim();
      for (size_t i = 0; i < sizes.size(); ++i) {
        auto *dim = shape->mutable_dim(int(i));
        if (sizes[i] < 0)
          continue;
        if (dim->has_dim_value() && dim->dim_value() >= 0 && dim->dim_value() != sizes[i])
          throw LoadError("shape " + quote(text) + ": dimension " + std::to_string(i) + " of the input is fixed to " +
                          std::to_string(dim->dim_value()));
        std::string symbol = dim->dim_param();
        dim->set_dim_value(sizes[i]);
        if (!symbol.empty())
          bindSymbol(graph, symbol, sizes[i]);
      }
    }
  }

  /// What ONNX's schemas say about operands and attributes. An operator without a schema is left to the importer.
  void checkNodes(GraphProto &graph) {
    auto check = [&](NodeProto &node) {
      std::set<std::string> names;
      for (const auto &attribute : node.attribute())
        if (!names.insert(attribute.name()).second)
          throw LoadError(describe(node) + " has attribute " + quote(attribute.name()) + " twice");
      const auto *schema = onnx::OpSchemaRegistry::Instance()->GetSchema(node.op_type(), int(versions[node.domain()]), node.domain());
      if (!schema || schema->Deprecated())
        return;
      try {
        schema->Verify(node);
      } catch (const std::exception &reason) {
        throw LoadError(describe(node) + " is malformed: " + oneLine(reason.what()));
      }
    };
    forEachNode(*graph.mutable_node(), check, 0, options.budget.depth);
  }

  /// Declared shapes must be small enough to compute with.
  void checkShapes(GraphProto &graph) {
    forEachGraph(graph, [&](GraphProto &at) {
      for (auto *values : {at.mutable_input(), at.mutable_output(), at.mutable_value_info()})
        for (auto &value : *values) {
          if (!value.type().tensor_type().has_shape())
            continue;
          google::protobuf::RepeatedField<int64_t> dims;
          for (auto &dim : *value.mutable_type()->mutable_tensor_type()->mutable_shape()->mutable_dim()) {
            // A negative size is how some exporters write a dynamic one.
            if (dim.has_dim_value() && dim.dim_value() < 0)
              dim.clear_dim_value();
            if (dim.has_dim_value())
              dims.Add(dim.dim_value());
          }
          checkedBytes(dims, TensorProto::UINT8, "value " + quote(value.name()), nullptr);
        }
    });
  }

  static std::set<std::string> symbols(GraphProto &graph) {
    std::set<std::string> names;
    forEachGraph(graph, [&](GraphProto &at) {
      for (auto *values : {at.mutable_input(), at.mutable_output(), at.mutable_value_info()})
        for (auto &value : *values)
          if (value.type().has_tensor_type())
            for (const auto &dim : value.type().tensor_type().shape().dim())
              if (dim.has_dim_param())
                names.insert(dim.dim_param());
    });
    return names;
  }

  /// Names that inference made up for unknown dimensions mean nothing to a user.
  static void forgetSymbols(Graph &graph, const std::set<std::string> &declared) {
    for (auto *values : {&graph.inputs, &graph.outputs})
      for (NamedValue &value : *values)
        for (Dim &dim : value.type.dims)
          if (!declared.count(dim.symbol))
            dim.symbol.clear();
  }
};

} // namespace

bool readModelFile(const std::string &path, const FrontendOptions &options, Model &model, std::string &error) noexcept {
  return guarded(error, [&] {
    std::string reason;
    auto file = mapFile(path, uint64_t(options.budget.fileBytes), reason);
    if (!file)
      throw LoadError("the file " + reason);
    size_t slash = path.rfind('/');
    Reader reader(options, slash == std::string::npos ? "." : path.substr(0, slash + 1));
    reader.read(file->data, file->size, model);
  });
}

bool readModelBytes(const char *data, size_t size, const FrontendOptions &options, Model &model, std::string &error) noexcept {
  return guarded(error, [&] { Reader(options, "").read(data, size, model); });
}

} // namespace leat::frontend
