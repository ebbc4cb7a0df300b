// SPDX-License-Identifier: Apache-2.0
// Torch forms of layers with weights, arithmetic, pooling and resizing; those of shapes and reductions are in
// ops_shape.cpp. Subtle: Ceil stands for a comparison (thresholded masks), so its gradient is none at all
// rather than a tensor of zeros.
#include "train/ops.h"

#include <cmath>
#include <memory>

#include "graph/spectral.h"
#include "train/channel_masks.h"
#include "train/fake_quantize.h"
#include "train/module.h"
#include "train/ops_internal.h"
#include "train/sync_batch_norm.h"

namespace frf {
namespace {

using Ints = std::vector<std::int64_t>;

// Begin pads equal end pads, or an explicit padding goes first.
struct Pads {
  Ints symmetric{0, 0};
  Ints explicit_pads;  // torch order: left, right, top, bottom; empty when symmetric
};

Pads ReadPads(const Node& node) {
  const std::string automatic = node.String("auto_pad", "NOTSET");
  const Ints pads = node.Ints("pads", {0, 0, 0, 0});
  if ((automatic != "NOTSET" && automatic != "VALID") || pads.size() != 4) {
    FailNode(node, ErrorCode::kUnsupported, "wants two spatial axes and pads given as numbers, not auto_pad");
  }
  if (pads[0] == pads[2] && pads[1] == pads[3]) return {{pads[0], pads[1]}, {}};
  return {{0, 0}, {pads[1], pads[3], pads[0], pads[2]}};
}

TorchOp CompileConv(const Node& node, bool transposed) {
  const Pads pads = ReadPads(node);
  const Ints strides = node.Ints("strides", {1, 1}), dilations = node.Ints("dilations", {1, 1});
  const Ints extra = node.Ints("output_padding", {0, 0});
  const std::int64_t groups = node.Int("group", 1);
  if (transposed && !pads.explicit_pads.empty()) {
    FailNode(node, ErrorCode::kUnsupported, "a transposed convolution wants equal pads on both sides");
  }
  return [=](OpCall& call) {
    torch::Tensor x = call.in[0];
    if (!pads.explicit_pads.empty()) x = at::constant_pad_nd(x, pads.explicit_pads, 0);
    const c10::optional<torch::Tensor> bias =
        call.in.size() > 2 && call.in[2].defined() ? c10::optional<torch::Tensor>(call.in[2]) : c10::nullopt;
    call.out = {
        at::convolution(x, call.in[1], bias, strides, pads.symmetric, dilations, transposed, extra, groups)};
  };
}

TorchOp CompileBatchNorm(const Node& node) {
  const double momentum = TorchMomentum(node), eps = TorchEpsilon(node);
  return [=](OpCall& call) {
    if (call.training && call.distributed != nullptr) {
      call.out = {SyncBatchNorm({.x = call.in[0],
                                 .gamma = call.in[1],
                                 .beta = call.in[2],
                                 .running_mean = call.in[3],
                                 .running_variance = call.in[4],
                                 .momentum = momentum,
                                 .epsilon = eps,
                                 .distributed = call.distributed})};
      return;
    }
    // Of one value a channel torch divides by the count less one: NaN in the running variance. Here 0 counts,
    // as in the other kernels. Autograd keeps what batch_norm was given, so that must not change behind it.
    const bool one_value = call.training && call.in[0].numel() == call.in[0].size(1);
    torch::Tensor variance = call.in[4];
    call.out = {at::batch_norm(call.in[0], call.in[1], call.in[2], call.in[3],
                               one_value ? variance.clone() : variance, call.training, momentum, eps,
                               /*cudnn_enabled=*/true)};
    if (one_value) variance.mul_(1 - momentum);
  };
}

TorchOp CompileMaxPool(const Node& node) {
  const Pads pads = ReadPads(node);
  if (!pads.explicit_pads.empty()) FailNode(node, ErrorCode::kUnsupported, "wants equal pads on both sides");
  const Ints kernel = node.Ints("kernel_shape", {}), strides = node.Ints("strides", {1, 1});
  const Ints dilations = node.Ints("dilations", {1, 1});
  const bool ceil_mode = node.Int("ceil_mode", 0) != 0;
  const bool with_indices = node.outputs.size() > 1 && !node.outputs[1].empty();
  return [=](OpCall& call) {
    if (!with_indices) {
      call.out = {at::max_pool2d(call.in[0], kernel, strides, pads.symmetric, dilations, ceil_mode)};
      return;
    }
    auto [values, indices] =
        at::max_pool2d_with_indices(call.in[0], kernel, strides, pads.symmetric, dilations, ceil_mode);
    call.out = {values, indices};
  };
}

TorchOp CompileAveragePool(const Node& node) {
  const Pads pads = ReadPads(node);
  if (!pads.explicit_pads.empty()) FailNode(node, ErrorCode::kUnsupported, "wants equal pads on both sides");
  const Ints kernel = node.Ints("kernel_shape", {}), strides = node.Ints("strides", {1, 1});
  for (const std::int64_t dilation : node.Ints("dilations", {})) {
    if (dilation != 1) FailNode(node, ErrorCode::kUnsupported, "is dilated");
  }
  const bool ceil_mode = node.Int("ceil_mode", 0) != 0, count_pad = node.Int("count_include_pad", 0) != 0;
  return [=](OpCall& call) {
    call.out = {at::avg_pool2d(call.in[0], kernel, strides, pads.symmetric, ceil_mode, count_pad)};
  };
}

// [out, in] weights of asymmetric linear interpolation along one axis: source = i * in / out, edge clamped.
torch::Tensor AsymmetricMatrix(std::int64_t in, std::int64_t out) {
  torch::Tensor matrix = torch::zeros({out, in});
  auto entries = matrix.accessor<float, 2>();
  for (std::int64_t i = 0; i < out; ++i) {
    const double source = static_cast<double>(i) * in / out;
    const std::int64_t low = std::min<std::int64_t>(static_cast<std::int64_t>(source), in - 1);
    const std::int64_t high = std::min(low + 1, in - 1);
    const float part = static_cast<float>(source - low);
    entries[i][low] += 1.0f - part;
    entries[i][high] += part;
  }
  return matrix;
}

TorchOp CompileResizeLike(const Node& node) {
  const std::string mode = node.String("mode", "linear"),
                    coordinates = node.String("coordinates", "half_pixel");
  if ((mode != "linear" && mode != "nearest") ||
      (coordinates != "half_pixel" && coordinates != "align_corners" && coordinates != "asymmetric") ||
      (mode == "nearest" && coordinates == "align_corners")) {
    FailNode(node, ErrorCode::kUnsupported,
             fmt::format("has no form for mode {} with {}", mode, coordinates));
  }
  return [=](OpCall& call) {
    const torch::Tensor& x = call.in[0];
    const std::int64_t height = call.in[1].size(2), width = call.in[1].size(3);
    if (x.size(2) == height && x.size(3) == width) {
      call.out = {x};
    } else if (mode == "nearest") {
      call.out = {coordinates == "asymmetric" ? at::upsample_nearest2d(x, {height, width})
                                              : at::_upsample_nearest_exact2d(x, {height, width})};
    } else if (coordinates == "asymmetric") {
      const auto rows = AsymmetricMatrix(x.size(2), height).to(x.options());
      const auto columns = AsymmetricMatrix(x.size(3), width).to(x.options());
      call.out = {at::matmul(rows, at::matmul(x, columns.t()))};
    } else {
      call.out = {at::upsample_bilinear2d(x, {height, width}, coordinates == "align_corners")};
    }
  };
}

TorchOp CompileSpectralPool(const Node& node) {
  auto table = std::make_shared<SpectralTable>(node);
  return [table](OpCall& call) {
    const torch::Tensor& x = call.in[0];
    // The basis is float32, and so are products and sum; the result has x's type.
    call.out = {at::sum(x * table->Basis(x.size(2), x.size(3), x.device()), {2, 3}, /*keepdim=*/true)
                    .to(x.scalar_type())};
  };
}

TorchOp CompileDropChannels(const Node& node) {
  const double p = node.Float("p", 0.5f);
  if (!(p >= 0 && p < 1)) FailNode(node, ErrorCode::kCorruptFile, fmt::format("p = {} is outside [0, 1)", p));
  return [=](OpCall& call) {
    const torch::Tensor& x = call.in[0];
    const bool drops = call.training && p > 0 && call.masks != nullptr;
    call.out = {drops ? x * call.masks->Of(call.node, p, x) : x};
  };
}

TorchOp CompilePRelu() {
  return [](OpCall& call) { call.out = {at::prelu(call.in[0], call.in[1].reshape({-1}))}; };
}

TorchOp CompileUnpool() {
  return [](OpCall& call) {
    const torch::Tensor& ref = call.in[2];
    call.out = {at::max_unpool2d(call.in[0], call.in[1].to(torch::kInt64), {ref.size(2), ref.size(3)})};
  };
}

TorchOp CompileClip(const Node& node, const Graph& graph) {
  const auto bound = [&](std::size_t i, const char* attribute) -> c10::optional<at::Scalar> {
    if (node.Has(attribute)) return at::Scalar(node.Float(attribute, 0));
    if (node.inputs.size() <= i || node.inputs[i].empty()) return c10::nullopt;
    return at::Scalar(ConstantOf(node, graph, i).ToVector<double>().at(0));
  };
  const auto low = bound(1, "min"), high = bound(2, "max");
  return [=](OpCall& call) { call.out = {low || high ? at::clamp(call.in[0], low, high) : call.in[0]}; };
}

using Unary = torch::Tensor (*)(const torch::Tensor&);
TorchOp Pointwise(Unary function) {
  return [=](OpCall& call) { call.out = {function(call.in[0])}; };
}
using Binary = torch::Tensor (*)(const torch::Tensor&, const torch::Tensor&);
TorchOp Pairwise(Binary function) {
  return [=](OpCall& call) { call.out = {function(call.in[0], call.in[1])}; };
}

TorchOp CompileActivation(const Node& node) {
  const std::string& op = node.op;
  if (op == "Relu") return Pointwise([](const torch::Tensor& x) { return at::relu(x); });
  if (op == "Sigmoid") return Pointwise([](const torch::Tensor& x) { return at::sigmoid(x); });
  if (op == "Tanh") return Pointwise([](const torch::Tensor& x) { return at::tanh(x); });
  if (op == "Neg") return Pointwise([](const torch::Tensor& x) { return at::neg(x); });
  if (op == "Exp") return Pointwise([](const torch::Tensor& x) { return at::exp(x); });
  if (op == "Log") return Pointwise([](const torch::Tensor& x) { return at::log(x); });
  if (op == "Sqrt") return Pointwise([](const torch::Tensor& x) { return at::sqrt(x); });
  if (op == "Abs") return Pointwise([](const torch::Tensor& x) { return at::abs(x); });
  if (op == "Ceil") return Pointwise([](const torch::Tensor& x) { return at::ceil(x.detach()); });
  if (op == "Floor") return Pointwise([](const torch::Tensor& x) { return at::floor(x.detach()); });
  if (op == "Identity" || op == "Dropout") return [](OpCall& call) { call.out = {call.in[0]}; };
  if (op == "HardSwish") return Pointwise([](const torch::Tensor& x) { return at::hardswish(x); });
  if (op == "HardSigmoid") {
    const double slope = node.Float("alpha", 0.2f), offset = node.Float("beta", 0.5f);
    return [=](OpCall& call) { call.out = {at::clamp(call.in[0] * slope + offset, 0, 1)}; };
  }
  if (op == "LeakyRelu") {
    const double slope = node.Float("alpha", 0.01f);
    return [=](OpCall& call) { call.out = {at::leaky_relu(call.in[0], slope)}; };
  }
  if (op == "Elu") {
    const double alpha = node.Float("alpha", 1.0f);
    return [=](OpCall& call) { call.out = {at::elu(call.in[0], alpha)}; };
  }
  return {};
}

TorchOp CompileArithmetic(const Node& node) {
  const std::string& op = node.op;
  using T = torch::Tensor;
  if (op == "Add") return Pairwise([](const T& a, const T& b) { return at::add(a, b); });
  if (op == "Sub") return Pairwise([](const T& a, const T& b) { return at::sub(a, b); });
  if (op == "Mul") return Pairwise([](const T& a, const T& b) { return at::mul(a, b); });
  if (op == "Div") return Pairwise([](const T& a, const T& b) { return at::div(a, b); });
  if (op == "Pow") return Pairwise([](const T& a, const T& b) { return at::pow(a, b); });
  if (op == "Max" || op == "Min") {
    return [largest = op == "Max"](OpCall& call) {
      T found = call.in.at(0);
      for (std::size_t i = 1; i < call.in.size(); ++i)
        found = largest ? at::maximum(found, call.in[i]) : at::minimum(found, call.in[i]);
      call.out = {found};
    };
  }
  if (op == "MatMul") return Pairwise([](const T& a, const T& b) { return at::matmul(a, b); });
  return {};
}

}  // namespace

double TorchMomentum(const Node& batch_norm) {
  return std::round((1.0 - batch_norm.Float("momentum", 0.9f)) * 1e6) / 1e6;
}

double TorchEpsilon(const Node& batch_norm) {
  return std::stod(fmt::format("{:.6g}", batch_norm.Float("epsilon", 1e-5f)));
}

torch::Tensor SpectralTable::Basis(std::int64_t height, std::int64_t width, torch::Device device) {
  const std::lock_guard lock(mutex_);
  torch::Tensor& kept = plain_[{height, width}];
  if (!kept.defined() || kept.device() != device) {
    const PoolMatrices matrices = SpectralPoolMatrices(node_, height, width);
    const auto product = at::matmul(ToTorch(matrices.rows).transpose(1, 2).to(torch::kFloat64),
                                    ToTorch(matrices.columns).transpose(1, 2).to(torch::kFloat64));
    kept = product.to(torch::kFloat32).permute({1, 2, 0}).contiguous().permute({2, 0, 1}).to(device);
  }
  return kept;
}

torch::Tensor SpectralTable::Blocked(std::int64_t height, std::int64_t width) {
  const torch::Tensor plain = Basis(height, width, torch::kCPU);
  const std::lock_guard lock(mutex_);
  torch::Tensor& kept = blocked_[{height, width}];
  if (!kept.defined()) {
    kept = plain.permute({1, 2, 0})
               .reshape({height, width, plain.size(0) / 16, 16})
               .permute({2, 0, 1, 3})
               .contiguous();
  }
  return kept;
}

TorchOp CompileOp(const Node& node, const Graph& graph) {
  const std::string& op = node.op;
  if (op == "Conv") return CompileConv(node, false);
  if (op == "ConvTranspose") return CompileConv(node, true);
  if (op == "BatchNormalization") return CompileBatchNorm(node);
  if (op == "MaxPool") return CompileMaxPool(node);
  if (op == "AveragePool") return CompileAveragePool(node);
  if (op == "ResizeLike") return CompileResizeLike(node);
  if (op == "SpectralPool") return CompileSpectralPool(node);
  if (op == "DropChannels") return CompileDropChannels(node);
  if (op == "FakeQuantize") {
    const double step = node.Float("step", 1);
    const auto zero = static_cast<int>(node.Int("zero", 0));
    return [=](OpCall& call) { call.out = {FakeQuantize(call.in[0], step, zero)}; };
  }
  if (op == "FakeQuantizeWeight") return Pointwise(FakeQuantizeWeight);
  if (op == "PRelu") return CompilePRelu();
  if (op == "Unpool") return CompileUnpool();
  if (op == "Clip") return CompileClip(node, graph);
  if (op == "AdaptiveAveragePool") {
    const Ints out = node.Ints("out", {1, 1});
    return [=](OpCall& call) { call.out = {at::adaptive_avg_pool2d(call.in[0], out)}; };
  }
  if (op == "GlobalAveragePool") {
    return [](OpCall& call) { call.out = {at::mean(call.in[0], {2, 3}, /*keepdim=*/true)}; };
  }
  if (TorchOp run = CompileActivation(node)) return run;
  if (TorchOp run = CompileArithmetic(node)) return run;
  if (TorchOp run = CompileShapeOp(node, graph)) return run;
  FailNode(node, ErrorCode::kUnsupported, "has no libtorch form, so networks with it cannot be trained");
}

}  // namespace frf
