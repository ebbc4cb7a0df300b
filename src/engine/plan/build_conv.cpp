// SPDX-License-Identifier: Apache-2.0
// Convolutions of floats: which kernel, how its weights are packed, and the step.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "engine/plain_op.h"
#include "engine/plan/conv_geometry.h"
#include "engine/plan/step_builder.h"
#include "frf/error.h"

namespace frf::engine {

using kernels::Epilogue;
using kernels::Map;
using kernels::PaddedChannels;

namespace {

// What it takes to bring a weight from memory, in multiply-accumulates of as many bits, as far as it is not
// hidden behind them: with few tiles the smaller transformed kernel is the faster one.
constexpr double kFetchWork = 8;

// Work of Winograd with that tile, in multiply-accumulates: the products, their weights, and what the
// transforms take in the same time (measured on AVX-512 machines, docs/performance.md). `product`: of one, in
// multiply-accumulates.
double WinogradWork(const ConvOp& op, const Value& dst, int depth, int out, int tile, double product) {
  const double along = op.stride_h == 2 ? 2.0 * tile + 1 : tile + 2.0;
  const double transform = op.stride_h == 2 ? (tile == 2 ? 350 : 1100) : tile == 4 ? 320 : 640;
  const double products = along * along * depth * out * product;
  return TilesOver(op, dst, tile) * (products + transform * (depth + out)) + kFetchWork * products;
}

std::string PrefixOf(const kernels::ConvKernels& conv_kernels) {
  return conv_kernels.precision == Precision::kFloat32 ? ""
                                                       : fmt::format("{} ", NameOf(conv_kernels.precision));
}

// What laying out an operand anew takes, in multiply-accumulates (LayOutOperands).
constexpr double kLayOutWork = 2;

// With stride 2, tiles of 4 take 81 matrices of weights: above this, memory that is better left to others
// (and that would have to stream by).
constexpr double kMostStridedFloats = 1e6;

// Below these, additions take what the eighth product did (measured, docs/performance.md): channels of a 1x1
// kernel and of its result, their product, and multiply-accumulates in all.
constexpr int kLeastStrassenDepth = 64, kLeastStrassenOut = 96, kLeastStrassenWeights = 12'288;
constexpr double kLeastStrassenWork = 64e6;

}  // namespace

ConvChoice StepBuilder::ChoiceOf(const std::string& name, const ConvOp& op) const {
  const Value& src = lowered_.values[op.src];
  if (!FitsWinograd(op) || op.src == lowered_.picture) return ConvChoice::kDirect;
  const auto chosen = plan_.options_.choices.find(name);
  const int depth = src.padded(), out = PaddedChannels(static_cast<int>(op.weight.dim(0)));
  const bool strided = op.stride_h == 2, large = strided && 81.0 * depth * out > kMostStridedFloats;
  const bool pairs = KernelsFor(op).precision != Precision::kFloat32;
  ConvChoice choice = chosen == plan_.options_.choices.end() ? ConvChoice::kAuto : chosen->second;
  if (choice == ConvChoice::kWinograd2 && !strided) choice = ConvChoice::kAuto;  // no kernel has such tiles
  if (choice != ConvChoice::kAuto) {
    const bool small_tiles = choice == ConvChoice::kWinograd6 || (large && choice == ConvChoice::kWinograd4);
    if (strided && small_tiles) return ConvChoice::kWinograd2;
    return pairs && choice == ConvChoice::kWinograd6 ? ConvChoice::kWinograd4 : choice;
  }
  const Value& dst = lowered_.values[op.dst];
  const double product = pairs ? 0.5 : 1.0;
  const double direct = 9.0 * depth *
                        (1.0 * dst.height * dst.width * (out * product + (pairs ? kLayOutWork : 0.0)) +
                         kFetchWork * out * product);
  const double four = WinogradWork(op, dst, depth, out, 4, product);
  // F(6,3) errs too much in 16 bits.
  const double other = pairs && !strided ? four : WinogradWork(op, dst, depth, out, strided ? 2 : 6, product);
  if (direct <= std::min(large ? other : four, other)) return ConvChoice::kDirect;
  if (four <= other && !large) return ConvChoice::kWinograd4;
  return strided ? ConvChoice::kWinograd2 : ConvChoice::kWinograd6;
}

// What the file rounds to 8 bits is computed as it says.
bool StepBuilder::IsRounded(const ConvOp& op) const {
  return lowered_.values[op.src].coding || lowered_.values[op.dst].coding;
}

const kernels::ConvKernels& StepBuilder::KernelsFor(const ConvOp& op) const {
  // The picture's three channels are no multiple of 16.
  return !IsRounded(op) && op.groups == 1 && op.src != lowered_.picture ? conv_kernels_ : kernels_;
}

bool StepBuilder::FitsStrassen(const ConvOp& op) const {
  const Value &src = lowered_.values[op.src], &dst = lowered_.values[op.dst];
  const int out = PaddedChannels(static_cast<int>(op.weight.dim(0))), depth = src.padded();
  const bool pointwise = op.weight.dim(2) == 1 && op.weight.dim(3) == 1 && op.groups == 1 &&
                         op.stride_h == 1 && op.stride_w == 1 && op.phase_h == 1 && op.phase_w == 1 &&
                         op.pad_top == 0 && op.pad_left == 0 && dst.height == src.height &&
                         dst.width == src.width;
  return plan_.options_.strassen && pointwise && !IsRounded(op) &&
         plan_.options_.precision == Precision::kFloat32 && kernels_.fits_strassen(out, depth) &&
         depth >= kLeastStrassenDepth && out >= kLeastStrassenOut && depth * out >= kLeastStrassenWeights &&
         1.0 * dst.height * dst.width * depth * out >= kLeastStrassenWork;
}

Tensor StepBuilder::SpreadOver(const Tensor& weight, const Value& src) const {
  if (src.parts.empty()) return weight;
  const std::int64_t out = weight.dim(0), in = weight.dim(1), taps = weight.dim(2) * weight.dim(3);
  Tensor spread = Tensor::Zeros(DType::kFloat32, {out, src.padded(), weight.dim(2), weight.dim(3)});
  for (std::int64_t o = 0; o < out; ++o) {
    std::int64_t from = 0, to = 0;
    for (const int part : src.parts) {
      std::copy_n(weight.data<float>() + (o * in + from) * taps, part * taps,
                  spread.data<float>() + (o * src.padded() + to) * taps);
      from += part;
      to += PaddedChannels(part);
    }
  }
  return spread;
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
  if (op.conv.integers && kernels_.has_dot())
    return BuildByteConv(name, op.conv, ProgramOf(name, op.element, op.input, ignored), op.input);
  const auto after = ProgramOf(name, op.element, op.input, ignored);
  if (FitsStrassen(op.conv)) return BuildStrassen(name, op.conv, EpilogueOf(op.conv), after, op.input);
  BuildDirect(name, op.conv, EpilogueOf(op.conv), 0, after, op.input);
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
      return FitsStrassen(op) ? BuildStrassen(name, op, epilogue) : BuildDirect(name, op, epilogue);
  }
}

