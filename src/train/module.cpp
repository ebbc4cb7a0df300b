// SPDX-License-Identifier: Apache-2.0
// Runs a Graph with libtorch. The program is made once: value names become slots, each step knows the slots
// it reads, writes and releases, and whether anything differentiable depends on it. Subtle: nodes that only
// feed Ceil (thresholded masks) run without autograd, so nothing of them is kept for the backward pass.
#include "train/module.h"

#include <fmt/format.h>

#include <cstdlib>
#include <cstring>

#include "train/blocked.h"
#include "train/device.h"
#include "train/program.h"

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
  Slots slots;
  std::vector<ProgramStep> plain, blocked;
  std::vector<torch::Tensor> fixed;          // by slot: constants
  std::vector<std::pair<int, int>> trained;  // slot, position in tensors_
  std::vector<bool> kept;                    // by slot: never released
  std::vector<bool> in_blocked;              // by slot: the blocked program makes it
};

namespace {

// The value that a final bilinear upsampling to the image takes, or the output itself.
std::string BeforeUpsampling(const Graph& graph, const std::string& output) {
  const Node* node = graph.Producer(output);
  const bool upsamples =
      node != nullptr && node->op == "ResizeLike" && node->inputs[1] == graph.inputs[0].name &&
      node->String("mode", "linear") == "linear" && node->String("coordinates", "half_pixel") == "half_pixel";
  return upsamples ? node->inputs[0] : output;
}

Kernels KernelsFromEnvironment() {
  const char* text = std::getenv("FRF_TRAIN_KERNELS");
  if (text == nullptr || std::string_view(text) == "winograd") return Kernels::kWinograd;
  if (std::string_view(text) == "direct") return Kernels::kDirect;
  if (std::string_view(text) == "plain") return Kernels::kPlain;
  throw Error(ErrorCode::kUsage,
              fmt::format("FRF_TRAIN_KERNELS={} is none of winograd, direct, plain", text));
}

}  // namespace

GraphModule::GraphModule(Graph graph)
    : torch::nn::Module("GraphModule"),
      graph_(std::move(graph)),
      kernels_(KernelsFromEnvironment()),
      program_(std::make_shared<Program>()) {
  for (const Initializer& initializer : graph_.initializers) {
    if (!initializer.value.has_data()) {
      throw Error(ErrorCode::kInternal,
                  fmt::format("initialiser '{}' has no data; draw or load weights before a "
                              "GraphModule is made",
                              initializer.name));
    }
    if (initializer.role == Role::kConstant) continue;
    torch::Tensor own = ChannelsLast(ToTorch(initializer.value));
    own.set_requires_grad(initializer.role == Role::kParameter);
    tensors_.push_back({initializer.name, own, initializer.role, initializer.classifier});
  }
  Compile();
}

void GraphModule::SetKernels(Kernels kernels) {
  kernels_ = kernels;
  Compile();
}

