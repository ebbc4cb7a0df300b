// SPDX-License-Identifier: Apache-2.0
// torch's update formulas, one pass over memory: each element's parameter, moments and average are read and
// written once. Subtle: chunks are fixed pieces of the parameters, and elements do not depend on one another,
// so the result is the same for every number of threads. On other devices torch's multi-tensor operators do
// the same in a few launches.
#include "train/optimizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "train/field_reader.h"
#include "train/kernels/update.h"

namespace frf {
namespace {

constexpr std::int64_t kChunk = 1 << 15;
constexpr std::pair<OptimizerKind, const char*> kNames[] = {
    {OptimizerKind::kAdam, "adam"}, {OptimizerKind::kAdamW, "adamw"}, {OptimizerKind::kSgd, "sgd"}};

}  // namespace

struct Optimizer::Slot {
  std::string name;
  torch::Tensor value, first, second;
  int position;  // in GraphModule::tensors()
  bool decayed;

  // The gradient with the parameter's strides; undefined without one.
  torch::Tensor Gradient() const {
    const torch::Tensor gradient = value.grad();
    if (!gradient.defined() || gradient.strides() == value.strides()) return gradient;
    return torch::empty_like(value.detach()).copy_(gradient);
  }
};

OptimizerKind OptimizerKindFromName(const std::string& name) {
  for (const auto& [kind, text] : kNames) {
    if (name == text) return kind;
  }
  throw Error(ErrorCode::kUsage,
              fmt::format("no optimiser is called '{}'; there are adam, adamw, sgd", name));
}

std::string Name(OptimizerKind kind) {
  for (const auto& [known, text] : kNames) {
    if (kind == known) return text;
  }
  return "?";
}

Json ToJson(const OptimizerSpec& spec) {
  return {{"kind", Name(spec.kind)},           {"beta1", spec.beta1},         {"beta2", spec.beta2},
          {"epsilon", spec.epsilon},           {"momentum", spec.momentum},   {"nesterov", spec.nesterov},
          {"weight_decay", spec.weight_decay}, {"decay_all", spec.decay_all}, {"clip_norm", spec.clip_norm}};
}

OptimizerSpec OptimizerSpecFromJson(const Json& json, const std::string& what) {
  OptimizerSpec spec;
  const FieldReader read{json, what + ": optimizer"};
  read.Named("kind", spec.kind, OptimizerKindFromName);
  read("beta1", spec.beta1);
  read("beta2", spec.beta2);
  read("epsilon", spec.epsilon);
  read("momentum", spec.momentum);
  read("nesterov", spec.nesterov);
  read("weight_decay", spec.weight_decay);
  read("decay_all", spec.decay_all);
  read("clip_norm", spec.clip_norm);
  return spec;
}

void Check(const OptimizerSpec& spec) {
  const auto want = [](bool good, const char* field, double value, const char* range) {
    if (!good)
      throw Error(ErrorCode::kUsage, fmt::format("optimiser: {} = {}, wanted {}", field, value, range));
  };
  want(spec.beta1 >= 0 && spec.beta1 < 1, "beta1", spec.beta1, "0 up to 1");
  want(spec.beta2 >= 0 && spec.beta2 < 1, "beta2", spec.beta2, "0 up to 1");
  want(spec.momentum >= 0 && spec.momentum < 1, "momentum", spec.momentum, "0 up to 1");
  want(spec.epsilon > 0, "epsilon", spec.epsilon, "above 0");
  want(spec.weight_decay >= 0, "weight_decay", spec.weight_decay, "0 or more");
  want(spec.clip_norm >= 0, "clip_norm", spec.clip_norm, "0 (none) or more");
}

Optimizer::Optimizer(GraphModule& module, const OptimizerSpec& spec) : module_(module), spec_(spec) {
  Check(spec_);
  const torch::NoGradGuard guard;
  for (std::size_t i = 0; i < module.tensors().size(); ++i) {
    const GraphModule::Named& named = module.tensors()[i];
    if (named.role != Role::kParameter) continue;
    auto slot = std::make_shared<Slot>();
    slot->name = named.name;
    slot->value = named.tensor;
    slot->position = static_cast<int>(i);
    slot->decayed = spec_.decay_all || named.tensor.dim() > 1;
    slot->first = torch::zeros_like(named.tensor.detach());
    if (spec_.kind != OptimizerKind::kSgd) slot->second = torch::zeros_like(named.tensor.detach());
    slots_.push_back(std::move(slot));
  }
}

void Optimizer::ZeroGrad() {
  for (const auto& slot : slots_) slot->value.mutable_grad().reset();
}

double Optimizer::GradientNorm() const {
  const torch::NoGradGuard guard;
  double total = 0;
  for (const auto& slot : slots_) {
    const torch::Tensor gradient = slot->Gradient();
    if (!gradient.defined()) continue;
    if (gradient.device().is_cpu() && gradient.scalar_type() == torch::kFloat32) {
      total += SumOfSquares(gradient.data_ptr<float>(), gradient.numel());
    } else {
      const double norm = gradient.norm().item<double>();
      total += norm * norm;
    }
  }
  return std::sqrt(total);
}

double Optimizer::Step(const Rates& rates, Average* average, double gradient_scale) {
  const torch::NoGradGuard guard;
  double norm = 0, scale = gradient_scale;
  if (spec_.clip_norm > 0) {
    norm = GradientNorm() * gradient_scale;
    scale *= std::min(1.0, spec_.clip_norm / (norm + 1e-6));
  }
  ++steps_;
  const bool cpu = slots_.empty() ||
                   (slots_[0]->value.device().is_cpu() && slots_[0]->value.scalar_type() == torch::kFloat32);
  if (cpu) {
    StepCpu(rates, average, scale);
  } else {
    StepDevice(rates, average, scale);
  }
  if (average != nullptr) average->UpdateStates();
  return norm;
}

void Optimizer::StepCpu(const Rates& rates, Average* average, double scale) {
  struct Chunk {
    const Slot* slot;
    UpdatePointers pointers;
    std::int64_t count;
  };
  std::vector<Chunk> chunks;
  std::vector<torch::Tensor> gradients;
  for (const auto& slot : slots_) {
    gradients.push_back(slot->Gradient());
    const torch::Tensor& gradient = gradients.back();
    const torch::Tensor averaged = average != nullptr ? average->tensors()[slot->position] : torch::Tensor();
    for (std::int64_t begin = 0; begin < slot->value.numel(); begin += kChunk) {
      const auto from = [&](const torch::Tensor& t) {
        return t.defined() ? t.data_ptr<float>() + begin : nullptr;
      };
      chunks.push_back(
          {slot.get(),
           {from(slot->value), from(gradient), from(slot->first), from(slot->second), from(averaged)},
           std::min(kChunk, slot->value.numel() - begin)});
    }
  }
  const bool sgd = spec_.kind == OptimizerKind::kSgd;
  const double beta1 = rates.momentum >= 0 ? rates.momentum : (sgd ? spec_.momentum : spec_.beta1);
  const double steps = static_cast<double>(steps_);
  UpdateScalars base{};
  base.gradient_scale = static_cast<float>(scale);
  base.beta1 = static_cast<float>(beta1);
  base.one_minus_beta1 = static_cast<float>(1 - beta1);
  base.beta2 = static_cast<float>(spec_.beta2);
  base.one_minus_beta2 = static_cast<float>(1 - spec_.beta2);
  base.step = static_cast<float>(sgd ? rates.rate : rates.rate / (1 - std::pow(beta1, steps)));
  base.inverse_root = static_cast<float>(1 / std::sqrt(1 - std::pow(spec_.beta2, steps)));
  base.epsilon = static_cast<float>(spec_.epsilon);
  base.nesterov = spec_.nesterov;
  base.keep = average != nullptr ? static_cast<float>(average->NextDecay()) : 0;
  base.take = average != nullptr ? static_cast<float>(1 - average->NextDecay()) : 0;
#pragma omp parallel for schedule(dynamic, 4)
  for (std::size_t i = 0; i < chunks.size(); ++i) {
    const Chunk& chunk = chunks[i];
    UpdateScalars update = base;
    const double decay = chunk.slot->decayed ? spec_.weight_decay : 0;
    update.shrink = spec_.kind == OptimizerKind::kAdamW ? static_cast<float>(1 - rates.rate * decay) : 1.0f;
    update.decay = spec_.kind == OptimizerKind::kAdamW ? 0.0f : static_cast<float>(decay);
    const UpdatePointers& p = chunk.pointers;
    if (p.gradient != nullptr && sgd) SgdKernel(p, update, chunk.count);
    if (p.gradient != nullptr && !sgd) AdamKernel(p, update, chunk.count);
    if (p.average != nullptr) AverageKernel(p.average, p.value, update.keep, update.take, chunk.count);
  }
}

void Optimizer::StepDevice(const Rates& rates, Average* average, double scale) {
  std::vector<torch::Tensor> values, gradients, first, second, decayed_values, decayed_gradients, averages,
      all;
  for (const auto& slot : slots_) {
    all.push_back(slot->value);
    if (average != nullptr) averages.push_back(average->tensors()[slot->position]);
    torch::Tensor gradient = slot->Gradient();
    if (!gradient.defined()) continue;
    values.push_back(slot->value);
    gradients.push_back(gradient);
    first.push_back(slot->first);
    if (slot->second.defined()) second.push_back(slot->second);
    if (!slot->decayed) continue;
    decayed_values.push_back(slot->value);
    decayed_gradients.push_back(gradient);
  }
  const bool sgd = spec_.kind == OptimizerKind::kSgd;
  const double beta1 = rates.momentum >= 0 ? rates.momentum : (sgd ? spec_.momentum : spec_.beta1);
  const double steps = static_cast<double>(steps_);
  if (!values.empty()) {
    if (scale != 1.0) at::_foreach_mul_(gradients, scale);
    if (!decayed_values.empty() && spec_.weight_decay > 0) {
      if (spec_.kind == OptimizerKind::kAdamW) {
        at::_foreach_mul_(decayed_values, 1 - rates.rate * spec_.weight_decay);
      } else {
        at::_foreach_add_(decayed_gradients, decayed_values, spec_.weight_decay);
      }
    }
    at::_foreach_mul_(first, beta1);
    at::_foreach_add_(first, gradients, sgd ? 1.0 : 1 - beta1);
    if (sgd) {
      if (spec_.nesterov) at::_foreach_add_(gradients, first, beta1);
      at::_foreach_add_(values, spec_.nesterov ? gradients : first, -rates.rate);
    } else {
      at::_foreach_mul_(second, spec_.beta2);
      at::_foreach_addcmul_(second, gradients, gradients, 1 - spec_.beta2);
      std::vector<torch::Tensor> roots = at::_foreach_sqrt(second);
      at::_foreach_mul_(roots, 1 / std::sqrt(1 - std::pow(spec_.beta2, steps)));
      at::_foreach_add_(roots, spec_.epsilon);
      at::_foreach_addcdiv_(values, first, roots, -rates.rate / (1 - std::pow(beta1, steps)));
    }
  }
  if (average != nullptr) {
    at::_foreach_mul_(averages, average->NextDecay());
    at::_foreach_add_(averages, all, 1 - average->NextDecay());
  }
}

std::vector<std::pair<std::string, torch::Tensor>> Optimizer::State() const {
  std::vector<std::pair<std::string, torch::Tensor>> state;
  for (const auto& slot : slots_) {
    state.emplace_back(slot->name + (spec_.kind == OptimizerKind::kSgd ? "/momentum" : "/m"), slot->first);
    if (slot->second.defined()) state.emplace_back(slot->name + "/v", slot->second);
  }
  return state;
}

void Optimizer::Load(const std::string& name, const torch::Tensor& value) {
  const torch::NoGradGuard guard;
  for (auto& [known, tensor] : State()) {
    if (known != name) continue;
    if (tensor.sizes() != value.sizes()) break;
    tensor.copy_(value);
    return;
  }
  throw Error(ErrorCode::kCorruptFile,
              fmt::format("the optimiser state '{}' ({}) does not fit the network and optimiser '{}'", name,
                          ToString(value.sizes().vec()), Name(spec_.kind)));
}

}  // namespace frf
