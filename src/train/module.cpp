// SPDX-License-Identifier: Apache-2.0
// Runs a Graph with libtorch. The program is made once: value names become slots, each step knows the slots
// it reads, writes and releases, and whether anything differentiable depends on it. Subtle: nodes that only
// feed Ceil (thresholded masks) run without autograd, so nothing of them is kept for the backward pass.
#include "train/module.h"

#include <fmt/format.h>

#include <cstdlib>
#include <cstring>

#include "train/ops.h"

namespace frf {
namespace {

torch::ScalarType ToScalarType(DType type) {
  switch (type) {
    case DType::kFloat32:
      return torch::kFloat32;
    case DType::kFloat16:
      return torch::kFloat16;
    case DType::kFloat64:
      return torch::kFloat64;
    case DType::kUint8:
      return torch::kUInt8;
    case DType::kInt8:
      return torch::kInt8;
    case DType::kInt32:
      return torch::kInt32;
    case DType::kInt64:
      return torch::kInt64;
    case DType::kBool:
      return torch::kBool;
  }
  throw Error(ErrorCode::kInternal, "a tensor of unknown type");
}

DType FromScalarType(torch::ScalarType type) {
  switch (type) {
    case torch::kFloat32:
      return DType::kFloat32;
    case torch::kFloat16:
      return DType::kFloat16;
    case torch::kFloat64:
      return DType::kFloat64;
    case torch::kUInt8:
      return DType::kUint8;
    case torch::kInt8:
      return DType::kInt8;
    case torch::kInt32:
      return DType::kInt32;
    case torch::kInt64:
      return DType::kInt64;
    case torch::kBool:
      return DType::kBool;
    default:
      throw Error(ErrorCode::kUnsupported,
                  fmt::format("torch's type {} has no frf::DType", c10::toString(type)));
  }
}

// Convolution weights as the channels-last kernels want them; gradients follow the parameter's strides.
torch::Tensor ChannelsLast(const torch::Tensor& tensor) {
  return tensor.dim() == 4 ? tensor.contiguous(torch::MemoryFormat::ChannelsLast) : tensor.contiguous();
}

}  // namespace

torch::Tensor ToTorch(const Tensor& tensor) {
  if (!tensor.has_data()) throw Error(ErrorCode::kInternal, "a tensor without data cannot go to libtorch");
  torch::Tensor copy = torch::empty(tensor.shape(), ToScalarType(tensor.dtype()));
  std::memcpy(copy.data_ptr(), tensor.raw(), tensor.bytes());
  return copy;
}

Tensor FromTorch(const torch::Tensor& tensor) {
  const torch::Tensor flat = tensor.detach().to(torch::kCPU).contiguous();
  Tensor copy = Tensor::Uninitialized(FromScalarType(flat.scalar_type()), flat.sizes().vec());
  std::memcpy(copy.raw(), flat.data_ptr(), copy.bytes());
  return copy;
}

struct GraphModule::Program {
  struct Step {
    std::string name;
    TorchOp run;
    std::vector<int> in, out;  // slots; -1: left out
    std::vector<int> release;  // not read by later steps
    bool differentiable = true;
    std::uint64_t node = 0;
  };
  std::vector<Step> plain, fused;
  std::unordered_map<std::string, int> slots;
  std::vector<torch::Tensor> fixed;          // by slot: constants
  std::vector<std::pair<int, int>> trained;  // slot, position in tensors_
  std::vector<bool> kept;                    // by slot: never released
  std::vector<bool> in_fused;                // by slot: the fused program produces it

