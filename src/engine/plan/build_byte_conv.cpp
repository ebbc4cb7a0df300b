// SPDX-License-Identifier: Apache-2.0
// Convolutions of bytes by integers: which kernel, how its weights are packed, and the step.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "engine/plan/conv_geometry.h"
#include "engine/plan/step_builder.h"

namespace frf::engine {

using kernels::PaddedChannels;

namespace {

// Whether all sums of bytes by these weights lie within what Winograd in whole numbers can hold.
bool SumsFitByteWinograd(const Tensor& weight) {
  const std::int64_t out = weight.dim(0), each = weight.size() / out;
  const std::int8_t* value = weight.data<std::int8_t>();
  for (std::int64_t o = 0; o < out; ++o) {
    std::int64_t above = 0, below = 0;
    for (std::int64_t i = 0; i < each; ++i, ++value) (*value > 0 ? above : below) += *value;
    if (255 * std::max(above, -below) > kernels::kMostByteWinogradSum) return false;
  }
  return true;
}

}  // namespace

Tensor StepBuilder::SpreadIntegers(const Tensor& weight, const Value& src) const {
  return src.parts.empty() ? weight : SpreadOver(weight.Cast(DType::kFloat32), src).Cast(DType::kInt8);
}

// value = (sum of bytes * weights - zero * sum of weights) * source step * weight step + bias, in steps of
// the destination where that is bytes.
std::shared_ptr<kernels::ByteConv> StepBuilder::MakeByteConv(const std::string& name, const ConvOp& op,
                                                             std::shared_ptr<kernels::Program> after,
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
    const std::size_t bytes = kernels_.bytes_packed_size(
        out, static_cast<std::int64_t>(conv->kernel_h) * conv->kernel_w, conv->depth);
    const std::string key =
        fmt::format("{}/bytes/{}/{}/{}", WeightKey(name, weight), kernels_.isa, conv->depth, tap_w);
    const FloatBuffer packed = weights_.Get(key, (bytes + 3) / 4, [&](float* to) {
      kernels_.pack_bytes(weight.data<std::int8_t>(), out, read, kh, kw, tap_w, conv->depth,
                          reinterpret_cast<std::int8_t*>(to));
    });
    conv->weights = reinterpret_cast<const std::int8_t*>(Keep(packed));
  }
  conv->out_blocks = PaddedChannels(out) / kernels::kBlock;
  std::vector<float> scale(PaddedChannels(out), 0.0f), offset(PaddedChannels(out), 0.0f);
  const double unit = bytes_out ? dst.coding->step : 1.0;
  const std::int64_t each = static_cast<std::int64_t>(in) * kh * kw;
  for (int o = 0; o < out; ++o) {
    const double step =
        static_cast<double>(src.coding->step) * integers.scales[integers.scales.size() > 1 ? o : 0];
    std::int64_t sum = 0;
    for (std::int64_t i = 0; i < each; ++i) sum += integers.values.data<std::int8_t>()[o * each + i];
    const double bias = op.bias.has_data() ? op.bias.data<float>()[o] : 0.0;
    scale[o] = static_cast<float>(step / unit);
    offset[o] = static_cast<float>((bias - src.coding->zero * static_cast<double>(sum) * step) / unit +
                                   (bytes_out ? dst.coding->zero : 0));
  }
  conv->scale = Keep(scale);
  conv->offset = Keep(offset);
  conv->act = op.act, conv->alpha = op.alpha, conv->beta = op.beta;
  if (bytes_out) {
    const auto byte_of = [&](float value) {
      return static_cast<int>(
          std::clamp(std::nearbyint(static_cast<double>(value) / unit) + dst.coding->zero, 0.0, 255.0));
    };
    conv->low = op.act == kernels::Act::kRelu   ? byte_of(0)
                : op.act == kernels::Act::kClip ? byte_of(op.alpha)
                                                : 0;
    conv->high = op.act == kernels::Act::kClip ? byte_of(op.beta) : 255;
  }
  if (op.sum >= 0) conv->add = ByteMapOf(op.add), conv->sum = ByteMapOf(op.sum);
  return conv;
}

