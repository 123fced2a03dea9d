// Names and order of a graph: single assignment, no undefined names, nodes sorted so that definitions come before uses.
#include "lib/Frontend/OnnxInternal.h"

#include <algorithm>
#include <queue>
#include <string_view>
#include <unordered_set>

namespace leat::frontend {
namespace {

using onnx::AttributeProto;
using onnx::GraphProto;
using onnx::NodeProto;

/// Names of one graph, and where its outer graph's are.
struct Scope {
  std::unordered_map<std::string_view, int> definedBy; ///< index of the node, or -1 for inputs and initializers
  const Scope *outer = nullptr;
  bool sees(std::string_view name) const { return definedBy.count(name) || (outer && outer->sees(name)); }
};

template <typename Callback> void forEachSubgraph(const NodeProto &node, Callback callback) {
  for (const AttributeProto &attribute : node.attribute()) {
    if (attribute.has_g())
      callback(attribute.g());
    for (const GraphProto &graph : attribute.graphs())
      callback(graph);
  }
}

/// Collects the names that `graph` takes from outside.
void freeNames(const GraphProto &graph, std::unordered_set<std::string_view> &free) {
  std::unordered_set<std::string_view> own, used;
  for (const auto &value : graph.input())
    own.insert(value.name());
  for (const auto &tensor : graph.initializer())
    own.insert(tensor.name());
  for (const NodeProto &node : graph.node()) {
    own.insert(node.output().begin(), node.output().end());
    used.insert(node.input().begin(), node.input().end());
    forEachSubgraph(node, [&](const GraphProto &inner) { freeNames(inner, used); });
  }
  for (const auto &value : graph.output())
    used.insert(value.name());
  for (std::string_view name : used)
    if (!name.empty() && !own.count(name))
      free.insert(name);
}

std::string definer(const GraphProto &graph, int index) { return index < 0 ? "an input or initializer" : describe(graph.node(index)); }

/// Walks backwards from a node that cannot be sorted until a node comes twice: that one is on the cycle.
[[noreturn]] void reportCycle(const GraphProto &graph, const std::vector<std::vector<int>> &needs, const std::vector<int> &missing) {
  int at = 0;
  while (missing[at] == 0)
    ++at;
  std::vector<bool> seen(needs.size(), false);
  while (!seen[at]) {
    seen[at] = true;
    at = *std::find_if(needs[at].begin(), needs[at].end(), [&](int needed) { return missing[needed] > 0; });
  }
  throw LoadError("the graph has a cycle: " + describe(graph.node(at)) + " depends on its own result");
}

void sortNodes(GraphProto &graph, const std::vector<std::vector<int>> &needs) {
  int count = graph.node_size();
  std::vector<int> missing(count, 0);
  std::vector<std::vector<int>> users(count);
  for (int i = 0; i < count; ++i)
    for (int needed : needs[i]) {
      users[needed].push_back(i);
      ++missing[i];
    }
  // The earliest ready node first, so that the order stays close to the model's.
  std::priority_queue<int, std::vector<int>, std::greater<>> ready;
  for (int i = 0; i < count; ++i)
    if (missing[i] == 0)
      ready.push(i);
  std::vector<int> order;
  while (!ready.empty()) {
    int i = ready.top();
    ready.pop();
    order.push_back(i);
    for (int user : users[i])
      if (--missing[user] == 0)
        ready.push(user);
  }
  if (int(order.size()) != count)
    reportCycle(graph, needs, missing);
  std::vector<NodeProto *> nodes(count);
  graph.mutable_node()->ExtractSubrange(0, count, nodes.data());
  for (int i : order)
    graph.mutable_node()->AddAllocated(nodes[i]);
}

void orderIn(GraphProto &graph, const Scope *outer) {
  Scope scope;
  scope.outer = outer;
  auto define = [&](std::string_view name, int by) {
    auto [old, added] = scope.definedBy.emplace(name, by);
    if (!added)
      throw LoadError("the name " + quote(name) + " is defined twice: by " + definer(graph, old->second) + " and by " + definer(graph, by) +
                      "; names must be unique");
  };
  for (const auto &value : graph.input()) {
    if (value.name().empty())
      throw LoadError("an input of graph " + quote(graph.name()) + " has no name");
    define(value.name(), -1);
  }
  for (const auto &tensor : graph.initializer()) {
    if (tensor.name().empty())
      throw LoadError("an initializer of graph " + quote(graph.name()) + " has no name");
    define(tensor.name(), -1);
  }
  for (int i = 0; i < graph.node_size(); ++i)
    for (const auto &name : graph.node(i).output())
      if (!name.empty())
        define(name, i);

  bool sorted = true;
  std::vector<std::vector<int>> needs(graph.node_size());
  for (int i = 0; i < graph.node_size(); ++i) {
    const NodeProto &node = graph.node(i);
    std::unordered_set<std::string_view> used(node.input().begin(), node.input().end());
    forEachSubgraph(node, [&](const GraphProto &inner) { freeNames(inner, used); });
    for (std::string_view name : used) {
      if (name.empty())
        continue;
      auto found = scope.definedBy.find(name);
      if (found == scope.definedBy.end()) {
        if (!scope.sees(name))
          throw LoadError(describe(node) + " uses " + quote(name) + ", which nothing defines");
        continue;
      }
      if (found->second < 0)
        continue;
      needs[i].push_back(found->second);
      sorted &= found->second < i;
    }
  }
  if (!sorted)
    sortNodes(graph, needs);
  for (const auto &value : graph.output())
    if (!scope.sees(value.name()))
      throw LoadError("output " + quote(value.name()) + " of graph " + quote(graph.name()) + " is not made by any node");
  for (NodeProto &node : *graph.mutable_node())
    for (AttributeProto &attribute : *node.mutable_attribute()) {
      if (attribute.has_g())
        orderIn(*attribute.mutable_g(), &scope);
      for (GraphProto &inner : *attribute.mutable_graphs())
        orderIn(inner, &scope);
    }
}

} // namespace

void orderGraph(GraphProto &graph) { orderIn(graph, nullptr); }

} // namespace leat::frontend
