// SPDX-License-Identifier: Apache-2.0
// Subtle: biases always come from the file, which may hold corrected ones; as int32 they are floats but for a
// hair.
#include "cli/qat.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "cli/cli.h"
#include "engine/quantize/insert.h"
#include "frf/error.h"
#include "nets/nets.h"

namespace frf::cli {
namespace {

// Whether rounding `floats` by output channel gives `rounded`, but for what half precision may have moved.
// `step`: of the map that the convolution reads.
bool RoundsTo(const Tensor& floats, const Tensor& rounded, const Tensor& bias, float step) {
  const std::int64_t out = rounded.dim(0), each = rounded.size() / std::max<std::int64_t>(1, out);
  for (std::int64_t o = 0; o < out; ++o) {
    const float* const a = floats.data<float>() + o * each;
    const float* const b = rounded.data<float>() + o * each;
    float largest = 0;
    for (std::int64_t i = 0; i < each; ++i) largest = std::max(largest, std::abs(b[i]));
    const float most = 0.6f * engine::WeightScale(largest, bias.data<float>()[o], step) + 1e-12f;
    for (std::int64_t i = 0; i < each; ++i) {
      if (!(std::abs(a[i] - b[i]) <= most)) return false;
    }
  }
  return true;
}

void TakeFloats(QatStart& start, const std::string& file, const std::string& init) {
  const Model model = LoadModel(init);
  const InputSpec& input = start.info.input;
  const bool known = input.height > 0 && input.width > 0;
  engine::ReadyGraph ready = engine::ReadyForQuantization(
      model.graph, {1, 3, known ? input.height : 256, known ? input.width : 320});
  if (start.info.quant.is_object() && start.info.quant.value("equalized_pairs", 0) > 0)
    engine::EqualizeLayers(ready);
  for (const Node& node : start.graph.nodes) {
    if (!start.table.convolutions.contains(node.name)) continue;
    Initializer& own = *start.graph.FindInitializer(node.inputs[1]);
    const Tensor& bias = start.graph.FindInitializer(node.inputs[2])->value;
    const float step = start.table.values.at(node.inputs[0]).step;
    const Initializer* floats = ready.graph.FindInitializer(own.name);
    if (floats == nullptr || floats->value.shape() != own.value.shape() ||
        floats->value.dtype() != DType::kFloat32 || !RoundsTo(floats->value, own.value, bias, step)) {
      throw Error(ErrorCode::kUsage,
                  fmt::format("--init {}: {} was not made of it: '{}' rounds to other integers", init, file,
                              own.name));
    }
    own.value = floats->value;
  }
}

}  // namespace

QatStart ReadQatStart(const std::string& file, const std::string& init) {
  QatStart start;
  const Model model = ReadOnnx(FindModel(file));
  start.info = model.info;
  std::map<std::string, Tensor> weights;
  start.table = engine::TableOf(model.graph, file, weights);
  if (!IsNet(model.info.net)) {
    throw Error(ErrorCode::kUnsupported,
                fmt::format("{}: {}; --qat wants a file of one of frf's networks", file,
                            model.info.net.empty() ? "does not say which network it is (frf.net)"
                                                   : "frf knows no network '" + model.info.net + "'"));
  }
  Json options = model.info.net_options;
  options["classes"] = model.info.classes.count();
  start.graph = ReadyToTrain(BuildNet(model.info.net, options),
                             {model.info.input.height, model.info.input.width}, start.table, file);
  for (Initializer& initializer : start.graph.initializers) {
    if (initializer.role == Role::kConstant) continue;
    const auto found = weights.find(initializer.name);
    if (found == weights.end() || found->second.shape() != initializer.value.shape()) {
      throw Error(ErrorCode::kUnsupported,
                  fmt::format("{}: {} wants '{}' of {}, the file holds {}", file, model.info.net,
                              initializer.name, ToString(initializer.value.shape()),
                              found == weights.end() ? "none" : ToString(found->second.shape())));
    }
    initializer.value = found->second;
  }
  if (!init.empty()) TakeFloats(start, file, init);
  return start;
}

}  // namespace frf::cli