double StepBuilder::MacsOf(const ConvOp& op) const {
  const Value& dst = lowered_.values[op.dst];
  return static_cast<double>(dst.height) * dst.width / (op.phase_h * op.phase_w) *
         static_cast<double>(op.weight.size());
}

std::shared_ptr<kernels::DirectConv> StepBuilder::MakeUnpacked(const ConvOp& op, const Epilogue& epilogue,
                                                               const kernels::Program* after,
                                                               int after_input) {
  auto conv = std::make_shared<kernels::DirectConv>();
  conv->src = MapOf(op.src);
  conv->dst = after ? Nowhere(lowered_.values[op.dst]) : MapOf(op.dst);
  conv->after = after;
  conv->after_input = after_input;
  TakeGeometry(op, *conv);
  conv->epilogue = epilogue;
  return conv;
}

std::shared_ptr<kernels::DirectConv> StepBuilder::MakeDirect(const std::string& name, const ConvOp& op,
                                                             const kernels::ConvKernels& conv_kernels,
                                                             const Epilogue& epilogue, int group,
                                                             std::shared_ptr<kernels::Program> after,
                                                             int after_input) {
  const Value& src = lowered_.values[op.src];
  const auto out = static_cast<int>(op.weight.dim(0)) / op.groups, in = static_cast<int>(op.weight.dim(1));
  const auto kh = static_cast<int>(op.weight.dim(2)), kw = static_cast<int>(op.weight.dim(3));
  auto conv = MakeUnpacked(op, epilogue, after.get(), after_input);
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
  const std::string key = fmt::format("{}/direct/{}/{}x{}/{}/{}", WeightKey(name, weight), conv_kernels.isa,
                                      op.phase_y, op.phase_x, depth, group);
  const FloatBuffer packed =
      weights_.Get(key, conv_kernels.direct_packed_size(out, kh * kw, depth), [&](float* to) {
        conv_kernels.pack_direct(weight.data<float>() + first, out, read, kh, kw, depth, to);
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

// All but scratch and how it runs. `weights`: packed, in floats.
Step StepBuilder::DirectStep(const std::string& name, const std::string& kernel, const ConvOp& op,
                             const kernels::DirectConv& conv, std::size_t weights) const {
  const Value& src = lowered_.values[op.src];
  Step step{.name = name, .kernel = kernel + (conv.after ? "+elementwise" : ""), .items = conv.items};
  step.macs = MacsOf(op) / op.groups;
  step.bytes = 4.0 * (1.0 * src.height * src.width * src.padded() +
                      1.0 * conv.dst.height * conv.dst.width * conv.weights.out_blocks * kernels::kBlock +
                      static_cast<double>(weights));
  return step;
}

void StepBuilder::BuildDirect(const std::string& name, const ConvOp& op, const Epilogue& epilogue, int group,
                              std::shared_ptr<kernels::Program> after, int after_input) {
  const kernels::ConvKernels& conv_kernels = KernelsFor(op);
  const auto conv = MakeDirect(name, op, conv_kernels, epilogue, group, after, after_input);
  conv_kernels.plan_direct(*conv, plan_.options_.threads, kL2Bytes);
  const auto kh = static_cast<int>(op.weight.dim(2)), kw = static_cast<int>(op.weight.dim(3));
  const std::size_t weights = conv_kernels.direct_packed_size(
      static_cast<int>(op.weight.dim(0)) / op.groups,
      static_cast<std::int64_t>(conv->kernel_h) * conv->kernel_w, conv->depth);
  Step step =
      DirectStep(name, fmt::format("{}direct {}x{}", PrefixOf(conv_kernels), kh, kw), op, *conv, weights);
  step.scratch = conv_kernels.direct_scratch(*conv);
  step.run = [conv, after, k = &conv_kernels](std::int64_t item, float* scratch) {
    k->direct_conv(*conv, item, scratch);
  };
  Add(std::move(step));
}

void StepBuilder::BuildStrassen(const std::string& name, const ConvOp& op, const Epilogue& epilogue,
                                std::shared_ptr<kernels::Program> after, int after_input) {
  const auto conv = MakeUnpacked(op, epilogue, after.get(), after_input);
  const Tensor weight = SpreadOver(op.weight, lowered_.values[op.src]);
  const auto out = static_cast<int>(weight.dim(0)), in = static_cast<int>(weight.dim(1));
  conv->depth = lowered_.values[op.src].padded();
  const FloatBuffer packed = weights_.Get(
      fmt::format("{}/strassen/{}/{}", WeightKey(name, weight), kernels_.isa, conv->depth),
      kernels_.strassen_packed_size(out, conv->depth),
      [&](float* to) { kernels_.pack_strassen(weight.data<float>(), out, in, conv->depth, to); });
  conv->weights = {Keep(packed), PaddedChannels(out) / kernels::kBlock, conv->depth};
  kernels_.plan_strassen(*conv, plan_.options_.threads, kL2Bytes);
  Step step = DirectStep(name, "strassen 1x1", op, *conv, packed.size());
  step.scratch = kernels_.strassen_scratch(*conv);
  step.run = [conv, after, k = &kernels_](std::int64_t item, float* scratch) {
    k->strassen_conv(*conv, item, scratch);
  };
  Add(std::move(step));
}

void StepBuilder::BuildWinograd(const std::string& name, const ConvOp& op, const Epilogue& epilogue,
                                int tile) {
  const Value &src = lowered_.values[op.src], &dst = lowered_.values[op.dst];
  const auto out = static_cast<int>(op.weight.dim(0));
  auto conv = std::make_shared<kernels::WinogradConv>();
  const kernels::ConvKernels& conv_kernels = KernelsFor(op);
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
  conv->epilogue.past_caches = LeavesCaches(conv->dst) && (!epilogue.sum.data || LeavesCaches(epilogue.sum));
  const Tensor weight = SpreadOver(op.weight, src);
  const auto read = static_cast<int>(weight.dim(1));
  const std::string key = fmt::format("{}/winograd{}/{}/{}/{}", WeightKey(name, weight), tile, conv->stride,
                                      conv_kernels.isa, conv->depth);
  const FloatBuffer packed = weights_.Get(
      key, conv_kernels.winograd_packed_size(tile, conv->stride, out, conv->depth), [&](float* to) {
        conv_kernels.pack_winograd(weight.data<float>(), out, read, conv->depth, tile, conv->stride, to);
      });
  conv->weights = {Keep(packed), PaddedChannels(out) / kernels::kBlock, conv->depth};
  const std::string label =
      fmt::format("{}winograd F({},{})", PrefixOf(conv_kernels), tile, conv->stride == 2 ? "2+1" : "3");
  conv_kernels.plan_winograd(*conv, plan_.options_.threads, kL2Bytes);
  if (const std::size_t floats = conv_kernels.winograd_shared(*conv)) {
    conv->shared = SharedTiles(floats);
    Step transform{.name = name, .kernel = label + ", tiles", .items = conv->transform_items};
    transform.bytes = 4.0 * (1.0 * src.height * src.width * src.padded() + floats);
    transform.run = [conv, k = &conv_kernels](std::int64_t item, float*) {
      k->winograd_transform(*conv, item);
    };
    Add(std::move(transform));
  }
  Step step{.name = name, .kernel = label, .items = conv->items};
  step.scratch = conv_kernels.winograd_scratch(*conv);
  step.macs = 9.0 * dst.height * dst.width * out * op.weight.dim(1);
  step.bytes = 4.0 * (1.0 * src.height * src.width * src.padded() +
                      1.0 * dst.height * dst.width * PaddedChannels(out) + packed.size());
  step.run = [conv, k = &conv_kernels](std::int64_t item, float* scratch) {
    k->winograd_conv(*conv, item, scratch);
  };
  Add(std::move(step));
}

// Transformed tiles that the items of one convolution share. Steps follow each other, so all convolutions use
// the same memory, as large as the largest needs; what was handed out before keeps its own.
float* StepBuilder::SharedTiles(std::size_t floats) {
  if (shared_.size() < floats) {
    plan_.memory_->Reserve(floats * sizeof(float), "tiles");
    shared_ = FloatBuffer(floats);
    Keep(shared_);
  }
  return shared_.data();
}

std::shared_ptr<kernels::DepthwiseConv> StepBuilder::MakeDepthwise(const ConvOp& op,
                                                                   const Epilogue& epilogue) {
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
  Step step{.name = name,
            .kernel = fmt::format("depthwise {}x{}", conv->kernel_h, conv->kernel_w),
            .items = conv->items};
  step.macs = MacsOf(op);
  step.bytes = 4.0 * conv->dst.channels *
               (1.0 * conv->src.height * conv->src.width + 1.0 * conv->dst.height * conv->dst.width);
  step.run = [conv, k = &kernels_](std::int64_t item, float*) { k->depthwise_conv(*conv, item); };
  Add(std::move(step));
}

}  // namespace frf::engine