void GraphModule::Compile() {
  Program program;
  for (const GraphInput& input : graph_.inputs) program.slots.Of(input.name);
  program.plain = CompilePlain(graph_, program.slots);
  if (kernels_ != Kernels::kPlain)
    program.blocked = CompileBlocked(graph_, program.slots, kernels_ == Kernels::kWinograd);
  for (const GraphOutput& output : graph_.outputs) program.slots.Of(output.name);
  program.fixed.resize(program.slots.size());
  program.kept.assign(program.slots.size(), false);
  program.in_blocked.assign(program.slots.size(), false);
  int position = 0;
  for (const Initializer& initializer : graph_.initializers) {
    const int slot = program.slots.Find(initializer.name);
    if (slot >= 0) program.kept[slot] = true;
    if (initializer.role == Role::kConstant) {
      if (slot >= 0) program.fixed[slot] = ToTorch(initializer.value);
      // After To(): where the weights are.
      if (slot >= 0 && program.fixed[slot].is_floating_point() && !tensors_.empty()) {
        program.fixed[slot] = program.fixed[slot].to(tensors_[0].tensor.options().requires_grad(false));
      }
    } else {
      if (slot >= 0) program.trained.emplace_back(slot, position);
      ++position;
    }
  }
  for (const ProgramStep& step : program.blocked) {
    for (const int slot : step.out) {
      if (slot >= 0) program.in_blocked[slot] = true;
    }
  }
  PlanReleases(program.plain, program.kept);
  PlanReleases(program.blocked, program.kept);
  *program_ = std::move(program);
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
    const int slot = program.slots.Find(name);
    if (slot < 0)
      throw Error(ErrorCode::kInvalidArgument,
                  fmt::format("graph '{}' has no value '{}'", graph_.name, name));
    return slot;
  };
  std::vector<torch::Tensor> values = program.fixed;
  std::vector<bool> given(values.size(), false);
  for (const auto& [slot, position] : program.trained) values[slot] = tensors_[position].tensor;
  for (const auto& [name, value] : replaced) {
    values[slot_of(name)] = value;
    given[slot_of(name)] = true;
  }
  // Where a wanted value lies: its own slot, or its blocked form's.
  bool blocked = UseBlocked(images) && replaced.empty();
  std::vector<int> plain_at, blocked_at;
  for (const std::string& name : wanted) {
    plain_at.push_back(slot_of(name));
    const int other = program.slots.Find(BlockedName(name));
    const bool made = program.in_blocked[plain_at.back()];
    blocked_at.push_back(made || other < 0 || !program.in_blocked[other] ? plain_at.back() : other);
    blocked = blocked && (program.in_blocked[blocked_at.back()] || program.kept[blocked_at.back()]);
  }
  const std::vector<int>& at = blocked ? blocked_at : plain_at;
  std::vector<bool> keep = program.kept;
  for (const int slot : at) keep[slot] = true;
  values[0] = blocked ? images.contiguous() : images.contiguous(torch::MemoryFormat::ChannelsLast);
  const std::vector<ProgramStep>& steps = blocked ? program.blocked : program.plain;
  const std::vector<bool> needed = NeededSteps(steps, at);
  for (std::size_t i = 0; i < steps.size(); ++i) {
    if (needed[i]) RunStep(steps[i], values, given);
    for (const int slot : steps[i].release) {
      if (!keep[slot]) values[slot].reset();
    }
  }
  std::map<std::string, torch::Tensor> results;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    results[wanted[i]] = at[i] == plain_at[i] ? values[at[i]] : FromBlocked(values[at[i]]);
  }
  return results;
}

bool GraphModule::UseBlocked(const torch::Tensor& images) const {
  return !program_->blocked.empty() && images.device().is_cpu() && images.scalar_type() == torch::kFloat32 &&
         images.dim() == 4 && !Autocast::ActiveOnCpu();
}

void GraphModule::RunStep(const ProgramStep& step, std::vector<torch::Tensor>& values,
                          const std::vector<bool>& given) {
  OpCall call{.training = is_training(), .node = step.node, .masks = &masks_, .distributed = distributed_};
  for (const int slot : step.in) call.in.push_back(slot < 0 ? torch::Tensor() : values[slot]);
  const torch::AutoGradMode gradients(step.differentiable && torch::GradMode::is_enabled());
  step.run(call);
  for (std::size_t i = 0; i < step.out.size() && i < call.out.size(); ++i) {
    if (step.out[i] >= 0 && !given[step.out[i]]) values[step.out[i]] = call.out[i];
  }
}

std::vector<torch::Tensor> GraphModule::Parameters() const {
  std::vector<torch::Tensor> parameters;
  for (const Named& named : tensors_) {
    if (named.role == Role::kParameter) parameters.push_back(named.tensor);
  }
  return parameters;
}

void GraphModule::SetChance(std::uint64_t seed, std::uint64_t step) { masks_.Draw(seed, step); }

void GraphModule::SetDistributed(Distributed* distributed, std::int64_t first_image) {
  distributed_ = distributed;
  masks_.SetFirstImage(first_image);
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
  Convert([&](const torch::Tensor& tensor) { return tensor.to(device); });
}

void GraphModule::To(torch::ScalarType type) {
  Convert([&](const torch::Tensor& tensor) { return tensor.to(type); });
}

void GraphModule::Convert(const std::function<torch::Tensor(const torch::Tensor&)>& convert) {
  const torch::NoGradGuard guard;
  for (Named& named : tensors_) named.tensor.set_data(convert(named.tensor));
  for (torch::Tensor& constant : program_->fixed) {
    if (constant.defined() && constant.is_floating_point()) constant = convert(constant);
  }
}

}  // namespace frf
