// SPDX-License-Identifier: Apache-2.0
// Models that bench, export and info get by other ways than a stamped file: a network's name, a foreign file.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "cli/cli.h"
#include "data/dataset.h"
#include "data/synth.h"
#include "engine/plain.h"
#include "frf/error.h"
#include "graph/image_size.h"
#include "graph/output.h"
#include "graph/shapes.h"
#include "image/transform.h"
#include "nets/nets.h"

namespace frf::cli {

std::vector<std::string> NetNames() {
  std::vector<std::string> names;
  for (const NetEntry& net : ListNets()) names.push_back(net.name);
  return names;
}

void CheckKeepsFixedSides(const std::string& name, SizePair size, SizePair fixed) {
  if (WithFixedSides(size, fixed) == size) return;
  throw Error(ErrorCode::kUsage,
              fmt::format("{}: its input is fixed at {}; leave --size out{}", name, FixedSidesText(fixed),
                          fixed.first > 0 && fixed.second > 0 ? "" : ", or keep to it"));
}

Tensor StreetInput(const InputSpec& input, int height, int width) {
  // Scenes have sizes of their own; networks may see smaller pictures.
  const Sample scene = DrawScene(
      kSynthTestSeed, {.height = std::clamp(height, 32, 8192), .width = std::clamp(width, 32, 8192)});
  Tensor image = Tensor::Uninitialized(DType::kFloat32, {1, 3, height, width});
  Preprocess(scene.image.view(), input, {height, width, height, width}, image.data<float>());
  return image;
}

Model RandomModel(const RandomNet& net) {
  const bool cityscapes = net.classes == "cityscapes";
  Model model;
  model.info.net = net.name;
  model.info.classes = cityscapes ? CityscapesClasses() : CamVidClasses();
  const Json given = ParseNetOptions(net.name, net.options);
  if (given.contains("classes") && given["classes"] != model.info.classes.count()) {
    throw Error(
        ErrorCode::kUsage,
        fmt::format("--net-options classes={}: {} has {} classes, and names are wanted for them; leave "
                    "it out",
                    given["classes"].dump(), net.classes, model.info.classes.count()));
  }
  model.info.net_options = CompleteOptions(net.name, given);
  model.info.net_options["classes"] = model.info.classes.count();
  model.graph = BuildNet(net.name, model.info.net_options).ForInference();
  std::tie(model.info.input.height, model.info.input.width) =
      cityscapes ? std::pair(512, 1024) : std::pair(360, 480);
  InitializeWeights(model.graph, net.seed);
  CalibrateBatchNorm(model.graph, StreetInput(model.info.input, 256, 320));
  return model;
}

Model LoadForeign(const std::string& name) {
  if (NamesRun(name)) return LoadRun(name, false, false);
  Model model = ReadOnnx(FindModel(name, NetNames()), {.require_stamp = false});
  if (model.stamped) return model;
  // Who exported it knows classes and pre-processing; for times any will do.
  const Graph graph = model.graph.ForInference();
  const Shape& image = graph.inputs.empty() ? Shape{} : graph.inputs[0].shape;
  if (image.size() != 4)
    throw Error(ErrorCode::kUnsupported, fmt::format("{}: an image input of 1x3xHxW is wanted", name));
  const auto [height, width] = WithFixedSides({256, 256}, FixedSides(graph));
  const TensorType output = InferShapes(graph, height, width).at(MainOutput(graph).name);
  const bool scores = output.dtype == DType::kFloat32 && output.shape.size() == 4;
  const int classes =
      scores ? static_cast<int>(std::min<std::int64_t>(output.shape[1], kMaxClasses)) : kMaxClasses;
  for (int id = 0; id < classes; ++id) model.info.classes.names.push_back(fmt::format("class {}", id));
  model.info.classes.palette = DefaultPalette(classes);
  if (!scores) model.info.output = "labels";
  return model;
}

Graph GraphAsDefined(const Model& model) {
  if (model.info.net.empty() || !IsNet(model.info.net)) return model.graph;
  Json options = model.info.net_options;
  options["classes"] = model.info.classes.count();
  return BuildNet(model.info.net, options);
}

}  // namespace frf::cli
