// SPDX-License-Identifier: Apache-2.0
#include "cli/modules.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "base/json.h"
#include "base/progress.h"
#include "engine/plain.h"
#include "frf/error.h"
#include "image/transform.h"

namespace frf::cli {
namespace {

std::string ScopeOf(const std::string& value) {
  const std::size_t dot = value.rfind('.');
  return dot == std::string::npos ? value : value.substr(0, dot);
}

// Values that gate or mask, by module.
std::map<std::string, std::vector<GateReport>> FindGates(const Graph& graph) {
  const GraphIndex index(graph);
  std::map<std::string, std::vector<GateReport>> found;
  for (const Node& node : graph.nodes) {
    if (node.outputs.empty()) continue;
    const std::string& value = node.outputs[0];
    const auto readers = index.consumers.find(value);
    const bool multiplies = readers != index.consumers.end() &&
                            std::any_of(readers->second.begin(), readers->second.end(),
                                        [&](int reader) { return graph.nodes[reader].Is("Mul"); });
    const auto source = node.inputs.empty() ? index.producer.end() : index.producer.find(node.inputs[0]);
    const bool mask =
        node.Is("Clip") && source != index.producer.end() && graph.nodes[source->second].Is("Ceil");
    if (mask || (node.Is("Sigmoid") && multiplies))
      found[ScopeOf(value)].push_back({.value = value, .kind = mask ? "mask" : "gate"});
  }
  return found;
}

// Sums over images of a value's channel means, of their squares, and of the variance within an image; and how
// many values lie where a sigmoid hardly moves.
struct Moments {
  std::vector<double> sum, squares, within;
  std::int64_t pixels = 0, saturated = 0, all = 0;
  void Add(const Tensor& value) {
    const std::int64_t channels = value.dim(1);
    pixels = value.size() / channels;
    all += value.size();
    if (sum.empty()) sum.resize(channels), squares.resize(channels), within.resize(channels);
    for (std::int64_t c = 0; c < channels; ++c) {
      const float* data = value.data<float>() + c * pixels;
      double total = 0, square = 0;
      for (std::int64_t i = 0; i < pixels; ++i) {
        total += data[i], square += static_cast<double>(data[i]) * data[i];
        saturated += data[i] < 0.05f || data[i] > 0.95f ? 1 : 0;
      }
      const double mean = total / static_cast<double>(pixels);
      sum[c] += mean;
      squares[c] += mean * mean;
      within[c] += std::max(0.0, square / static_cast<double>(pixels) - mean * mean);
    }
  }
};

void Summarise(const Moments& moments, double images, GateReport& gate) {
  const auto channels = static_cast<double>(moments.sum.size());
  double mean = 0, square = 0;
  for (std::size_t c = 0; c < moments.sum.size(); ++c) {
    const double m = moments.sum[c] / images;
    mean += m / channels;
    square += m * m / channels;
    gate.between_images += std::sqrt(std::max(0.0, moments.squares[c] / images - m * m)) / channels;
    gate.between_pixels += std::sqrt(moments.within[c] / images) / channels;
  }
  gate.mean = mean;
  gate.between_channels = std::sqrt(std::max(0.0, square - mean * mean));
  gate.spatial = moments.pixels > 1;
  gate.saturated =
      static_cast<double>(moments.saturated) / static_cast<double>(std::max<std::int64_t>(moments.all, 1));
}

// The value as a constant by channel instead of what makes it.
void Freeze(Graph& graph, const std::string& value, const std::vector<float>& channels) {
  const auto made = std::find_if(graph.nodes.begin(), graph.nodes.end(), [&](const Node& node) {
    return !node.outputs.empty() && node.outputs[0] == value;
  });
  graph.nodes.erase(made);
  Tensor constant =
      Tensor::Uninitialized(DType::kFloat32, {1, static_cast<std::int64_t>(channels.size()), 1, 1});
  std::copy(channels.begin(), channels.end(), constant.data<float>());
  graph.initializers.push_back(
      {.name = value, .role = Role::kConstant, .init = Init::kGiven, .value = constant});
}

}  // namespace

ModulesReport MeasureModules(const Model& model, const SegmenterOptions& options,
                             const ScoredImages& images) {
  Model whole = model;
  whole.graph = model.graph.ForInference();
  if (whole.graph.inputs.at(0).dtype != DType::kFloat32) {
    throw Error(ErrorCode::kInvalidArgument,
                "--modules reads networks with a float input; this one takes bytes (export it without "
                "--uint8-input)");
  }
  auto found = FindGates(whole.graph);
  if (found.empty())
    throw Error(
        ErrorCode::kInvalidArgument,
        "this network has no gates (Sigmoid before Mul) and no masks: --modules has nothing to measure");
  std::vector<std::string> wanted;
  for (const auto& [name, gates] : found) {
    for (const GateReport& gate : gates) wanted.push_back(gate.value);
  }

  std::map<std::string, Moments> moments;
  {
    PlainExecutor executor(whole.graph, {.threads = options.threads, .max_memory = options.max_memory});
    const GraphInput& input = whole.graph.inputs[0];
    Progress progress("gates", static_cast<std::int64_t>(images.samples.size()));
    for (const Sample& sample : images.samples) {
      const int fixed_h = static_cast<int>(std::max<std::int64_t>(0, input.shape.at(2))),
                fixed_w = static_cast<int>(std::max<std::int64_t>(0, input.shape.at(3)));
      const NetworkSize size = ChooseNetworkSize(whole.info.input, sample.image.height, sample.image.width,
                                                 options.height > 0 ? options.height : fixed_h,
                                                 options.width > 0 ? options.width : fixed_w);
      Tensor tensor = Tensor::Uninitialized(DType::kFloat32, {1, 3, size.height, size.width});
      Preprocess(sample.image.view(), whole.info.input, size, tensor.data<float>());
      for (const auto& [value, got] : executor.Run({{input.name, tensor}}, wanted)) moments[value].Add(got);
      progress.Advance();
    }
  }

  const NetworkScore score = ScoreNetwork(whole, options, images, "as it is");
  ModulesReport all{.miou = score.MeanIou(), .modules = {}};
  for (auto& [name, gates] : found) {
    ModuleReport report{.name = name, .gates = std::move(gates)};
    Model frozen = whole, off = whole;
    for (GateReport& gate : report.gates) {
      const Moments& m = moments.at(gate.value);
      Summarise(m, static_cast<double>(images.samples.size()), gate);
      std::vector<float> means(m.sum.size());
      for (std::size_t c = 0; c < means.size(); ++c)
        means[c] = static_cast<float>(m.sum[c] / static_cast<double>(images.samples.size()));
      Freeze(frozen.graph, gate.value, means);
      if (gate.kind != "mask") continue;
      report.has_masks = true;
      Freeze(off.graph, gate.value, std::vector<float>(means.size(), 0.0f));
    }
    report.frozen = DropOf(score, ScoreNetwork(frozen, options, images, name + " frozen"));
    if (report.has_masks) report.off = DropOf(score, ScoreNetwork(off, options, images, name + " off"));
    all.modules.push_back(std::move(report));
  }
  ClearProgressLine();
  return all;
}

std::string FormatModules(const ModulesReport& report) {
  std::string text = fmt::format("{:<34} {:<5} {:>8} {:>9} {:>9} {:>9} {:>10}\n", "value", "kind", "mean",
                                 "channels", "images", "pixels", "saturated");
  for (const ModuleReport& module : report.modules) {
    for (const GateReport& gate : module.gates) {
      text += fmt::format("{:<34} {:<5} {:>8.4f} {:>9.4f} {:>9.4f} {:>9} {:>10}\n", gate.value, gate.kind,
                          gate.mean, gate.between_channels, gate.between_images,
                          gate.spatial ? fmt::format("{:.4f}", gate.between_pixels) : "-",
                          gate.kind == "gate" ? fmt::format("{:.0f} %", 100 * gate.saturated) : "-");
    }
  }
  text +=
      "mean (of a mask: how often it fires), and standard deviations between channels, images and pixels; "
      "saturated: gates below 0.05 or above 0.95\n\n";
  text += fmt::format("{:<34} {:>9} {:>22}\n", "module", "points", "95 %");
  text += fmt::format("{:<34} {:>10} mean IoU\n", "as it is", Percent(report.miou, 2));
  const auto row = [&](const std::string& name, const std::optional<Drop>& drop) {
    text += fmt::format("{:<34} {:>9} {:>22}\n", name, drop ? fmt::format("{:+.2f}", -drop->points) : "-",
                        drop ? fmt::format("{:+.2f} to {:+.2f}", -drop->high, -drop->low) : "-");
  };
  for (const ModuleReport& module : report.modules) {
    row(module.name + " frozen", module.frozen);
    if (module.has_masks) row(module.name + " masks off", module.off);
  }
  return text +
         "frozen: gates and masks at their channels' means over these images; the interval is drawing images "
         "again (bootstrap)\n";
}

Json ToJson(const ModulesReport& report) {
  Json list = Json::array();
  const auto drop = [](const std::optional<Drop>& d) {
    return d ? Json{{"points", -d->points}, {"low", -d->high}, {"high", -d->low}} : Json();
  };
  for (const ModuleReport& module : report.modules) {
    Json gates = Json::array();
    for (const GateReport& gate : module.gates) {
      gates.push_back({{"value", gate.value},
                       {"kind", gate.kind},
                       {"mean", gate.mean},
                       {"between_channels", gate.between_channels},
                       {"between_images", gate.between_images},
                       {"between_pixels", gate.between_pixels},
                       {"saturated", gate.saturated}});
    }
    Json one{{"module", module.name}, {"gates", gates}, {"frozen", drop(module.frozen)}};
    if (module.has_masks) one["off"] = drop(module.off);
    list.push_back(one);
  }
  return {{"miou", OrNull(report.miou)}, {"modules", list}};
}

}  // namespace frf::cli