  int Slot(const std::string& name) {
    if (name.empty()) return -1;
    return slots.emplace(name, static_cast<int>(slots.size())).first->second;
  }
  void PlanReleases(std::vector<Step>& steps) const;
};

void GraphModule::Program::PlanReleases(std::vector<Step>& steps) const {
  std::vector<bool> seen(slots.size(), false);
  for (std::size_t i = steps.size(); i-- > 0;) {
    steps[i].release.clear();
    for (const std::vector<int>* list : {&steps[i].in, &steps[i].out}) {
      for (const int slot : *list) {
        if (slot < 0 || seen[slot] || kept[slot]) continue;
        seen[slot] = true;
        steps[i].release.push_back(slot);
      }
    }
  }
}

namespace {

// The value that a final bilinear upsampling to the image takes, or the output itself.
std::string BeforeUpsampling(const Graph& graph, const std::string& output) {
  const Node* node = graph.Producer(output);
  const bool upsamples =
      node != nullptr && node->op == "ResizeLike" && node->inputs[1] == graph.inputs[0].name &&
      node->String("mode", "linear") == "linear" && node->String("coordinates", "half_pixel") == "half_pixel";
  return upsamples ? node->inputs[0] : output;
}

// Whether a gradient can flow through each node: false where every path from it ends in Ceil or Floor.
std::vector<bool> DifferentiableNodes(const Graph& graph) {
  std::unordered_map<std::string, bool> needed;
  for (const GraphOutput& output : graph.outputs) needed[output.name] = true;
  std::vector<bool> result(graph.nodes.size(), false);
  for (std::size_t i = graph.nodes.size(); i-- > 0;) {
    const Node& node = graph.nodes[i];
    bool any = false;
    for (const std::string& output : node.outputs) any = any || needed[output];
    result[i] = any && node.op != "Ceil" && node.op != "Floor" && node.op != "Shape";
    if (!result[i]) continue;
    for (const std::string& input : node.inputs) needed[input] = true;
  }
  return result;
}

}  // namespace

GraphModule::GraphModule(Graph graph)
    : torch::nn::Module("GraphModule"), graph_(std::move(graph)), program_(std::make_shared<Program>()) {
  Program& program = *program_;
  for (const GraphInput& input : graph_.inputs) program.Slot(input.name);
  for (const Initializer& initializer : graph_.initializers) {
    if (!initializer.value.has_data()) {
      throw Error(
          ErrorCode::kInternal,
          fmt::format("initialiser '{}' has no data; draw or load weights before a GraphModule is made",
                      initializer.name));
    }
    const int slot = program.Slot(initializer.name);
    const torch::Tensor value = ToTorch(initializer.value);
    if (initializer.role == Role::kConstant) {
      program.fixed.resize(slot + 1);
      program.fixed[slot] = value;
      continue;
    }
    program.trained.emplace_back(slot, static_cast<int>(tensors_.size()));
    torch::Tensor own = ChannelsLast(value);
    own.set_requires_grad(initializer.role == Role::kParameter);
    tensors_.push_back({initializer.name, own, initializer.role, initializer.classifier});
  }
  const std::vector<bool> differentiable = DifferentiableNodes(graph_);
  for (std::size_t i = 0; i < graph_.nodes.size(); ++i) {
    const Node& node = graph_.nodes[i];
    Program::Step step{
        .name = node.name, .run = CompileOp(node, graph_), .differentiable = differentiable[i], .node = i};
    for (const std::string& input : node.inputs) step.in.push_back(program.Slot(input));
    for (const std::string& output : node.outputs) step.out.push_back(program.Slot(output));
    program.plain.push_back(std::move(step));
  }
  program.fixed.resize(program.slots.size());
  program.kept.assign(program.slots.size(), false);
  for (const Initializer& initializer : graph_.initializers)
    program.kept[program.slots.at(initializer.name)] = true;
  for (const GraphOutput& output : graph_.outputs) program.kept[program.slots.at(output.name)] = true;
  program.PlanReleases(program.plain);
}

std::map<std::string, torch::Tensor> GraphModule::Forward(const torch::Tensor& images) {
  std::vector<std::string> wanted;
  for (const GraphOutput& output : graph_.outputs) wanted.push_back(output.name);
  return Forward(images, wanted, {});
}

std::map<std::string, torch::Tensor> GraphModule::ForwardForLoss(const torch::Tensor& images) {
  std::vector<std::string> wanted;
  for (const GraphOutput& output : graph_.outputs) wanted.push_back(BeforeUpsampling(graph_, output.name));
  auto values = Forward(images, wanted, {});
  std::map<std::string, torch::Tensor> results;
  for (std::size_t i = 0; i < wanted.size(); ++i) results[graph_.outputs[i].name] = values.at(wanted[i]);
  return results;
}

std::map<std::string, torch::Tensor> GraphModule::Forward(
    const torch::Tensor& images, const std::vector<std::string>& wanted,
    const std::map<std::string, torch::Tensor>& replaced) {
  const Program& program = *program_;
  const auto slot_of = [&](const std::string& name) {
    const auto found = program.slots.find(name);
    if (found == program.slots.end()) {
      throw Error(ErrorCode::kInvalidArgument,
                  fmt::format("graph '{}' has no value '{}'", graph_.name, name));
    }
    return found->second;
  };
  std::vector<torch::Tensor> values = program.fixed;
  std::vector<bool> keep = program.kept, given(values.size(), false);
  for (const auto& [slot, position] : program.trained) values[slot] = tensors_[position].tensor;
  for (const std::string& name : wanted) keep[slot_of(name)] = true;
  for (const auto& [name, value] : replaced) {
    values[slot_of(name)] = value;
    given[slot_of(name)] = true;
  }
  values[0] = images.contiguous(torch::MemoryFormat::ChannelsLast);
  for (const Program::Step& step : program.plain) {
    OpCall call{.training = is_training(), .seed = seed_, .step = step_, .node = step.node};
    for (const int slot : step.in) call.in.push_back(slot < 0 ? torch::Tensor() : values[slot]);
    const torch::AutoGradMode gradients(step.differentiable && torch::GradMode::is_enabled());
    step.run(call);
    for (std::size_t i = 0; i < step.out.size() && i < call.out.size(); ++i) {
      if (step.out[i] >= 0 && !given[step.out[i]]) values[step.out[i]] = call.out[i];
    }
    for (const int slot : step.release) {
      if (!keep[slot]) values[slot].reset();
    }
  }
  std::map<std::string, torch::Tensor> results;
  for (const std::string& name : wanted) results[name] = values[slot_of(name)];
  return results;
}

std::vector<torch::Tensor> GraphModule::Parameters() const {
  std::vector<torch::Tensor> parameters;
  for (const Named& named : tensors_) {
    if (named.role == Role::kParameter) parameters.push_back(named.tensor);
  }
  return parameters;
}

void GraphModule::SetChance(std::uint64_t seed, std::uint64_t step) {
  seed_ = seed;
  step_ = step;
}

void GraphModule::Load(const Graph& weights) {
  const torch::NoGradGuard guard;
  for (Named& named : tensors_) {
    const Initializer* found = weights.FindInitializer(named.name);
    if (found == nullptr || !found->value.has_data() || found->value.shape() != named.tensor.sizes().vec()) {
      throw Error(ErrorCode::kInvalidArgument,
                  fmt::format("graph '{}' wants '{}' of {}, the weights given hold {}", graph_.name,
                              named.name, ToString(named.tensor.sizes().vec()),
                              found == nullptr ? "none" : ToString(found->value.shape())));
    }
    named.tensor.copy_(ToTorch(found->value));
  }
}

Graph GraphModule::Export() const {
  Graph copy = graph_;
  for (const Named& named : tensors_) copy.FindInitializer(named.name)->value = FromTorch(named.tensor);
  return copy;
}

void GraphModule::To(torch::Device device) {
  const torch::NoGradGuard guard;
  for (Named& named : tensors_) named.tensor.set_data(named.tensor.to(device));
  for (torch::Tensor& constant : program_->fixed) {
    if (constant.defined() && constant.is_floating_point()) constant = constant.to(device);
  }
}

}  // namespace frf
