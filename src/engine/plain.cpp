// SPDX-License-Identifier: Apache-2.0
// Runs a graph node by node; see plain.h. Subtle: what a run needs is found backwards from the wanted values,
// and stops at fed ones, so feeding an intermediate value leaves out all that only led to it; a value is
// dropped after its last use.
#include "engine/plain.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>

#include "base/system.h"
#include "engine/plain_op.h"
#include "engine/thread_scope.h"

namespace frf {
namespace {

int ThreadsOf(const PlainOptions& options) {
  return options.threads > 0 ? options.threads : DefaultThreads();
}
std::uint64_t LimitOf(const PlainOptions& options) {
  return options.max_memory > 0 ? options.max_memory : DefaultMaxMemory();
}

// Results checked against the node's outputs; missing trailing ones are an error only where they are wanted.
void CheckOutputs(const Node& node, const std::vector<Tensor>& outputs) {
  for (std::size_t i = outputs.size(); i < node.outputs.size(); ++i) {
    if (!node.outputs[i].empty()) {
      throw Error(
          ErrorCode::kUnsupported,
          fmt::format("{} ({}): output {} is not computed by the plain executor", node.name, node.op, i));
    }
  }
}

}  // namespace

struct PlainExecutor::Impl {
  Graph graph;
  int threads;
  plain::MemoryMeter memory;
  std::unordered_map<std::string, int> ids;       // value name -> position in `values`
  std::vector<std::vector<int>> inputs, outputs;  // of each node, -1 = left out
  std::vector<int> producer;                      // node of each value, -1 = none
  std::vector<Tensor> initializers;               // by value; without data where it is none
  std::vector<plain::OpStates> states;            // of each node; gone before `memory`

  Impl(Graph given, const PlainOptions& options)
      : graph(std::move(given)),
        threads(ThreadsOf(options)),
        memory(LimitOf(options)),
        states(graph.nodes.size()) {
    for (const GraphInput& input : graph.inputs) IdOf(input.name);
    for (const Initializer& initializer : graph.initializers) IdOf(initializer.name);
    for (const Node& node : graph.nodes) {
      if (!plain::IsSupported(node)) {
        throw Error(ErrorCode::kUnsupported,
                    fmt::format("{}: the plain executor has no operator {}{}{}", node.name, node.domain,
                                node.domain.empty() ? "" : ".", node.op));
      }
      inputs.emplace_back();
      outputs.emplace_back();
      for (const std::string& name : node.inputs) inputs.back().push_back(name.empty() ? -1 : IdOf(name));
      for (const std::string& name : node.outputs) outputs.back().push_back(name.empty() ? -1 : IdOf(name));
    }
    producer.assign(ids.size(), -1);
    for (std::size_t n = 0; n < outputs.size(); ++n) {
      for (const int id : outputs[n]) {
        if (id >= 0) producer[id] = static_cast<int>(n);
      }
    }
    initializers.resize(ids.size());
    for (const Initializer& initializer : graph.initializers)
      initializers[ids.at(initializer.name)] = initializer.value;
  }

  int IdOf(const std::string& name) { return ids.emplace(name, static_cast<int>(ids.size())).first->second; }

  int Known(const std::string& name, const char* what) const {
    const auto found = ids.find(name);
    if (found != ids.end()) return found->second;
    throw Error(ErrorCode::kInvalidArgument,
                fmt::format("{} '{}' is no value of the graph {}", what, name, graph.name));
  }

  void CheckFeed(const std::string& name, const Tensor& tensor) const {
    if (!tensor.has_data())
      throw Error(ErrorCode::kInvalidArgument, fmt::format("the value fed as '{}' has no data", name));
    for (const GraphInput& input : graph.inputs) {
      if (input.name != name) continue;
      bool fits = input.dtype == tensor.dtype() &&
                  (input.shape.empty() || input.shape.size() == tensor.shape().size());
      for (std::size_t i = 0; fits && i < input.shape.size(); ++i) {
        fits = input.shape[i] < 0 || input.shape[i] == tensor.shape()[i];
      }
      if (!fits) {
        throw Error(ErrorCode::kInvalidArgument,
                    fmt::format("input '{}' wants {} {}, saw {} {}", name, Name(input.dtype),
                                ToString(input.shape), Name(tensor.dtype()), ToString(tensor.shape())));
      }
    }
  }

  struct RunPlan {
    std::vector<bool> needed;  // nodes
    std::vector<int> uses;     // of each value: by needed nodes, and one for being wanted
  };

