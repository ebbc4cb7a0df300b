// SPDX-License-Identifier: Apache-2.0
// The FRFNet family (Tan et al. 2021, "Feature Reuse and Fusion for Real-time Semantic Segmentation"):
// frfnet, frfnet-slim and both with DANet's attention, with every option that the paper's text leaves open.
// Subtle: no ReLU stands before a sigmoid (`gates=linear`): the paper calls the maps that enter FFM and SFM
// probability maps, and after a ReLU a sigmoid would lie in [0.5, 1), so that gates and masks would idle.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "nets/blocks.h"
#include "nets/definition.h"

namespace frf {
namespace {

struct StageSpec {
  int width, out;
};
using Stages = std::array<StageSpec, 4>;

struct Spec {
  std::string name;
  int classes = 19;
  bool slim = false, danet = false;
  std::string backbone, dam, gates, ffm, sfm, head;
  double width = 1.0;
  bool attention = true;  // MSC, or DANet's, on the maps at 1/16 and 1/32
  float threshold = 0.4f;
  float dropout = 0.0f;
  bool aux = false;

  int layers() const { return slim ? 3 : 4; }
  // Channels where the published size has `channels` (a multiple of 16, as vector registers hold them).
  int Wide(int channels) const {
    return std::max(16, 16 * static_cast<int>(std::lround(width * channels / 16)));
  }
  // Widths that give the published sizes (4.02 M, 16.01 G and 11.38 G at 512x1024), times `width`.
  Stages stages() const {
    Stages published{{{48, 96}, {80, 192}, {112, 320}, {144, 448}}};
    if (slim) {
      published = {{{48, 80}, {64, 160}, {96, 256}, {144, 384}}};
    } else if (dam == "res2net") {
      published = {{{64, 96}, {96, 192}, {128, 320}, {192, 384}}};
    } else if (head == "none") {
      published = {{{64, 128}, {64, 160}, {128, 352}, {128, 448}}};
    }
    for (StageSpec& stage : published) stage = {Wide(stage.width), Wide(stage.out)};
    return published;
  }
};

// A layer whose map enters a sigmoid.
Value ConvGate(Builder& g, const Value& x, const ConvSpec& conv, const Spec& spec) {
  return spec.gates == "relu" ? ConvBnRelu(g, x, conv) : ConvBn(g, x, conv);
}

constexpr int kDecoderWidth = 128, kHeadWidth = 64;
constexpr double kLeastWidth = 0.25, kMostWidth = 4.0;
constexpr PoolSpec kHalving{.kernel = 3, .stride = 2, .pad = 1};

Value Stem(Builder& g, const Value& image, const Spec& spec) {
  const auto scope = g.Scope("stem");
  const Value x = ConvBnRelu(g, image, {.name = "conv1", .out = spec.Wide(32), .kernel = 3, .stride = 2});
  Value left = x;
  if (!spec.slim) left = ConvBnRelu(g, left, {.name = "left1", .out = spec.Wide(16)});
  left = ConvBnRelu(g, left, {.name = "left2", .out = spec.Wide(32), .kernel = 3, .stride = 2});
  const Value y = g.Concat({left, g.MaxPool(x, kHalving)});
  return spec.slim ? y : ConvBnRelu(g, y, {.name = "conv2", .out = spec.Wide(64), .kernel = 3});
}

// A layer of `dam=res2net`: two halves, the second sees the first's result.
Value SplitLayer(Builder& g, const Value& x, const std::string& name) {
  const int half = x.channels / 2;
  const std::vector<Value> parts = g.Split(x, {half, x.channels - half});
  const Value first = ConvBnRelu(g, parts[0], {.name = name + "a", .out = half, .kernel = 3});
  const Value second =
      ConvBnRelu(g, g.Add(parts[1], first), {.name = name + "b", .out = x.channels - half, .kernel = 3});
  return g.Concat({first, second});
}

// Dense aggregation module: 3x3 convolutions, each reusing the one before by an addition, aggregated once.
Value Dam(Builder& g, const Value& x, const StageSpec& stage, const Spec& spec) {
  const auto scope = g.Scope("dam");
  std::vector<Value> features{x};
  for (int i = 1; i <= spec.layers(); ++i) {
    const std::string name = fmt::format("conv{}", i);
    Value f;
    if (i > 1 && spec.dam == "res2net") {
      f = SplitLayer(g, features.back(), name);
    } else {
      f = ConvBnRelu(g, features.back(), {.name = name, .out = stage.width, .kernel = 3});
      if (i > 1 && spec.dam == "add") f = g.Add(f, features.back());
    }
    features.push_back(f);
  }
  return ConvBnRelu(g, g.Concat(features), {.name = "aggregate", .out = stage.out});
}

// Halves the size, keeps the channels: pooled and strided halves side by side.
Value Transition(Builder& g, const Value& x) {
  const auto scope = g.Scope("transition");
  const int half = x.channels / 2;
  const Value pooled = ConvBnRelu(g, g.MaxPool(x, kHalving), {.name = "pooled", .out = half});
  return g.Concat(
      {pooled, ConvBnRelu(g, x, {.name = "strided", .out = x.channels - half, .kernel = 3, .stride = 2})});
}

std::vector<Value> FrfBackbone(Builder& g, const Value& image, const Spec& spec) {
  Value x = Stem(g, image, spec);
  std::vector<Value> maps;
  for (int i = 0; i < 4; ++i) {
    const auto scope = g.Scope(fmt::format("stage{}", i + 1));
    if (i > 0) x = Transition(g, x);
    x = Dam(g, x, spec.stages()[i], spec);
    maps.push_back(x);
  }
  return maps;
}

// ResNet-18 (He et al. 2015) without its classifier: the paper's own comparison.
std::vector<Value> ResNet18(Builder& g, const Value& image, const Spec& spec) {
  Value x;
  {
    const auto scope = g.Scope("stem");
    x = g.MaxPool(ConvBnRelu(g, image, {.name = "conv1", .out = spec.Wide(64), .kernel = 7, .stride = 2}),
                  kHalving);
  }
  std::vector<Value> maps;
  for (int i = 0; i < 4; ++i) {
    const auto stage = g.Scope(fmt::format("stage{}", i + 1));
    const int out = spec.Wide(64 << i);
    for (int j = 0; j < 2; ++j) {
      const auto block = g.Scope(fmt::format("block{}", j + 1));
      const int stride = i > 0 && j == 0 ? 2 : 1;
      Value y = ConvBnRelu(g, x, {.name = "conv1", .out = out, .kernel = 3, .stride = stride});
      y = ConvBn(g, y, {.name = "conv2", .out = out, .kernel = 3});
      if (stride > 1) x = ConvBn(g, x, {.name = "shortcut", .out = out, .stride = stride});
      x = g.Relu(g.Add(y, x));
    }
    maps.push_back(x);
  }
  return maps;
}

// Multi-spectral channel attention: one third of the channels is described by its mean, two thirds by DCT
// terms (eight frequencies each, the "top" list of FcaNet).
Value Msc(Builder& g, const Value& x) {
  static constexpr std::array<std::array<int, 2>, 16> kTop{{{0, 1},
                                                            {6, 0},
                                                            {0, 5},
                                                            {0, 2},
                                                            {1, 0},
                                                            {1, 2},
                                                            {4, 0},
                                                            {5, 0},
                                                            {1, 6},
                                                            {3, 0},
                                                            {0, 4},
                                                            {0, 6},
                                                            {0, 3},
                                                            {3, 5},
                                                            {2, 2},
                                                            {4, 6}}};
  const int part = x.channels / 3;
  std::vector<std::int64_t> frequencies{0, 0}, channels{x.channels - 2 * part};
  for (int pair = 0; pair < 16; ++pair) {
    int count = 0;  // channel k of a part uses pair floor(8k / part)
    for (int k = 0; k < part; ++k) count += 8 * k / part == pair % 8;
    frequencies.insert(frequencies.end(), {kTop[pair][0], kTop[pair][1]});
    channels.push_back(count);
  }
  const Value descriptor = g.SpectralPool(x, frequencies, channels, 7.0f);
  const Value hidden = g.Relu(g.Conv(descriptor, {.name = "reduce", .out = x.channels / 16}));
  return g.Mul(x, g.Sigmoid(g.Conv(hidden, {.name = "expand", .out = x.channels})));
}

// DANet (Fu et al. 2019): position and channel attention, summed. Both start as the identity (gamma 0).
Value DanetAttention(Builder& g, const Value& x) {
  const int c = x.channels, narrow = c / 8;
  const auto flat = [&](const Value& v) { return g.Reshape(v, {0, v.channels, -1}, v.channels); };
  Value position, channel;
  {
    const auto scope = g.Scope("position");
    const Value query =
        g.Transpose(flat(g.Conv(x, {.name = "query", .out = narrow, .bias = true})), {0, 2, 1}, 0);
    const Value key = flat(g.Conv(x, {.name = "key", .out = narrow, .bias = true}));
    const Value value = flat(g.Conv(x, {.name = "value", .out = c, .bias = true}));
    const Value attention = g.Softmax(g.MatMul(query, key, 0), -1);  // [N, pixel, pixel], rows sum to 1
    const Value mixed = g.ReshapeLike(g.MatMul(value, g.Transpose(attention, {0, 2, 1}, 0), c), x);
    position = g.Add(g.Mul(g.Parameter("gamma", {1}, Init::kZeros, 1), mixed), x);
  }
  {
    const auto scope = g.Scope("channel");
    const Value rows = flat(x);
    const Value energy = g.MatMul(rows, g.Transpose(rows, {0, 2, 1}, 0), c);  // [N, channel, channel]
    const Value attention = g.Softmax(g.Sub(g.ReduceMax(energy, 2), energy), -1);
    const Value mixed = g.ReshapeLike(g.MatMul(attention, rows, c), x);
    channel = g.Add(g.Mul(g.Parameter("gamma", {1}, Init::kZeros, 1), mixed), x);
  }
  return g.Add(position, channel);
}

Value Attention(Builder& g, const Value& x, int stage, const Spec& spec) {
  if (!spec.attention) return x;
  const auto scope = g.Scope(fmt::format("{}{}", spec.danet ? "danet" : "msc", stage));
  return spec.danet ? DanetAttention(g, x) : Msc(g, x);
}

// Fusion of detail y and context o: where one is more certain than the other by the threshold, it counts
// twice.
Value Ffm(Builder& g, Value y, Value o, const Spec& spec) {
  if (spec.ffm == "sum") return g.Add(o, y);
  const auto scope = g.Scope("ffm");
  if (spec.ffm == "full" && spec.threshold > 0.0f) {
    const Value diff = g.Named(g.Sub(g.Sigmoid(o), g.Sigmoid(y)), "diff");
    const Value threshold = g.Constant("threshold", Tensor::Scalar(spec.threshold));
    const Value one = g.Constant("one", Tensor::Scalar(1.0f));
    // Ceil(diff - threshold), clipped, is exactly diff > threshold.
    const Value t1 = g.Named(g.Clip(g.Ceil(g.Sub(diff, threshold)), 0.0f, 1.0f), "t1");
    const Value t2 = g.Named(g.Clip(g.Ceil(g.Sub(g.Neg(diff), threshold)), 0.0f, 1.0f), "t2");
    o = g.Mul(o, g.Add(t1, one));
    y = g.Mul(y, g.Add(t2, one));
  }
  const Value fused =
      ConvBnRelu(g, g.Add(o, y), {.name = "conv1", .out = spec.Wide(kDecoderWidth), .kernel = 3});
  return ConvGate(g, fused, {.name = "conv2", .out = spec.Wide(kDecoderWidth)}, spec);
}

Value Sfm(Builder& g, const Value& detail, const Value& o, const Spec& spec) {
  const auto scope = g.Scope("sfm");
  if (spec.sfm == "sum") return g.Add(o, detail);
  if (spec.sfm == "o+sigmoid(l1)") return g.Add(o, g.Sigmoid(detail));
  return g.Add(o, g.Mul(detail, g.Sigmoid(o)));
}

Value Decoder(Builder& g, const std::vector<Value>& maps, const Spec& spec) {
  const auto scope = g.Scope("decoder");
  const auto lateral = [&](int stage) {
    return ConvSpec{.name = fmt::format("lateral{}", stage), .out = spec.Wide(kDecoderWidth)};
  };
  const auto up = [&](const Value& x, const Value& ref, const std::string& name) {
    return g.Named(g.ResizeLike(x, ref), name);
  };
  const Value l4 = Attention(g, ConvBnRelu(g, maps[3], lateral(4)), 4, spec);
  const Value y4 = ConvBnRelu(g, l4, {.name = "conv4", .out = spec.Wide(kDecoderWidth), .kernel = 3});
  const Value l3 = Attention(g, ConvBnRelu(g, maps[2], lateral(3)), 3, spec);
  const Value sum = g.Add(l3, up(y4, l3, "up4"));
  const Value y3 = ConvGate(g, sum, {.name = "conv3", .out = spec.Wide(kDecoderWidth), .kernel = 3}, spec);
  const Value l2 = ConvGate(g, maps[1], lateral(2), spec);
  const Value y2 = Ffm(g, l2, up(y3, l2, "up3"), spec);
  const Value l1 = ConvGate(g, maps[0], lateral(1), spec);
  return Sfm(g, l1, up(y2, l1, "up2"), spec);
}

Value Classifier(Builder& g, Value x, const Value& image, const Spec& spec) {
  if (spec.dropout > 0.0f) x = g.DropChannels(x, spec.dropout);
  x = g.Conv(x, {.name = "classifier", .out = spec.classes, .bias = true, .classifier = true});
  return g.Named(g.ResizeLike(x, image), "upsample");
}

Graph Build(const Spec& spec) {
  Builder g(spec.name);
  const Value image = g.Input("image", 3);
  const std::vector<Value> maps =
      spec.backbone == "resnet18" ? ResNet18(g, image, spec) : FrfBackbone(g, image, spec);
  Value y = Decoder(g, maps, spec);
  if (spec.head == "none") {
    y = g.Relu(y);
  } else {
    const auto scope = g.Scope("head");
    y = ConvBnRelu(g, y, {.name = "conv", .out = spec.Wide(kHeadWidth), .kernel = 3});
  }
  g.Output(Classifier(g, y, image, spec), "scores", OutputRole::kScores);
  for (const int stage : {2, 3}) {
    if (!spec.aux) break;
    const std::string name = fmt::format("aux{}", 2 << stage);  // aux8, aux16
    const auto scope = g.Scope(name + "_head");
    const Value hidden =
        ConvBnRelu(g, maps[stage - 1], {.name = "conv", .out = spec.Wide(kHeadWidth), .kernel = 3});
    g.Output(Classifier(g, hidden, image, spec), name, OutputRole::kAuxiliary);
  }
  return std::move(g).Build();
}

Spec SpecOf(const std::string& name, bool slim, bool danet, const Json& options) {
  Spec spec{.name = name, .slim = slim, .danet = danet};
  spec.classes = options["classes"].get<int>();
  spec.backbone = options["backbone"];
  spec.dam = options["dam"];
  spec.gates = options["gates"];
  spec.attention = options["msc"].get<bool>();
  spec.ffm = options["ffm"];
  spec.sfm = options["sfm"];
  spec.head = options["head"];
  const Json& threshold = options["ffm.threshold"];
  spec.threshold = threshold.is_number() ? threshold.get<float>() : 0.0f;
  spec.width = options["width"].get<double>();
  spec.dropout = options["dropout"].get<float>();
  spec.aux = options["aux"].get<bool>();
  return spec;
}

// Options that another one leaves without effect would give a network that is not what was asked for.
void RefuseUnused(const Json& completed) {
  const auto refuse = [](const std::string& message) { throw Error(ErrorCode::kUsage, message); };
  if (completed["backbone"] == "resnet18" && completed["dam"] != "add") {
    refuse(fmt::format("dam={} is of frfnet's own stages, backbone=resnet18 has none; leave one out",
                       completed["dam"].get<std::string>()));
  }
  if (completed["ffm"] != "full" && completed["ffm.threshold"] != Json(0.4)) {
    refuse(fmt::format("ffm.threshold={} is of FFM's masks, which ffm={} goes without; leave one out",
                       completed["ffm.threshold"].dump(), completed["ffm"].get<std::string>()));
  }
}

// The rows of the paper's Table 3, and ours between them: what each sets.
void ResolveAblation(const Json& given, Json& completed) {
  const std::string row = completed["ablation"];
  if (row == "full") return;
  const bool msc = row != "baseline";
  const std::string ffm = row == "baseline" || row == "msc" ? "sum"
                          : row == "ffm-masks-off"          ? "masks-off"
                                                            : "full";
  for (const auto& [key, value] : {std::pair<std::string, Json>{"msc", msc}, {"ffm", ffm}, {"sfm", "sum"}}) {
    if (given.contains(key) && given[key] != value) {
      throw Error(ErrorCode::kUsage, fmt::format("ablation={} sets {}={}, but {}={} is given; leave one out",
                                                 row, key, value.dump(), key, given[key].dump()));
    }
    completed[key] = value;
  }
}

void Resolve(const Json& given, Json& completed) {
  const double dropout = completed["dropout"].get<double>();
  if (!(dropout >= 0.0 && dropout < 1.0)) {
    throw Error(ErrorCode::kUsage, fmt::format("option dropout wants a share in [0, 1), got {}", dropout));
  }
  const double width = completed["width"].get<double>();
  if (!(width >= kLeastWidth && width <= kMostWidth)) {
    throw Error(ErrorCode::kUsage,
                fmt::format("option width wants {} to {}, got {}", kLeastWidth, kMostWidth, width));
  }
  ResolveAblation(given, completed);
  RefuseUnused(completed);
}

std::vector<NetOption> Options(bool slim) {
  const NetOption backbone =
      slim ? NetOption{"backbone", "frf; ResNet-18 belongs to frfnet", "frf", {"frf"}}
           : NetOption{"backbone", "frf, or ResNet-18 (the paper's comparison)", "frf", {"frf", "resnet18"}};
  return {
      backbone,
      {"dam",
       "reuse inside a stage: addition, none (VoVNet's OSA), or Res2Net's split",
       "add",
       {"add", "osa", "res2net"}},
      {"gates",
       "linear: no ReLU on maps that enter a sigmoid; relu: ReLU there too",
       "linear",
       {"linear", "relu"}},
      {"msc", "channel attention at 1/16 and 1/32 (DANet's in the -danet networks)", true, {}},
      {"ffm",
       "fusion at 1/8: full, its convolutions with masks off, or a plain sum",
       "full",
       {"full", "masks-off", "sum"}},
      {"ffm.threshold", "of FFM's masks; none: no masks", 0.4, {0.2, 0.3, 0.4, 0.5, "none"}},
      {"sfm",
       "fusion at 1/4 of context o and detail l1",
       "o+l1*sigmoid(o)",
       {"o+l1*sigmoid(o)", "o+sigmoid(l1)", "sum"}},
      {"head",
       "3x3 convolution before the classifier, or none (frfnet: wider stages at 1/4 instead)",
       "conv",
       {"conv", "none"}},
      {"ablation",
       "rows of Table 3; sets msc, ffm and sfm: baseline, +MSC, +FFM's convolutions, +FFM, +SFM (full)",
       "full",
       {"baseline", "msc", "ffm-masks-off", "ffm", "full"}},
      {"width", "every layer's channels, times this (multiples of 16): 0.25 to 4", 1.0, {}},
      {"dropout", "share of channels dropped before each classifier, training only", 0.0, {}},
      {"aux", "auxiliary heads at 1/8 and 1/16, training only", false, {}},
  };
}

}  // namespace

std::vector<NetDefinition> FrfNetDefinitions() {
  std::vector<NetDefinition> definitions;
  const auto add = [&](const std::string& name, bool slim, bool danet, const std::string& summary) {
    definitions.push_back(
        {{name, summary, "Tan et al. 2021, Feature Reuse and Fusion for Real-time Semantic Segmentation",
          Options(slim)},
         [=](const Json& options) { return Build(SpecOf(name, slim, danet, options)); },
         Resolve});
  };
  add("frfnet", false, false,
      "dense aggregation, spectral attention, gated fusion; 4.0 M, 16.0 G at 512x1024");
  add("frfnet-slim", true, false, "three layers a stage, lighter stem; 2.8 M, 11.4 G at 512x1024");
  add("frfnet-danet", false, true, "frfnet with DANet's position and channel attention for MSC");
  add("frfnet-danet-slim", true, true, "frfnet-slim with DANet's attention for MSC");
  return definitions;
}

}  // namespace frf
