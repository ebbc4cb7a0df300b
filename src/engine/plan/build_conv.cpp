// SPDX-License-Identifier: Apache-2.0
// Convolutions: which kernel, how its weights are packed, and the step.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "engine/plan/step_builder.h"
#include "frf/error.h"

namespace frf::engine {

using kernels::Epilogue;
using kernels::Map;
using kernels::PaddedChannels;

namespace {

constexpr std::size_t kL2Bytes = 1 << 20;

bool FitsWinograd(const ConvOp& op) {
  return op.weight.dim(2) == 3 && op.weight.dim(3) == 3 && op.stride_h == op.stride_w && op.groups == 1 && op.phase_h == 1 && op.phase_w == 1 &&
         (op.stride_h == 1 || (op.stride_h == 2 && op.dilation_h == 1 && op.dilation_w == 1));
}

// Kernel, strides, dilations and padding, of whichever kernel's parameters.
template <typename Conv>
void TakeGeometry(const ConvOp& op, Conv& conv) {
  conv.kernel_h = static_cast<int>(op.weight.dim(2)), conv.kernel_w = static_cast<int>(op.weight.dim(3));
  conv.stride_h = op.stride_h, conv.stride_w = op.stride_w;
  conv.dilation_h = op.dilation_h, conv.dilation_w = op.dilation_w;
  conv.pad_top = op.pad_top, conv.pad_left = op.pad_left;
}

// Of a convolution on the picture with its border laid around it: a kernel row is one tap (see Build of PictureOp).
template <typename Conv>
void TakeBorderedPicture(const ConvOp& op, const Value& src, const Value& dst, Conv& conv) {
  const int width = std::max(src.width + std::max(0, op.pad_left), (dst.width - 1) * op.stride_w + conv.kernel_w);
  conv.src.pixel = 3, conv.src.row = static_cast<std::ptrdiff_t>(width) * 3;
  conv.src.height = std::max(src.height + std::max(0, op.pad_top), (dst.height - 1) * op.stride_h + (conv.kernel_h - 1) * op.dilation_h + 1);
  conv.src.width = width;
  conv.pad_top = conv.pad_left = 0;
  conv.kernel_w = 1;
}

// The size of a map that is nowhere in memory: only the program behind the convolution sees it.
Map Nowhere(const Value& value) {
  return {nullptr, value.height, value.width, value.padded(), value.padded(), static_cast<std::ptrdiff_t>(value.width) * value.padded()};
}

// Work of Winograd with that tile, in multiply-accumulates: the products, and what the transforms take in the same time
// (measured on AVX-512 machines, docs/performance.md). Edges that fill no tile count in full.
double WinogradWork(const ConvOp& op, const Value& dst, int depth, int out, int tile) {
  // A dilated convolution is one for every phase of rows and columns.
  const int height = (dst.height + op.dilation_h - 1) / op.dilation_h, width = (dst.width + op.dilation_w - 1) / op.dilation_w;
  const double tiles = static_cast<double>((height + tile - 1) / tile) * ((width + tile - 1) / tile) * op.dilation_h * op.dilation_w;
  const double along = op.stride_h == 2 ? 2.0 * tile + 1 : tile + 2.0;
  const double transform = op.stride_h == 2 ? (tile == 2 ? 350 : 1100) : tile == 4 ? 320 : 640;
  return tiles * (along * along * depth * out + transform * (depth + out));
}

// With stride 2, tiles of 4 take 81 matrices of weights: above this, memory that is better left to others (and that would
// have to stream by).
constexpr double kMostStridedFloats = 1e6;

}  // namespace

ConvChoice StepBuilder::ChoiceOf(const std::string& name, const ConvOp& op) const {
  const Value& src = lowered_.values[op.src];
  if (!FitsWinograd(op) || op.src == lowered_.picture) return ConvChoice::kDirect;
  const auto chosen = plan_.options_.choices.find(name);
  const int depth = src.padded(), out = PaddedChannels(static_cast<int>(op.weight.dim(0)));
  const bool strided = op.stride_h == 2, large = strided && 81.0 * depth * out > kMostStridedFloats;
  if (chosen != plan_.options_.choices.end() && chosen->second != ConvChoice::kAuto) {
    const ConvChoice choice = chosen->second;
    const bool small_tiles = choice == ConvChoice::kWinograd6 || (large && choice == ConvChoice::kWinograd4);
    return strided && small_tiles ? ConvChoice::kWinograd2 : choice;
  }
  const Value& dst = lowered_.values[op.dst];
  const double direct = 9.0 * dst.height * dst.width * depth * out;
  const double four = WinogradWork(op, dst, depth, out, 4), other = WinogradWork(op, dst, depth, out, strided ? 2 : 6);
  if (direct <= std::min(large ? other : four, other)) return ConvChoice::kDirect;
  if (four <= other && !large) return ConvChoice::kWinograd4;
  return strided ? ConvChoice::kWinograd2 : ConvChoice::kWinograd6;
}

Tensor StepBuilder::SpreadOver(const Tensor& weight, const Value& src) const {
  if (src.parts.empty()) return weight;
  const std::int64_t out = weight.dim(0), in = weight.dim(1), taps = weight.dim(2) * weight.dim(3);
  Tensor spread = Tensor::Zeros(DType::kFloat32, {out, src.padded(), weight.dim(2), weight.dim(3)});
  for (std::int64_t o = 0; o < out; ++o) {
    std::int64_t from = 0, to = 0;
    for (const int part : src.parts) {
      std::copy_n(weight.data<float>() + (o * in + from) * taps, part * taps, spread.data<float>() + (o * src.padded() + to) * taps);
      from += part;
      to += PaddedChannels(part);
    }
  }
  return spread;
}

Tensor StepBuilder::SpreadIntegers(const Tensor& weight, const Value& src) const {
  return src.parts.empty() ? weight : SpreadOver(weight.Cast(DType::kFloat32), src).Cast(DType::kInt8);
}

Epilogue StepBuilder::EpilogueOf(const ConvOp& op) {
  Epilogue epilogue{.act = op.act, .alpha = op.alpha, .beta = op.beta, .add_first = op.add_first};
  epilogue.round = RoundingOf(op.dst);
  if (op.sum >= 0) epilogue.round_sum = RoundingOf(op.sum);
  if (op.bias.has_data()) {
    const std::int64_t out = op.weight.dim(0);
    std::vector<float> bias(PaddedChannels(static_cast<int>(out)), 0.0f);
    std::copy_n(op.bias.data<float>(), out, bias.begin());
    epilogue.bias = Keep(bias);
  }
  if (op.add >= 0) epilogue.add = MapOf(op.add);
  if (op.sum >= 0) epilogue.sum = MapOf(op.sum);
  return epilogue;
}

void StepBuilder::Build(const std::string& name, const ConvElementOp& op) {
  double ignored = 0;
  if (op.conv.integers && kernels_.has_dot()) return BuildByteConv(name, op.conv, ProgramOf(name, op.element, op.input, ignored), op.input);
  BuildDirect(name, op.conv, EpilogueOf(op.conv), 0, ProgramOf(name, op.element, op.input, ignored), op.input);
}

void StepBuilder::Build(const std::string& name, const ConvOp& op) {
  if (op.integers && kernels_.has_dot()) return BuildByteConv(name, op);
  const Epilogue epilogue = EpilogueOf(op);
  if (op.groups > 1 && op.weight.dim(1) == 1) return BuildDepthwise(name, op, epilogue);
  if (op.groups > 1) {  // each group is a convolution of its own between slices
    for (int group = 0; group < op.groups; ++group) BuildDirect(name, op, epilogue, group);
    return;
  }
  switch (ChoiceOf(name, op)) {
    case ConvChoice::kWinograd4:
      return BuildWinograd(name, op, epilogue, 4);
    case ConvChoice::kWinograd6:
      return BuildWinograd(name, op, epilogue, 6);
    case ConvChoice::kWinograd2:
      return BuildWinograd(name, op, epilogue, 2);
    default:
      return BuildDirect(name, op, epilogue);
  }
}

double StepBuilder::MacsOf(const ConvOp& op) const {
  const Value& dst = lowered_.values[op.dst];
  return static_cast<double>(dst.height) * dst.width / (op.phase_h * op.phase_w) * static_cast<double>(op.weight.size());
}

std::shared_ptr<kernels::DirectConv> StepBuilder::MakeDirect(const std::string& name, const ConvOp& op, const Epilogue& epilogue, int group,
                                                             std::shared_ptr<kernels::Program> after, int after_input) {
  const Value& src = lowered_.values[op.src];
  const auto out = static_cast<int>(op.weight.dim(0)) / op.groups, in = static_cast<int>(op.weight.dim(1));
  const auto kh = static_cast<int>(op.weight.dim(2)), kw = static_cast<int>(op.weight.dim(3));
  auto conv = std::make_shared<kernels::DirectConv>();
  conv->src = MapOf(op.src);
  conv->dst = after ? Nowhere(lowered_.values[op.dst]) : MapOf(op.dst);
  conv->after = after.get();
  conv->after_input = after_input;
  TakeGeometry(op, *conv);
  conv->epilogue = epilogue;
  int depth = src.padded();
  if (op.groups > 1) {
    depth = in;
    conv->src.data += group * in, conv->src.channels = in;
    Epilogue& e = conv->epilogue;
    for (Map* map : {&conv->dst, &e.add, &e.sum}) {
      if (map->data) map->data += group * out;
      map->channels = out;
    }
    if (e.bias) e.bias += group * out;
  }
  if (op.src == lowered_.picture && PictureIsBordered()) {
    depth = 3;
    TakeBorderedPicture(op, src, lowered_.values[op.dst], *conv);
  }
  const Tensor weight = SpreadOver(op.weight, src);
  const auto read = static_cast<int>(weight.dim(1));
  const std::int64_t first = static_cast<std::int64_t>(group) * out * read * kh * kw;
  conv->depth = depth * (conv->kernel_w == kw ? 1 : kw);
  conv->zeros = Zeros(conv->depth);
  const std::string key = fmt::format("{}/direct/{}/{}x{}/{}/{}", name, kernels_.isa, op.phase_y, op.phase_x, depth, group);
  const FloatBuffer packed = weights_.Get(key, kernels_.direct_packed_size(out, kh * kw, depth), [&](float* to) {
    kernels_.pack_direct(weight.data<float>() + first, out, read, kh, kw, depth, to);
  });
  conv->weights = {Keep(packed), PaddedChannels(out) / kernels::kBlock, conv->depth};
  if (op.phase_h > 1 || op.phase_w > 1) {  // every phase_h-th row, every phase_w-th column
    Map& dst = conv->dst;
    dst.data += op.phase_y * dst.row + op.phase_x * dst.pixel;
    dst.height = (dst.height - op.phase_y + op.phase_h - 1) / op.phase_h;
    dst.width = (dst.width - op.phase_x + op.phase_w - 1) / op.phase_w;
    dst.row *= op.phase_h;
    dst.pixel *= op.phase_w;
  }
  return conv;
}

void StepBuilder::BuildDirect(const std::string& name, const ConvOp& op, const Epilogue& epilogue, int group,
                              std::shared_ptr<kernels::Program> after, int after_input) {
  const Value& src = lowered_.values[op.src];
  const auto conv = MakeDirect(name, op, epilogue, group, after, after_input);
  kernels_.plan_direct(*conv, plan_.options_.threads, kL2Bytes);
  const auto kh = static_cast<int>(op.weight.dim(2)), kw = static_cast<int>(op.weight.dim(3));
  Step step{.name = name, .kernel = fmt::format("direct {}x{}{}", kh, kw, after ? "+elementwise" : ""), .items = conv->items};
  step.scratch = kernels_.direct_scratch(*conv);
  step.macs = MacsOf(op) / op.groups;
  const std::size_t weights = kernels_.direct_packed_size(static_cast<int>(op.weight.dim(0)) / op.groups,
                                                          static_cast<std::int64_t>(conv->kernel_h) * conv->kernel_w, conv->depth);
  step.bytes = 4.0 * (1.0 * src.height * src.width * src.padded() +
                      1.0 * conv->dst.height * conv->dst.width * conv->weights.out_blocks * kernels::kBlock + static_cast<double>(weights));
  step.run = [conv, after, k = &kernels_](std::int64_t item, float* scratch) { k->direct_conv(*conv, item, scratch); };
  Add(std::move(step));
}

// value = (sum of bytes * weights - zero * sum of weights) * source step * weight step + bias, in steps of the destination
// where that is bytes.
std::shared_ptr<kernels::ByteConv> StepBuilder::MakeByteConv(const std::string& name, const ConvOp& op, std::shared_ptr<kernels::Program> after,
                                                             int after_input, bool pack) {
  const Value &src = lowered_.values[op.src], &dst = lowered_.values[op.dst];
  const QuantizedWeight& integers = *op.integers;
  const auto out = static_cast<int>(op.weight.dim(0)), in = static_cast<int>(op.weight.dim(1));
  const auto kh = static_cast<int>(op.weight.dim(2)), kw = static_cast<int>(op.weight.dim(3));
  auto conv = std::make_shared<kernels::ByteConv>();
  conv->src = ByteMapOf(op.src);
  const bool bytes_out = !after && IsBytes(op.dst);
  if (bytes_out) {
    conv->dst = ByteMapOf(op.dst);
    conv->floats = {nullptr, dst.height, dst.width, dst.padded(), 0, 0};
  } else if (after) {
    conv->floats = Nowhere(dst);
  } else {
    conv->floats = MapOf(op.dst);
  }
  conv->after = after.get();
  conv->after_input = after_input;
  TakeGeometry(op, *conv);
  conv->depth = src.padded();
  int tap_w = 1;
  if (op.src == lowered_.picture && PictureIsBordered()) {
    tap_w = kw;
    TakeBorderedPicture(op, src, dst, *conv);
    conv->depth = (3 * kw + 3) / 4 * 4;
  }
  conv->zeros = ZeroPoints(src.coding->zero, conv->depth);
  if (pack) {
    const Tensor weight = SpreadIntegers(integers.values, src);
    const auto read = static_cast<int>(weight.dim(1));
    const std::size_t bytes = kernels_.bytes_packed_size(out, static_cast<std::int64_t>(conv->kernel_h) * conv->kernel_w, conv->depth);
    const std::string key = fmt::format("{}/bytes/{}/{}/{}", name, kernels_.isa, conv->depth, tap_w);
    const FloatBuffer packed = weights_.Get(key, (bytes + 3) / 4, [&](float* to) {
      kernels_.pack_bytes(weight.data<std::int8_t>(), out, read, kh, kw, tap_w, conv->depth, reinterpret_cast<std::int8_t*>(to));
    });
    conv->weights = reinterpret_cast<const std::int8_t*>(Keep(packed));
  }
  conv->out_blocks = PaddedChannels(out) / kernels::kBlock;
  std::vector<float> scale(PaddedChannels(out), 0.0f), offset(PaddedChannels(out), 0.0f);
  const double unit = bytes_out ? dst.coding->step : 1.0;
  const std::int64_t each = static_cast<std::int64_t>(in) * kh * kw;
  for (int o = 0; o < out; ++o) {
    const double step = static_cast<double>(src.coding->step) * integers.scales[integers.scales.size() > 1 ? o : 0];
    std::int64_t sum = 0;
    for (std::int64_t i = 0; i < each; ++i) sum += integers.values.data<std::int8_t>()[o * each + i];
    const double bias = op.bias.has_data() ? op.bias.data<float>()[o] : 0.0;
    scale[o] = static_cast<float>(step / unit);
    offset[o] = static_cast<float>((bias - src.coding->zero * static_cast<double>(sum) * step) / unit + (bytes_out ? dst.coding->zero : 0));
  }
  conv->scale = Keep(scale);
  conv->offset = Keep(offset);
  conv->act = op.act, conv->alpha = op.alpha, conv->beta = op.beta;
  if (bytes_out) {
    const auto byte_of = [&](float value) {
      return static_cast<int>(std::clamp(std::nearbyint(static_cast<double>(value) / unit) + dst.coding->zero, 0.0, 255.0));
    };
    conv->low = op.act == kernels::Act::kRelu ? byte_of(0) : op.act == kernels::Act::kClip ? byte_of(op.alpha) : 0;
    conv->high = op.act == kernels::Act::kClip ? byte_of(op.beta) : 255;
  }
  if (op.sum >= 0) conv->add = ByteMapOf(op.add), conv->sum = ByteMapOf(op.sum);
  return conv;
}

// 3x3 with stride 1, of sums that Winograd in whole numbers can hold, where it saves time: products of words take twice as
// long as products of bytes, and the transforms as long as so many of those.
bool StepBuilder::FitsByteWinograd(const std::string& name, const ConvOp& op) const {
  if (!op.integers || !kernels_.has_dot() || !FitsWinograd(op) || op.stride_h != 1 || op.src == lowered_.picture) return false;
  const Tensor& weight = op.integers->values;
  const auto out = static_cast<int>(weight.dim(0));
  const std::int64_t each = weight.dim(1) * 9;
  for (int o = 0; o < out; ++o) {
    std::int64_t above = 0, below = 0;
    for (std::int64_t i = 0; i < each; ++i) {
      const int value = weight.data<std::int8_t>()[o * each + i];
      (value > 0 ? above : below) += value;
    }
    if (255 * std::max(above, -below) > kernels::kMostByteWinogradSum) return false;
  }
  const auto chosen = plan_.options_.choices.find(name);
  if (chosen != plan_.options_.choices.end() && chosen->second != ConvChoice::kAuto) return chosen->second != ConvChoice::kDirect;
  const Value &src = lowered_.values[op.src], &dst = lowered_.values[op.dst];
  const int depth = src.padded(), padded = PaddedChannels(out);
  const int height = (dst.height + op.dilation_h - 1) / op.dilation_h, width = (dst.width + op.dilation_w - 1) / op.dilation_w;
  const double tiles = static_cast<double>((height + 3) / 4) * ((width + 3) / 4) * op.dilation_h * op.dilation_w;
  return tiles * (2.0 * 36 * depth * padded + 700.0 * (depth + padded)) < 9.0 * dst.height * dst.width * depth * padded;
}

void StepBuilder::BuildByteWinograd(const std::string& name, const ConvOp& op) {
  const Value &src = lowered_.values[op.src], &dst = lowered_.values[op.dst];
  const auto out = static_cast<int>(op.weight.dim(0));
  auto winograd = std::make_shared<kernels::ByteWinograd>();
  winograd->conv = *MakeByteConv(name, op, nullptr, 0, false);
  const Tensor weight = SpreadIntegers(op.integers->values, src);
  const std::size_t words = kernels_.byte_winograd_packed_size(out, src.padded());
  const FloatBuffer packed = weights_.Get(fmt::format("{}/byte_winograd/{}/{}", name, kernels_.isa, src.padded()), words / 2, [&](float* to) {
    kernels_.pack_byte_winograd(weight.data<std::int8_t>(), out, static_cast<int>(weight.dim(1)), src.padded(), reinterpret_cast<std::int16_t*>(to));
  });
  winograd->weights = reinterpret_cast<const std::int16_t*>(Keep(packed));
  kernels_.plan_byte_winograd(*winograd, plan_.options_.threads, kL2Bytes);
  Step step{.name = name, .kernel = "int8 winograd F(4,3)", .items = winograd->items};
  step.scratch = kernels_.byte_winograd_scratch(*winograd);
  step.integers = true;
  step.macs = MacsOf(op);
  step.bytes = 1.0 * src.height * src.width * src.padded() + (IsBytes(op.dst) ? 1.0 : 4.0) * dst.height * dst.width * PaddedChannels(out) + 2.0 * words;
  step.run = [winograd, k = &kernels_](std::int64_t item, float* scratch) { k->byte_winograd(*winograd, item, scratch); };
  Add(std::move(step));
}

void StepBuilder::BuildByteConv(const std::string& name, const ConvOp& op, std::shared_ptr<kernels::Program> after, int after_input) {
  if (!after && FitsByteWinograd(name, op)) return BuildByteWinograd(name, op);
  const Value &src = lowered_.values[op.src], &dst = lowered_.values[op.dst];
  const auto conv = MakeByteConv(name, op, after, after_input);
  kernels_.plan_byte_conv(*conv, plan_.options_.threads, kL2Bytes);
  Step step{.name = name, .kernel = fmt::format("int8 {}x{}{}", op.weight.dim(2), op.weight.dim(3), after ? "+elementwise" : ""), .items = conv->items};
  step.scratch = kernels_.byte_conv_scratch(*conv);
  step.integers = true;
  step.macs = MacsOf(op);
  const double written = (after || !IsBytes(op.dst) ? 4.0 : 1.0) * dst.height * dst.width * conv->out_blocks * kernels::kBlock;
  step.bytes = 1.0 * src.height * src.width * src.padded() + written + static_cast<double>(op.weight.size());
  step.run = [conv, after, k = &kernels_](std::int64_t item, float* scratch) { k->byte_conv(*conv, item, scratch); };
  Add(std::move(step));
}

void StepBuilder::BuildWinograd(const std::string& name, const ConvOp& op, const Epilogue& epilogue, int tile) {
  const Value &src = lowered_.values[op.src], &dst = lowered_.values[op.dst];
  const auto out = static_cast<int>(op.weight.dim(0));
  auto conv = std::make_shared<kernels::WinogradConv>();
  conv->src = MapOf(op.src);
  conv->dst = MapOf(op.dst);
  conv->pad_top = op.pad_top, conv->pad_left = op.pad_left;
  conv->dilation_h = op.dilation_h, conv->dilation_w = op.dilation_w;
  conv->depth = src.padded();
  conv->tile = tile;
  conv->stride = op.stride_h;
  conv->backwards = NextGoesBackwards();
  conv->zeros = Zeros(conv->depth);
  conv->epilogue = epilogue;
  const Tensor weight = SpreadOver(op.weight, src);
  const auto read = static_cast<int>(weight.dim(1));
  const std::string key = fmt::format("{}/winograd{}/{}/{}", name, tile, kernels_.isa, conv->depth);
  const FloatBuffer packed = weights_.Get(key, kernels_.winograd_packed_size(tile, conv->stride, out, conv->depth), [&](float* to) {
    kernels_.pack_winograd(weight.data<float>(), out, read, conv->depth, tile, conv->stride, to);
  });
  conv->weights = {Keep(packed), PaddedChannels(out) / kernels::kBlock, conv->depth};
  const std::string label = fmt::format("winograd F({},{})", tile, conv->stride == 2 ? "2+1" : "3");
  kernels_.plan_winograd(*conv, plan_.options_.threads, kL2Bytes);
  if (const std::size_t floats = kernels_.winograd_shared(*conv)) {
    conv->shared = SharedTiles(floats);
    Step transform{.name = name, .kernel = label + ", tiles", .items = conv->transform_items};
    transform.bytes = 4.0 * (1.0 * src.height * src.width * src.padded() + floats);
    transform.run = [conv, k = &kernels_](std::int64_t item, float*) { k->winograd_transform(*conv, item); };
    Add(std::move(transform));
  }
  Step step{.name = name, .kernel = label, .items = conv->items};
  step.scratch = kernels_.winograd_scratch(*conv);
  step.macs = 9.0 * dst.height * dst.width * out * op.weight.dim(1);
  step.bytes = 4.0 * (1.0 * src.height * src.width * src.padded() + 1.0 * dst.height * dst.width * PaddedChannels(out) + packed.size());
  step.run = [conv, k = &kernels_](std::int64_t item, float* scratch) { k->winograd_conv(*conv, item, scratch); };
  Add(std::move(step));
}

// Transformed tiles that the items of one convolution share. Steps follow each other, so all convolutions use the same
// memory, as large as the largest needs; what was handed out before keeps its own.
float* StepBuilder::SharedTiles(std::size_t floats) {
  if (shared_.size() < floats) {
    shared_ = FloatBuffer(floats);
    Keep(shared_);
  }
  return shared_.data();
}

std::shared_ptr<kernels::DepthwiseConv> StepBuilder::MakeDepthwise(const ConvOp& op, const Epilogue& epilogue) {
  auto conv = std::make_shared<kernels::DepthwiseConv>();
  conv->src = MapOf(op.src);
  conv->dst = MapOf(op.dst);
  TakeGeometry(op, *conv);
  conv->epilogue = epilogue;
  const int taps = conv->kernel_h * conv->kernel_w, padded = conv->dst.channels;
  std::vector<float> weights(static_cast<std::size_t>(taps) * padded, 0.0f);
  for (int c = 0; c < op.groups; ++c) {
    for (int t = 0; t < taps; ++t) weights[t * padded + c] = op.weight.data<float>()[c * taps + t];
  }
  conv->weights = Keep(weights);
  return conv;
}

void StepBuilder::BuildDepthwise(const std::string& name, const ConvOp& op, const Epilogue& epilogue) {
  const auto conv = MakeDepthwise(op, epilogue);
  conv->rows_per_item = std::max(1, conv->dst.height / (4 * plan_.options_.threads));
  conv->items = (conv->dst.height + conv->rows_per_item - 1) / conv->rows_per_item;
  Step step{.name = name, .kernel = fmt::format("depthwise {}x{}", conv->kernel_h, conv->kernel_w), .items = conv->items};
  step.macs = MacsOf(op);
  step.bytes = 4.0 * conv->dst.channels * (1.0 * conv->src.height * conv->src.width + 1.0 * conv->dst.height * conv->dst.width);
  step.run = [conv, k = &kernels_](std::int64_t item, float*) { k->depthwise_conv(*conv, item); };
  Add(std::move(step));
}

}  // namespace frf::engine
