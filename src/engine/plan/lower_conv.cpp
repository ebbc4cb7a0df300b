// SPDX-License-Identifier: Apache-2.0
// Convolutions, with what follows them: activation, addition, or both.
#include <algorithm>
#include <limits>

#include "engine/plan/lowering.h"

namespace frf::engine {
namespace {

using kernels::Act;

bool SameShape(const Shape& a, const Shape& b) { return a == b; }

// A node's scalar input or attribute, where it is known.
bool ScalarOf(const Tensor* tensor, float& value) {
  if (!tensor || tensor->size() != 1 || tensor->dtype() != DType::kFloat32) return false;
  value = tensor->data<float>()[0];
  return true;
}

}  // namespace

const Node* Lowering::OnlyReader(const std::string& value) const {
  if (UsesOf(value) != 1) return nullptr;
  const auto readers = index_.consumers.find(value);
  if (readers == index_.consumers.end()) return nullptr;
  const Node& node = graph_.nodes[readers->second[0]];
  return node.domain.empty() ? &node : nullptr;
}

bool Lowering::TakeActivation(const Node& node, ConvOp& conv) const {
  if (node.Is("Relu")) {
    conv.act = Act::kRelu;
  } else if (node.Is("LeakyRelu")) {
    conv.act = Act::kLeaky;
    conv.alpha = node.Float("alpha", 0.01f);
  } else if (node.Is("Sigmoid")) {
    conv.act = Act::kSigmoid;
  } else if (node.Is("HardSwish")) {
    conv.act = Act::kHardSwish;
  } else if (node.Is("HardSigmoid")) {
    conv.act = Act::kHardSigmoid;
    conv.alpha = node.Float("alpha", 0.2f);
    conv.beta = node.Float("beta", 0.5f);
  } else if (node.Is("Clip")) {
    conv.alpha = -std::numeric_limits<float>::max();
    conv.beta = std::numeric_limits<float>::max();
    for (std::size_t i = 1; i < node.inputs.size() && i < 3; ++i) {
      float& bound = i == 1 ? conv.alpha : conv.beta;
      if (!node.inputs[i].empty() && !ScalarOf(ConstantOf(node.inputs[i]), bound)) return false;
    }
    conv.act = Act::kClip;
  } else {
    return false;
  }
  return true;
}

bool Lowering::TryConv(int n) {
  const Node& node = graph_.nodes[n];
  if (!node.Is("Conv") || !IsMap(node.inputs[0]) || !IsMap(node.outputs[0])) return false;
  const Tensor* weight = ConstantOf(node.inputs[1]);
  const Tensor* bias =
      node.inputs.size() > 2 && !node.inputs[2].empty() ? ConstantOf(node.inputs[2]) : nullptr;
  if (!weight || weight->dtype() != DType::kFloat32 || weight->rank() != 4) return false;
  if (node.inputs.size() > 2 && !node.inputs[2].empty() && !bias) return false;
  ConvOp conv;
  conv.weight = *weight;
  if (bias) conv.bias = *bias;
  conv.groups = static_cast<int>(node.Int("group", 1));
  const auto strides = node.Ints("strides", {1, 1}), dilations = node.Ints("dilations", {1, 1});
  auto pads = node.Ints("pads", {0, 0, 0, 0});
  const std::string automatic = node.String("auto_pad", "NOTSET");
  if (automatic == "SAME_UPPER" || automatic == "SAME_LOWER") {
    for (int axis = 0; axis < 2; ++axis) {
      const std::int64_t in = ShapeOf(node.inputs[0])[2 + axis], out = ShapeOf(node.outputs[0])[2 + axis];
      const std::int64_t total = std::max<std::int64_t>(
          0, (out - 1) * strides[axis] + (weight->dim(2 + axis) - 1) * dilations[axis] + 1 - in);
      pads[axis] = automatic == "SAME_UPPER" ? total / 2 : total - total / 2;
    }
  } else if (automatic == "VALID") {
    pads = {0, 0, 0, 0};
  }
  conv.stride_h = static_cast<int>(strides[0]);
  conv.stride_w = static_cast<int>(strides[1]);
  conv.dilation_h = static_cast<int>(dilations[0]);
  conv.dilation_w = static_cast<int>(dilations[1]);
  conv.pad_top = static_cast<int>(pads[0]);
  conv.pad_left = static_cast<int>(pads[1]);
  if (weight->dim(2) * weight->dim(3) > 121) return false;  // kernels hold so many row pointers
  if (conv.groups > 1) {
    // Depthwise, or groups that begin at whole blocks.
    const std::int64_t in = weight->dim(1), out = weight->dim(0) / conv.groups;
    const bool depthwise = in == 1 && out == 1;
    if (!depthwise && (in % kernels::kBlock != 0 || out % kernels::kBlock != 0)) return false;
  }
  if (const QuantizedWeight* integers = IntegersOf(node)) {
    conv.integers = *integers;
    conv.src = MapOf(node.inputs[0]);
  } else if (conv.groups > 1 || CodingOf(node.inputs[0])) {
    conv.src = FloatMapOf(node.inputs[0]);
  } else {
    conv.src = MapOf(node.inputs[0]);
  }

  std::string result = node.outputs[0];
  std::string name = node.name;
  const auto take = [&](const Node* taken) {
    done_[taken - graph_.nodes.data()] = true;
    result = taken->outputs[0];
    name += "+" + taken->op;
  };
  const auto other_of = [&](const Node& add) -> std::string {
    const std::string& other = add.inputs[0] == result ? add.inputs[1] : add.inputs[0];
    const bool ready =
        other != result && maps_.contains(other) && lowered_.values[maps_.at(other)].parts.empty() &&
        lowered_.values[maps_.at(other)].constant.has_data() == false && other != graph_.inputs[0].name;
    // A planned concatenation has its place before its parts are there.
    const auto producer = index_.producer.find(other);
    const bool made = producer != index_.producer.end() && done_[producer->second];
    const bool same = CodingOf(other).has_value() == CodingOf(add.outputs[0]).has_value() &&
                      CodingOf(other).has_value() == CodingOf(result).has_value();
    return ready && made && same && IsMap(other) && SameShape(ShapeOf(other), ShapeOf(result)) &&
                   SameShape(ShapeOf(add.outputs[0]), ShapeOf(result))
               ? other
               : "";
  };
  const auto group_size = [&](const Node* member) {
    const auto group = group_of_.find(static_cast<int>(member - graph_.nodes.data()));
    return group == group_of_.end() ? 0 : static_cast<int>(groups_.at(group->second).size());
  };
  const Node* next = OnlyReader(result);
  ConvOp acting = conv;
  if (next && !CodingOf(result) && TakeActivation(*next, acting) &&
      (ActsOnBytes(acting.act) || !CodingOf(next->outputs[0]))) {
    conv.act = acting.act, conv.alpha = acting.alpha, conv.beta = acting.beta;
    take(next);
    next = OnlyReader(result);
  }
  const auto emit = [&] {
    done_[n] = true;
    const bool apart = !conv.integers && CodingOf(result);
    conv.dst = apart ? FloatResult(result) : NewMap(result);
    const int dst = conv.dst;
    Emit(name, std::move(conv));
    if (apart) RoundResult(result, dst);
    return true;
  };
  const auto take_running_sum =
      [&] {  // a sum beside the value itself, which somebody else reads too: as in a DAM
        const auto readers = index_.consumers.find(result);
        if (readers == index_.consumers.end() || readers->second.size() < 2) return;
        for (const int reader : readers->second) {
          const Node& add = graph_.nodes[reader];
          if (!add.domain.empty() || !add.Is("Add") || group_size(&add) != 1 || done_[reader]) continue;
          const std::string other = other_of(add);
          if (other.empty()) continue;
          conv.add = MapOf(other);
          conv.sum = NewMap(add.outputs[0]);
          done_[reader] = true;
          name += "+Add";
          return;
        }
      };
  if (conv.integers ||
      CodingOf(
          result)) {  // of what follows, running sums alone are done on bytes; the rest is left to programs
    if (conv.integers && CodingOf(result)) take_running_sum();
    return emit();
  }
  const bool active = conv.act != Act::kNone;
  if (next && next->Is("Add") && group_size(next) <= (active ? 1 : 2)) {
    if (const std::string other = other_of(*next); !other.empty()) {
      const Node* after = OnlyReader(next->outputs[0]);
      ConvOp with_act = conv;
      if (group_size(next) == 1) {
        conv.add = MapOf(other);
        take(next);
        if (!active && (next = OnlyReader(result)) && TakeActivation(*next, with_act)) {
          conv.act = with_act.act, conv.alpha = with_act.alpha, conv.beta = with_act.beta;
          conv.add_first = true;
          take(next);
        }
      } else if (after && TakeActivation(*after, with_act) && group_size(after) == 2) {
        conv.act = with_act.act, conv.alpha = with_act.alpha, conv.beta = with_act.beta;
        conv.add = MapOf(other);
        conv.add_first = true;
        take(next);
        take(after);
      }
    }
  } else {
    take_running_sum();
  }
  return emit();
}

const QuantizedWeight* Lowering::IntegersOf(const Node& conv) const {
  if (!quantization_ || !CodingOf(conv.inputs[0]) || conv.Int("group", 1) != 1) return nullptr;
  const auto weight = quantization_->weights.find(conv.inputs[1]);
  if (weight == quantization_->weights.end()) return nullptr;
  const Tensor& values = weight->second.values;
  // Sums of products of 255 and 127 must stay within 31 bits.
  return values.size() / values.dim(0) <= 66000 ? &weight->second : nullptr;
}

// y[o] = sum over k of x[(o + pad - k * dilation) / stride] * w[k] where that is whole. For every phase of o
// modulo the stride the taps that fit are those of an ordinary convolution.
bool Lowering::TryConvTranspose(const Node& node) {
  if (!node.Is("ConvTranspose") || !IsMap(node.inputs[0]) || !IsMap(node.outputs[0])) return false;
  const Tensor* weight = ConstantOf(node.inputs[1]);  // in x out x kh x kw
  const Tensor* bias =
      node.inputs.size() > 2 && !node.inputs[2].empty() ? ConstantOf(node.inputs[2]) : nullptr;
  if (!weight || weight->dtype() != DType::kFloat32 || weight->rank() != 4 || node.Int("group", 1) != 1)
    return false;
  if (node.inputs.size() > 2 && !node.inputs[2].empty() && !bias) return false;
  if (node.Has("output_shape") || node.String("auto_pad", "NOTSET") != "NOTSET") return false;
  if (node.Ints("dilations", {1, 1}) != std::vector<std::int64_t>{1, 1}) return false;
  const auto strides = node.Ints("strides", {1, 1}), pads = node.Ints("pads", {0, 0, 0, 0});
  const auto sh = static_cast<int>(strides[0]), sw = static_cast<int>(strides[1]);
  const auto kh = static_cast<int>(weight->dim(2)), kw = static_cast<int>(weight->dim(3));
  if (sh > kh || sw > kw || kh * kw > 121) return false;  // some phase would have no taps
  const std::int64_t in = weight->dim(0), out = weight->dim(1);
  const int src = FloatMapOf(node.inputs[0]), dst = FloatResult(node.outputs[0]);
  // A result smaller than the stride has no pixel of the last phases.
  const Shape& result = ShapeOf(node.outputs[0]);
  for (int phase_y = 0; phase_y < std::min<std::int64_t>(sh, result[2]); ++phase_y) {
    for (int phase_x = 0; phase_x < std::min<std::int64_t>(sw, result[3]); ++phase_x) {
      // Taps k with (phase + pad - k) divisible by the stride, from the largest k (the lowest source pixel)
      // down.
      const auto taps = [](int phase, std::int64_t pad, int stride, int kernel) {
        std::vector<int> fit;
        for (int k = kernel - 1; k >= 0; --k) {
          if ((phase + pad - k) % stride == 0) fit.push_back(k);
        }
        return fit;
      };
      const std::vector<int> ys = taps(phase_y, pads[0], sh, kh), xs = taps(phase_x, pads[1], sw, kw);
      Tensor part = Tensor::Zeros(DType::kFloat32, {out, in, static_cast<std::int64_t>(ys.size()),
                                                    static_cast<std::int64_t>(xs.size())});
      float* to = part.data<float>();
      for (std::int64_t o = 0; o < out; ++o) {
        for (std::int64_t c = 0; c < in; ++c) {
          for (const int y : ys) {
            for (const int x : xs) *to++ = weight->data<float>()[((c * out + o) * kh + y) * kw + x];
          }
        }
      }
      ConvOp conv{.src = src, .dst = dst, .weight = part};
      if (bias) conv.bias = *bias;
      // Source row of output row q * stride + phase under tap k: q + (phase + pad - k) / stride; the first
      // tap is lowest.
      conv.pad_top = -static_cast<int>((phase_y + pads[0] - ys[0]) / sh);
      conv.pad_left = -static_cast<int>((phase_x + pads[1] - xs[0]) / sw);
      conv.phase_h = sh, conv.phase_w = sw, conv.phase_y = phase_y, conv.phase_x = phase_x;
      Emit(node.name, std::move(conv));
    }
  }
  RoundResult(node.outputs[0], dst);
  return true;
}

}  // namespace frf::engine
