// SPDX-License-Identifier: Apache-2.0
// The Builder's calls without parameters: moving, pooling, resizing. (Layers with weights are in
// builder.cpp.) Subtle: sizes are never written down. What needs one takes it from another value (ResizeLike,
// CropLike, ReshapeLike).
#include <fmt/format.h>

#include "graph/builder.h"

namespace frf {
namespace {

using Ints = std::vector<std::int64_t>;

std::map<std::string, Attribute> PoolAttributes(const PoolSpec& spec) {
  return {{"kernel_shape", Ints{spec.kernel, spec.kernel}},
          {"strides", Ints{spec.stride, spec.stride}},
          {"pads", Ints{spec.pad, spec.pad, spec.pad, spec.pad}},
          {"ceil_mode", std::int64_t{spec.ceil_mode ? 1 : 0}}};
}

}  // namespace

Value Builder::AddInts(const std::string& name, const Ints& values) {
  const std::string fresh = FreshName(name);
  graph_.initializers.push_back({fresh, Role::kConstant, Init::kGiven,
                                 Tensor::Of<std::int64_t>({static_cast<std::int64_t>(values.size())}, values),
                                 false});
  return {fresh, 0};
}

Value Builder::Concat(const std::vector<Value>& parts) {
  if (parts.empty()) Fail("a concatenation needs parts");
  int channels = 0;
  for (const Value& part : parts) channels += part.channels;
  return Op("Concat", parts, channels, {{"axis", std::int64_t{1}}});
}

std::vector<Value> Builder::Split(const Value& x, const std::vector<int>& channels) {
  int sum = 0;
  for (const int part : channels) {
    if (part < 1) Fail(fmt::format("a split of '{}' into a part of {} channels", x.name, part));
    sum += part;
  }
  if (channels.empty() || sum != x.channels) {
    Fail(fmt::format("a split of '{}' wants parts that sum to {} channels, got {}", x.name, x.channels, sum));
  }
  const std::string name = FreshName("split");
  const Value sizes = AddInts("split.sizes", Ints(channels.begin(), channels.end()));
  Emit(name, "Split", {x, sizes}, 0, {{"axis", std::int64_t{1}}}, "");
  std::vector<Value> parts;
  std::vector<std::string>& outputs = graph_.nodes.back().outputs;
  outputs.clear();
  for (std::size_t i = 0; i < channels.size(); ++i) {
    parts.push_back({fmt::format("{}.{}", name, i), channels[i]});
    if (!used_.emplace(parts.back().name, 1).second)
      Fail(fmt::format("'{}' is named twice", parts.back().name));
    outputs.push_back(parts.back().name);
  }
  return parts;
}

Value Builder::MaxPool(const Value& x, const PoolSpec& spec) {
  return Op("MaxPool", {x}, x.channels, PoolAttributes(spec));
}

std::pair<Value, Value> Builder::MaxPoolWithIndices(const Value& x, const PoolSpec& spec) {
  const Value y = MaxPool(x, spec);
  const Value indices{y.name + ".indices", x.channels};
  if (!used_.emplace(indices.name, 1).second) Fail(fmt::format("'{}' is named twice", indices.name));
  graph_.nodes.back().outputs.push_back(indices.name);
  return {y, indices};
}

Value Builder::AveragePool(const Value& x, const PoolSpec& spec) {
  auto attributes = PoolAttributes(spec);
  attributes["count_include_pad"] = std::int64_t{spec.count_include_pad ? 1 : 0};
  return Op("AveragePool", {x}, x.channels, std::move(attributes));
}

Value Builder::GlobalAveragePool(const Value& x) { return Op("GlobalAveragePool", {x}, x.channels); }

Value Builder::Reshape(const Value& x, const std::vector<std::int64_t>& shape, int channels) {
  const Value sizes = AddInts("reshape.shape", shape);
  return Op("Reshape", {x, sizes}, channels);
}

Value Builder::ReshapeLike(const Value& x, const Value& ref) {
  const Value shape = Op("Shape", {ref}, 0);
  return Op("Reshape", {x, shape}, ref.channels);
}

Value Builder::Transpose(const Value& x, const std::vector<std::int64_t>& permutation, int channels) {
  return Op("Transpose", {x}, channels, {{"perm", permutation}});
}

Value Builder::ReduceMax(const Value& x, int axis) {
  return Op("ReduceMax", {x}, axis == 1 ? 1 : x.channels,
            {{"axes", Ints{axis}}, {"keepdims", std::int64_t{1}}});
}

Value Builder::AdaptiveAveragePool(const Value& x, int height, int width) {
  if (height < 1 || width < 1) Fail(fmt::format("an adaptive pool to {}x{}", height, width));
  return Op("AdaptiveAveragePool", {x}, x.channels, {{"out", Ints{height, width}}}, std::string(kFrfDomain));
}

Value Builder::ResizeLike(const Value& x, const Value& ref, const std::string& mode,
                          const std::string& coordinates) {
  return Op("ResizeLike", {x, ref}, x.channels, {{"mode", mode}, {"coordinates", coordinates}},
            std::string(kFrfDomain));
}

Value Builder::Unpool(const Value& x, const Value& indices, const Value& ref) {
  return Op("Unpool", {x, indices, ref}, x.channels, {}, std::string(kFrfDomain));
}

Value Builder::SpectralPool(const Value& x, const std::vector<std::int64_t>& frequencies,
                            const std::vector<std::int64_t>& channels, float scale) {
  std::int64_t sum = 0;
  for (const std::int64_t count : channels) sum += count;
  if (frequencies.size() != 2 * channels.size() || sum != x.channels) {
    Fail(fmt::format("spectral pool of '{}': {} frequencies for {} groups of {} channels in sum, of {}",
                     x.name, frequencies.size() / 2, channels.size(), sum, x.channels));
  }
  return Op("SpectralPool", {x}, x.channels,
            {{"frequencies", frequencies}, {"channels", channels}, {"scale", scale}},
            std::string(kFrfDomain));
}

Value Builder::DropChannels(const Value& x, float p) {
  if (!(p >= 0.0f && p < 1.0f)) Fail(fmt::format("dropout of {} is outside [0, 1)", p));
  return Op("DropChannels", {x}, x.channels, {{"p", p}}, std::string(kFrfDomain));
}

Value Builder::Elu(const Value& x, float alpha) { return Op("Elu", {x}, x.channels, {{"alpha", alpha}}); }

Value Builder::LeakyRelu(const Value& x, float slope) {
  return Op("LeakyRelu", {x}, x.channels, {{"alpha", slope}});
}

Value Builder::HardSigmoid(const Value& x) {
  return Op("HardSigmoid", {x}, x.channels, {{"alpha", 1.0f / 6.0f}, {"beta", 0.5f}});
}

Value Builder::HardSwish(const Value& x) { return Op("HardSwish", {x}, x.channels); }

Value Builder::PadChannels(const Value& x, int extra) {
  if (extra < 1) Fail(fmt::format("a pad of '{}' by {} channels", x.name, extra));
  return Op("Pad", {x, AddInts("pad.sizes", {0, 0, 0, 0, 0, extra, 0, 0})}, x.channels + extra,
            {{"mode", std::string("constant")}});
}

Value Builder::ShuffleChannels(const Value& x, int groups) {
  if (groups < 1 || x.channels % groups != 0) {
    Fail(fmt::format("a shuffle of '{}': {} groups do not divide {} channels", x.name, groups, x.channels));
  }
  // Height and width are merged, since a Reshape can leave one size open only; the shape of x restores them.
  const Value split = Reshape(x, {0, groups, x.channels / groups, -1}, x.channels);
  return ReshapeLike(Transpose(split, {0, 2, 1, 3}, x.channels), x);
}

Value Builder::CropLike(const Value& x, const Value& ref, int top, int left) {
  if (top < 0 || left < 0) Fail(fmt::format("a crop of '{}' from {}, {}", x.name, top, left));
  const Value offset = AddInts("crop.offset", {top, left});
  const Value shape = Op("Shape", {ref}, 0);
  const Value size = Op("Slice", {shape, AddInts("crop.from", {2}), AddInts("crop.to", {4})}, 0);
  const Value end = Op("Add", {size, offset}, 0);
  return Op("Slice", {x, offset, end, AddInts("crop.axes", {2, 3})}, x.channels);
}

Value Builder::ResizeBy(const Value& x, float factor, const std::string& mode,
                        const std::string& coordinates) {
  if (!(factor > 0.0f && factor <= 64.0f)) Fail(fmt::format("a resize of '{}' by {}", x.name, factor));
  const std::string scales = FreshName("resize.scales");
  graph_.initializers.push_back(
      {scales, Role::kConstant, Init::kGiven, Tensor::Of<float>({4}, {1.0f, 1.0f, factor, factor}), false});
  return Op("Resize", {x, {"", 0}, {scales, 0}}, x.channels,
            {{"mode", mode}, {"coordinate_transformation_mode", coordinates}});
}

}  // namespace frf
