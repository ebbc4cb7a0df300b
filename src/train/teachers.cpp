// SPDX-License-Identifier: Apache-2.0
#include "train/teachers.h"

#include <fmt/format.h>

#include <filesystem>

#include "base/checkpoint.h"
#include "base/json.h"
#include "frf/error.h"
#include "graph/weights.h"
#include "nets/nets.h"
#include "train/distributed.h"
#include "train/evaluate.h"
#include "train/losses.h"
#include "train/plan.h"

namespace frf {
namespace {

void RefuseIntegers(const ModelInfo& info, const std::string& path, const std::string& option) {
  if (info.weights != "int8") return;
  throw Error(ErrorCode::kUsage,
              fmt::format("{} {}: holds 8-bit integers; the float model that it was made of is wanted",
                          option, path));
}

Teacher FromCheckpoint(const std::string& path, const std::string& option) {
  const Checkpoint checkpoint = Checkpoint::Load(path);
  const auto model = checkpoint.meta().find("model");
  if (model == checkpoint.meta().end()) {
    throw Error(ErrorCode::kCorruptFile, path + ": does not say which network's weights it holds");
  }
  Teacher teacher{.name = checkpoint.meta().value("name", std::filesystem::path(path).stem().string()),
                  .info = ModelInfoFromJson(*model, path)};
  RefuseIntegers(teacher.info, path, option);
  teacher.graph = BuildNet(teacher.info.net, teacher.info.net_options).ForInference();
  LoadAll(teacher.graph, checkpoint, teacher.info.net);
  return teacher;
}

Teacher FromRun(const std::string& run, const std::string& option) {
  Teacher teacher{.name = std::filesystem::path(run + "/").parent_path().filename().string()};
  teacher.graph = LoadRunGraph(run, /*raw=*/false, /*last=*/false, teacher.info);
  RefuseIntegers(teacher.info, run, option);
  return teacher;
}

// What rank 0 has, on every rank: descriptions here, weights once they lie on the device.
void ShareDescriptions(std::vector<Teacher>& teachers, Distributed& distributed) {
  Json json = Json::array();
  for (const Teacher& teacher : teachers)
    json.push_back({{"name", teacher.name}, {"model", ToJson(teacher.info)}});
  const std::string what = "rank 0's teachers";
  json = ParseJson(distributed.Broadcast(json.dump()), what);
  if (distributed.rank() == 0) return;
  teachers.clear();
  for (const Json& one : json) {
    Teacher teacher{.name = one.at("name").get<std::string>(),
                    .info = ModelInfoFromJson(one.at("model"), what)};
    teacher.graph = BuildNet(teacher.info.net, teacher.info.net_options).ForInference();
    InitializeWeights(teacher.graph, 0);  // overwritten
    teachers.push_back(std::move(teacher));
  }
}

torch::Tensor PerChannel(const std::array<float, 3>& values, torch::Device device) {
  return torch::tensor({values[0], values[1], values[2]}).reshape({1, 3, 1, 1}).to(device);
}

}  // namespace

Teacher ReadTeacher(const std::string& path, const std::string& option) {
  if (path.ends_with(".onnx")) {
    throw Error(ErrorCode::kUsage,
                fmt::format("{} {}: frf-train reads checkpoints and run folders; `frf train {} {}` converts "
                            "the file first",
                            option, path, option, path));
  }
  return std::filesystem::is_directory(path) ? FromRun(path, option) : FromCheckpoint(path, option);
}

void CheckClasses(const Teacher& teacher, const ModelInfo& student) {
  if (teacher.info.classes.names == student.classes.names) return;
  throw Error(
      ErrorCode::kUsage,
      fmt::format("--teacher {}: knows {} classes ({}, ...), the data have {} ({}, ...): the same ones "
                  "are wanted",
                  teacher.name, teacher.info.classes.count(), teacher.info.classes.names.front(),
                  student.classes.count(), student.classes.names.front()));
}

void SaveTeacher(const std::string& path, const Teacher& teacher) {
  SaveWeights(path, teacher.graph, ToJson(teacher.info), {{"name", teacher.name}});
}

Teachers::Teachers(std::vector<Teacher> teachers, const ModelInfo& student, torch::Device device,
                   Distributed* distributed)
    : device_(device) {
  if (distributed != nullptr) ShareDescriptions(teachers, *distributed);
  for (Teacher& teacher : teachers) {
    CheckClasses(teacher, student);
    Net net{.scores = ScoresName(teacher.graph)};
    net.module = std::make_unique<GraphModule>(std::move(teacher.graph));
    net.module->eval();
    net.module->To(device);
    if (distributed != nullptr) {
      std::vector<torch::Tensor> tensors;
      for (const GraphModule::Named& named : net.module->tensors()) tensors.push_back(named.tensor.detach());
      distributed->Broadcast(tensors);
    }
    const InputSpec &own = student.input, &wanted = teacher.info.input;
    if (own.mean != wanted.mean || own.std != wanted.std) {
      const torch::Tensor std = PerChannel(wanted.std, device);
      net.scale = PerChannel(own.std, device) / std;
      net.shift = (PerChannel(own.mean, device) - PerChannel(wanted.mean, device)) / std;
    }
    nets_.push_back(std::move(net));
  }
}

torch::Tensor Teachers::Probabilities(const torch::Tensor& images, Precision precision) const {
  const torch::NoGradGuard no_gradients;
  torch::Tensor sum;
  for (const Net& net : nets_) {
    const torch::Tensor input = net.scale.defined() ? images * net.scale + net.shift : images;
    torch::Tensor scores;
    {
      const Autocast cast(device_, precision);
      scores = net.module->ForwardForLoss(input).at(net.scores);
    }
    const torch::Tensor one = at::softmax(scores.to(torch::kFloat32), 1);
    sum = sum.defined() ? sum + UpsampleTo(one, sum.size(2), sum.size(3)) : one;
  }
  return sum / static_cast<double>(nets_.size());
}

}  // namespace frf