  RunPlan Plan(const std::vector<int>& wanted, const std::vector<Tensor>& values) const {
    RunPlan plan{std::vector<bool>(graph.nodes.size(), false), std::vector<int>(ids.size(), 0)};
    std::vector<int> open;
    const auto require = [&](int id) {
      ++plan.uses[id];
      if (plan.uses[id] == 1) open.push_back(id);
    };
    for (const int id : wanted) require(id);
    while (!open.empty()) {
      const int id = open.back();
      open.pop_back();
      if (values[id].has_data()) continue;
      const int node = producer[id];
      if (node < 0) Missing(id);
      if (plan.needed[node]) continue;
      plan.needed[node] = true;
      for (const int input : inputs[node]) {
        if (input >= 0) require(input);
      }
    }
    return plan;
  }

  [[noreturn]] void Missing(int id) const {
    for (const auto& [name, position] : ids) {
      if (position != id) continue;
      if (graph.FindInitializer(name) != nullptr) {
        throw Error(ErrorCode::kInvalidArgument,
                    fmt::format("initialiser '{}' has no data; draw or load weights first", name));
      }
      throw Error(ErrorCode::kInvalidArgument, fmt::format("input '{}' was not fed", name));
    }
    throw Error(ErrorCode::kInternal, "a value without a name is missing");
  }

  void Execute(std::size_t n, std::vector<Tensor>& values, RunPlan& plan, const std::vector<bool>& fed) {
    const Node& node = graph.nodes[n];
    std::vector<Tensor> arguments;
    std::vector<bool> constant;
    for (const int id : inputs[n]) {
      arguments.push_back(id >= 0 ? values[id] : Tensor());
      constant.push_back(id >= 0 && !fed[id] && initializers[id].has_data());
    }
    plain::OpContext context(node, graph.opset, std::move(arguments), memory, states[n]);
    context.constant = std::move(constant);
    const std::vector<Tensor> results = plain::RunOp(context);
    CheckOutputs(node, results);
    for (std::size_t i = 0; i < outputs[n].size(); ++i) {
      const int id = outputs[n][i];
      if (id < 0 || plan.uses[id] == 0 || fed[id]) continue;
      values[id] = results[i];
      memory.Hold(results[i]);
    }
    memory.ReleaseTemporaries();
    for (const int id : inputs[n]) {
      if (id < 0 || --plan.uses[id] > 0) continue;
      memory.Drop(values[id]);
      values[id] = Tensor();
    }
  }
};

PlainExecutor::PlainExecutor(Graph graph, const PlainOptions& options)
    : impl_(std::make_unique<Impl>(std::move(graph), options)) {}
PlainExecutor::~PlainExecutor() = default;
PlainExecutor::PlainExecutor(PlainExecutor&&) noexcept = default;

const Graph& PlainExecutor::graph() const { return impl_->graph; }
std::uint64_t PlainExecutor::peak_bytes() const { return impl_->memory.peak(); }

TensorMap PlainExecutor::Run(const TensorMap& feeds, const std::vector<std::string>& wanted,
                             const NodeObserver& before) {
  Impl& p = *impl_;
  const ThreadScope threads(p.threads);
  std::vector<Tensor> values = p.initializers;
  std::vector<bool> fed(p.ids.size(), false);
  for (const auto& [name, tensor] : feeds) {
    p.CheckFeed(name, tensor);
    const int id = p.Known(name, "the fed");
    values[id] = tensor;
    fed[id] = true;
  }
  std::vector<std::string> names = wanted;
  if (names.empty()) {
    for (const GraphOutput& output : p.graph.outputs) names.push_back(output.name);
  }
  std::vector<int> targets;
  for (const std::string& name : names) targets.push_back(p.Known(name, "the wanted"));

  Impl::RunPlan plan = p.Plan(targets, values);
  try {
    for (std::size_t n = 0; n < p.graph.nodes.size(); ++n) {
      if (!plan.needed[n]) continue;
      if (before)
        before(p.graph.nodes[n],
               [&](const std::string& name) -> Tensor& { return values[p.Known(name, "the")]; });
      p.Execute(n, values, plan, fed);
    }
  } catch (...) {
    p.memory.ReleaseTemporaries();
    for (const Tensor& value : values) p.memory.Drop(value);
    throw;
  }
  TensorMap results;
  for (std::size_t i = 0; i < targets.size(); ++i) results[names[i]] = values[targets[i]];
  for (const int id : targets) {  // the caller's from here on; a value that is wanted twice was held once
    p.memory.Drop(values[id]);
    values[id] = Tensor();
  }
  return results;
}

std::vector<Tensor> RunNode(const Node& node, const std::vector<Tensor>& inputs, int opset,
                            const PlainOptions& options) {
  const ThreadScope threads(ThreadsOf(options));
  plain::MemoryMeter memory(LimitOf(options));
  plain::OpStates states;
  plain::OpContext context(node, opset, inputs, memory, states);
  std::vector<Tensor> outputs = plain::RunOp(context);
  CheckOutputs(node, outputs);
  return outputs;
}

}  // namespace frf