// 3x3 with stride 1, of sums that Winograd in whole numbers can hold, where it saves time: products of words
// take twice as long as products of bytes, and the transforms as long as so many of those.
bool StepBuilder::FitsByteWinograd(const std::string& name, const ConvOp& op) const {
  if (!op.integers || !kernels_.has_dot() || !FitsWinograd(op) || op.stride_h != 1 ||
      op.src == lowered_.picture)
    return false;
  const auto chosen = plan_.options_.choices.find(name);
  bool faster = false;
  if (chosen != plan_.options_.choices.end() && chosen->second != ConvChoice::kAuto) {
    faster = chosen->second != ConvChoice::kDirect;
  } else {
    const Value& dst = lowered_.values[op.dst];
    const int depth = lowered_.values[op.src].padded(),
              out = PaddedChannels(static_cast<int>(op.weight.dim(0)));
    faster = TilesOver(op, dst, 4) * (2.0 * 36 * depth * out + 700.0 * (depth + out)) <
             9.0 * dst.height * dst.width * depth * out;
  }
  return faster && SumsFitByteWinograd(op.integers->values);  // the weights are looked at last: they are many
}

void StepBuilder::BuildByteWinograd(const std::string& name, const ConvOp& op) {
  const Value &src = lowered_.values[op.src], &dst = lowered_.values[op.dst];
  const auto out = static_cast<int>(op.weight.dim(0));
  auto winograd = std::make_shared<kernels::ByteWinograd>();
  winograd->conv = *MakeByteConv(name, op, nullptr, 0, false);
  const Tensor weight = SpreadIntegers(op.integers->values, src);
  const std::size_t words = kernels_.byte_winograd_packed_size(out, src.padded());
  const FloatBuffer packed = weights_.Get(
      fmt::format("{}/byte_winograd/{}/{}", WeightKey(name, weight), kernels_.isa, src.padded()), words / 2,
      [&](float* to) {
        kernels_.pack_byte_winograd(weight.data<std::int8_t>(), out, static_cast<int>(weight.dim(1)),
                                    src.padded(), reinterpret_cast<std::int16_t*>(to));
      });
  winograd->weights = reinterpret_cast<const std::int16_t*>(Keep(packed));
  kernels_.plan_byte_winograd(*winograd, plan_.options_.threads, kL2Bytes);
  Step step{.name = name, .kernel = "int8 winograd F(4,3)", .items = winograd->items};
  step.scratch = kernels_.byte_winograd_scratch(*winograd);
  step.integers = true;
  step.macs = MacsOf(op);
  step.bytes = 1.0 * src.height * src.width * src.padded() +
               (IsBytes(op.dst) ? 1.0 : 4.0) * dst.height * dst.width * PaddedChannels(out) + 2.0 * words;
  step.run = [winograd, k = &kernels_](std::int64_t item, float* scratch) {
    k->byte_winograd(*winograd, item, scratch);
  };
  Add(std::move(step));
}

void StepBuilder::BuildByteConv(const std::string& name, const ConvOp& op,
                                std::shared_ptr<kernels::Program> after, int after_input) {
  if (!after && FitsByteWinograd(name, op)) return BuildByteWinograd(name, op);
  const Value &src = lowered_.values[op.src], &dst = lowered_.values[op.dst];
  const auto conv = MakeByteConv(name, op, after, after_input);
  kernels_.plan_byte_conv(*conv, plan_.options_.threads, kL2Bytes);
  Step step{
      .name = name,
      .kernel = fmt::format("int8 {}x{}{}", op.weight.dim(2), op.weight.dim(3), after ? "+elementwise" : ""),
      .items = conv->items};
  step.scratch = kernels_.byte_conv_scratch(*conv);
  step.integers = true;
  step.macs = MacsOf(op);
  const double written =
      (after || !IsBytes(op.dst) ? 4.0 : 1.0) * dst.height * dst.width * conv->out_blocks * kernels::kBlock;
  step.bytes = 1.0 * src.height * src.width * src.padded() + written + static_cast<double>(op.weight.size());
  step.run = [conv, after, k = &kernels_](std::int64_t item, float* scratch) {
    k->byte_conv(*conv, item, scratch);
  };
  Add(std::move(step));
}

}  // namespace frf::engine
