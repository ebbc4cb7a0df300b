// SPDX-License-Identifier: Apache-2.0
#include "graph/weights.h"

#include <fmt/format.h>

#include <cstring>
#include <filesystem>
#include <unordered_set>

#include "frf/error.h"

namespace frf {

LoadReport LoadWeights(Graph& graph, const Checkpoint& checkpoint, const std::string& prefix,
                       const LoadOptions& options) {
  LoadReport report;
  std::unordered_set<std::string> known;
  for (Initializer& initializer : graph.initializers) {
    if (initializer.role == Role::kConstant) continue;
    known.insert(initializer.name);
    const CheckpointTensor* tensor = checkpoint.Find(prefix + initializer.name);
    if (tensor == nullptr) {
      report.kept.push_back(initializer.name + " (not in the file)");
    } else if (initializer.classifier && options.redraw_classifier) {
      report.kept.push_back(initializer.name + " (other classes)");
    } else if (tensor->shape != initializer.value.shape()) {
      report.kept.push_back(fmt::format("{} ({} in the file, {} here)", initializer.name,
                                        ToString(tensor->shape), ToString(initializer.value.shape())));
    } else {
      Tensor value = Tensor::Uninitialized(DTypeFromName(tensor->dtype), tensor->shape);
      if (tensor->bytes > 0) std::memcpy(value.raw(), tensor->data, tensor->bytes);
      initializer.value =
          value.dtype() == initializer.value.dtype() ? value : value.Cast(initializer.value.dtype());
      ++report.loaded;
    }
  }
  for (const CheckpointTensor& tensor : checkpoint.tensors()) {
    if (!tensor.name.starts_with(prefix)) continue;
    const std::string name = tensor.name.substr(prefix.size());
    if (!known.contains(name)) report.ignored.push_back(name);
  }
  return report;
}

std::string CheckpointOfRun(const std::string& run, bool last) {
  return !last && std::filesystem::exists(run + "/best.ckpt") ? "best" : "last";
}

std::string WeightsPrefix(const Checkpoint& checkpoint, bool raw) {
  if (!raw) {
    for (const CheckpointTensor& tensor : checkpoint.tensors()) {
      if (tensor.name.starts_with(kAveragePrefix)) return kAveragePrefix;
    }
  }
  return kModelPrefix;
}

void SaveWeights(const std::string& path, const Graph& graph, const Json& model_info, const Json& more) {
  CheckpointWriter writer;
  writer.meta = more;
  writer.meta["kind"] = "weights";
  writer.meta["model"] = model_info;
  for (const Initializer& initializer : graph.initializers) {
    const Tensor& value = initializer.value;
    if (!value.has_data() || (value.dtype() != DType::kFloat32 && value.dtype() != DType::kFloat16)) continue;
    writer.Add(kModelPrefix + initializer.name, Name(value.dtype()), value.shape(), value.raw(),
               value.bytes());
  }
  writer.Save(path);
}

}  // namespace frf
