// SPDX-License-Identifier: Apache-2.0
#include "train/train_state.h"

#include <fmt/format.h>

#include "base/hash.h"
#include "frf/error.h"
#include "train/distributed.h"

namespace frf {
namespace {

const char* TypeName(torch::ScalarType type) {
  switch (type) {
    case torch::kFloat32:
      return "float32";
    case torch::kFloat16:
      return "float16";
    case torch::kFloat64:
      return "float64";
    case torch::kInt64:
      return "int64";
    case torch::kInt32:
      return "int32";
    case torch::kUInt8:
      return "uint8";
    case torch::kBool:
      return "bool";
    default:
      throw Error(ErrorCode::kInternal,
                  fmt::format("a tensor of type {} has no place in a checkpoint", c10::toString(type)));
  }
}

torch::ScalarType TypeFromName(const std::string& name) {
  for (const auto type : {torch::kFloat32, torch::kFloat16, torch::kFloat64, torch::kInt64, torch::kInt32,
                          torch::kUInt8, torch::kBool}) {
    if (name == TypeName(type)) return type;
  }
  throw Error(ErrorCode::kCorruptFile, "type '" + name + "' is unknown");
}

torch::Tensor Flat(const torch::Tensor& tensor) { return tensor.detach().to(torch::kCPU).contiguous(); }

// Tensors on their way to the file, kept alive until it is written.
struct Pack {
  CheckpointWriter writer;
  std::vector<torch::Tensor> kept;
  void Add(const std::string& name, const torch::Tensor& tensor) {
    kept.push_back(Flat(tensor));
    const torch::Tensor& flat = kept.back();
    writer.Add(name, TypeName(flat.scalar_type()), flat.sizes().vec(), flat.data_ptr(), flat.nbytes());
  }
};

torch::Tensor ToTensor(const CheckpointTensor& tensor) {
  // The file's bytes are only borrowed: whoever gets this copies it.
  return torch::from_blob(const_cast<void*>(tensor.data), tensor.shape, TypeFromName(tensor.dtype));
}

Json Optional(const std::optional<double>& value) { return value ? Json(*value) : Json(nullptr); }

std::optional<double> Optional(const Json& value) {
  return value.is_null() ? std::nullopt : std::optional(value.get<double>());
}

}  // namespace

Json ToJson(const TrainState& s) {
  return {{"epoch", s.epoch},
          {"epoch_step", s.epoch_step},
          {"step", s.step},
          {"images", s.images},
          {"loss_sum", s.loss_sum},
          {"last_loss", s.last_loss},
          {"last_miou", Optional(s.last_miou)},
          {"best_miou", Optional(s.best_miou)},
          {"best_epoch", s.best_epoch},
          {"seconds", s.seconds},
          {"waited", s.waited},
          {"loss_scale", s.loss_scale.scale},
          {"loss_good_steps", s.loss_scale.good_steps},
          {"finished", s.finished}};
}

TrainState TrainStateFromJson(const Json& json, const std::string& file) {
  try {
    TrainState s;
    s.epoch = json.at("epoch");
    s.epoch_step = json.at("epoch_step");
    s.step = json.at("step");
    s.images = json.value("images", std::int64_t{0});  // absent in older files
    s.loss_sum = json.at("loss_sum");
    s.last_loss = json.at("last_loss");
    s.last_miou = Optional(json.at("last_miou"));
    s.best_miou = Optional(json.at("best_miou"));
    s.best_epoch = json.at("best_epoch");
    s.seconds = json.at("seconds");
    s.waited = json.at("waited");
    s.loss_scale.scale = json.at("loss_scale");
    s.loss_scale.good_steps = json.value("loss_good_steps", std::int64_t{0});  // absent in older files
    s.finished = json.at("finished");
    return s;
  } catch (const Json::exception& error) {
    throw Error(ErrorCode::kCorruptFile,
                fmt::format("{}: holds no state to resume from: {}", file, JsonReason(error)));
  }
}

void SaveState(const std::string& path, const TrainState& state, const Json& model_info,
               const Trained& trained) {
  Pack pack;
  pack.writer.meta["kind"] = trained.optimizer != nullptr ? "run" : "weights";
  pack.writer.meta["model"] = model_info;
  pack.writer.meta["state"] = ToJson(state);
  for (const GraphModule::Named& named : trained.module.tensors())
    pack.Add(kModelPrefix + named.name, named.tensor);
  if (trained.average != nullptr) {
    for (const auto& [name, tensor] : trained.average->State()) pack.Add(kAveragePrefix + name, tensor);
    pack.writer.meta["average_updates"] = trained.average->updates();
  } else {
    for (const GraphModule::Named& named : trained.module.tensors())
      pack.Add(kAveragePrefix + named.name, named.tensor);
  }
  if (trained.optimizer != nullptr) {
    for (const auto& [name, tensor] : trained.optimizer->State()) pack.Add("optimizer/" + name, tensor);
    pack.writer.meta["optimizer_steps"] = trained.optimizer->steps();
  }
  pack.writer.Save(path);
}

void LoadState(const Checkpoint& checkpoint, TrainState& state, const Trained& trained) {
  const torch::NoGradGuard no_gradients;
  if (!checkpoint.meta().contains("state")) {
    throw Error(ErrorCode::kCorruptFile,
                checkpoint.path() + ": holds weights only, no state to resume from; use it with --init");
  }
  state = TrainStateFromJson(checkpoint.meta()["state"], checkpoint.path());
  for (const GraphModule::Named& named : trained.module.tensors()) {
    const CheckpointTensor& tensor = checkpoint.At(kModelPrefix + named.name);
    if (tensor.shape != named.tensor.sizes().vec()) {
      throw Error(ErrorCode::kCorruptFile,
                  fmt::format("{}: '{}' is {}, the network wants {}", checkpoint.path(), tensor.name,
                              ToString(tensor.shape), ToString(named.tensor.sizes().vec())));
    }
    torch::Tensor own = named.tensor;
    own.copy_(ToTensor(tensor));
  }
  if (trained.average != nullptr) {
    for (const auto& [name, ignored] : trained.average->State()) {
      trained.average->Load(name, ToTensor(checkpoint.At(kAveragePrefix + name)));
    }
    trained.average->set_updates(checkpoint.meta().value("average_updates", std::int64_t{0}));
  }
  if (trained.optimizer != nullptr) {
    const std::string prefix = "optimizer/";
    for (const auto& [name, ignored] : trained.optimizer->State()) {
      trained.optimizer->Load(name, ToTensor(checkpoint.At(prefix + name)));
    }
    trained.optimizer->set_steps(checkpoint.meta().value("optimizer_steps", std::int64_t{0}));
  }
}

void ShareState(Distributed& distributed, TrainState& state, const Trained& trained) {
  Json json{{"state", ToJson(state)}};
  std::vector<torch::Tensor> tensors;
  for (const GraphModule::Named& named : trained.module.tensors()) tensors.push_back(named.tensor);
  if (trained.average != nullptr) {
    json["average_updates"] = trained.average->updates();
    for (const auto& [name, tensor] : trained.average->State()) tensors.push_back(tensor);
  }
  if (trained.optimizer != nullptr) {
    json["optimizer_steps"] = trained.optimizer->steps();
    for (const auto& [name, tensor] : trained.optimizer->State()) tensors.push_back(tensor);
  }
  const std::string what = "rank 0's state";
  json = ParseJson(distributed.Broadcast(json.dump()), what);
  state = TrainStateFromJson(json.at("state"), what);
  if (trained.average != nullptr) trained.average->set_updates(json.at("average_updates"));
  if (trained.optimizer != nullptr) trained.optimizer->set_steps(json.at("optimizer_steps"));
  distributed.Broadcast(tensors);
}

std::string HashWeights(const GraphModule& module, const Average* average) {
  std::uint64_t hash = 0;
  const auto add = [&](const std::string& name, const torch::Tensor& tensor) {
    const torch::Tensor flat = Flat(tensor);
    hash = XxHash64(flat.data_ptr(), flat.nbytes(), XxHash64(name, hash));
  };
  for (const GraphModule::Named& named : module.tensors()) add(named.name, named.tensor);
  if (average != nullptr) {
    for (const auto& [name, tensor] : average->State()) add(name, tensor);
  }
  return fmt::format("{:016x}", hash);
}

bool AllFinite(const GraphModule& module) {
  const torch::NoGradGuard no_gradients;
  for (const GraphModule::Named& named : module.tensors()) {
    // A sum is finite only if every term is (or terms overflow it, which no sane weights do).
    if (!std::isfinite(named.tensor.sum().item<double>())) return false;
  }
  return true;
}

}  // namespace frf
