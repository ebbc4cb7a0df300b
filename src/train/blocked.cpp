// SPDX-License-Identifier: Apache-2.0
// Autograd functions over the kernels. Subtle: incoming gradients may be views (a slice of a concatenation),
// so each is made contiguous before a kernel sees it; and what a backward pass needs is what the forward pass
// read, never its result.
#include "train/blocked.h"

#include <omp.h>

#include <cmath>

#include "train/kernels/batch_norm.h"
#include "train/kernels/fusion.h"
#include "train/sync_batch_norm.h"

namespace frf {
namespace {

using torch::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

// autograd::Function takes no undefined tensors: an input that is left out is an empty one.
Tensor OrEmpty(const Tensor& tensor) { return tensor.defined() ? tensor : torch::empty({0}); }
bool Given(const Tensor& tensor) { return tensor.defined() && tensor.numel() > 0; }

const float* Data(const Tensor& tensor) { return Given(tensor) ? tensor.data_ptr<float>() : nullptr; }
float* Mutable(const Tensor& tensor) { return Given(tensor) ? tensor.data_ptr<float>() : nullptr; }

BlockedShape ShapeOf(const Tensor& x) { return {x.size(0), x.size(1), x.size(2) * x.size(3)}; }

// Anything that a Function has to remember besides tensors.
template <typename T>
struct Holder : torch::CustomClassHolder {
  explicit Holder(T kept) : value(std::move(kept)) {}
  T value;
};
template <typename T>
void Keep(AutogradContext* context, const char* key, T value) {
  context->saved_data[key] = c10::IValue::make_capsule(c10::make_intrusive<Holder<T>>(std::move(value)));
}
template <typename T>
const T& Kept(AutogradContext* context, const char* key) {
  return static_cast<const Holder<T>&>(*context->saved_data[key].toCapsule()).value;
}

class ConvFunction : public Function<ConvFunction> {
 public:
  static Tensor forward(AutogradContext* context, const Tensor& x, const Tensor& weight, const Tensor& bias,
                        std::shared_ptr<const BlockedConvSpec> spec) {
    const ConvolutionShape shape{.images = x.size(0),
                                 .in = weight.size(1),
                                 .out = weight.size(0),
                                 .height = x.size(2),
                                 .width = x.size(3),
                                 .kernel = {weight.size(2), weight.size(3)},
                                 .stride = spec->stride,
                                 .pad = spec->pad,
                                 .dilation = spec->dilation};
    const auto kernel = spec->KernelFor(shape, weight, Given(bias));
    Tensor y = torch::empty({shape.images, shape.out_blocks(), shape.out_height(), shape.out_width(), 16},
                            x.options());
    kernel->Forward(Data(x), Data(weight), Data(bias), Mutable(y));
    context->save_for_backward({x, weight});
    context->saved_data["bias"] = Given(bias);
    context->saved_data["input"] = x.requires_grad() && !spec->plain_input;
    Keep(context, "kernel", kernel);
    return y;
  }

  static variable_list backward(AutogradContext* context, variable_list incoming) {
    const auto saved = context->get_saved_variables();
    const Tensor &x = saved[0], &weight = saved[1], dy = incoming[0].contiguous();
    const auto& kernel = Kept<std::shared_ptr<BlockedConvolution>>(context, "kernel");
    Tensor dweight = torch::empty_like(weight), dbias, dx;
    if (context->saved_data["bias"].toBool()) dbias = torch::empty({weight.size(0)}, weight.options());
    kernel->BackwardWeights(Data(x), Data(dy), Mutable(dweight), Mutable(dbias));
    if (context->saved_data["input"].toBool()) {
      dx = torch::empty_like(x);
      kernel->BackwardData(Data(dy), Data(weight), Mutable(dx));
    }
    return {dx, dweight, dbias, Tensor()};
  }
};

class BatchNormFunction : public Function<BatchNormFunction> {
 public:
  static Tensor forward(AutogradContext* context, const Tensor& x, const Tensor& gamma, const Tensor& beta,
                        const Tensor& residual, const BlockedBatchNormArgs& args) {
    const BlockedShape shape = ShapeOf(x);
    const std::int64_t channels = shape.channels();
    // Rows: scale, offset, mean, inverse deviation.
    Tensor rows = torch::empty({4, channels});
    float *scale = Mutable(rows), *offset = scale + channels, *mean = offset + channels,
          *inverse = mean + channels;
    ChannelMoments moments;
    if (args.training) {
      moments = Moments(Data(x), shape);
      double count = static_cast<double>(shape.images * shape.pixels);
      if (args.distributed != nullptr) count = SumMoments(*args.distributed, moments, count);
      UpdateRunning(args, moments, count);
      context->saved_data["count"] = count;
    }
    for (std::int64_t c = 0; c < channels; ++c) {
      const double center = args.training ? moments.mean[c] : static_cast<double>(Data(args.running_mean)[c]);
      const double spread =
          args.training ? moments.variance[c] : static_cast<double>(Data(args.running_variance)[c]);
      const double one_over = 1.0 / std::sqrt(spread + args.epsilon),
                   factor = static_cast<double>(Data(gamma)[c]) * one_over;
      scale[c] = static_cast<float>(factor);
      offset[c] = static_cast<float>(static_cast<double>(Data(beta)[c]) - center * factor);
      mean[c] = static_cast<float>(center);
      inverse[c] = static_cast<float>(one_over);
    }
    Tensor y = torch::empty_like(x);
    Normalize({Data(x), Data(residual), scale, offset, Mutable(y), args.relu}, shape);
    context->save_for_backward({x, rows});
    context->saved_data["relu"] = args.relu;
    context->saved_data["training"] = args.training;
    context->saved_data["residual"] = Given(residual);
    Keep(context, "distributed", args.distributed);
    return y;
  }

  static variable_list backward(AutogradContext* context, variable_list incoming) {
    const auto saved = context->get_saved_variables();
    const Tensor &x = saved[0], &rows = saved[1], dy = incoming[0].contiguous();
    const BlockedShape shape = ShapeOf(x);
    const std::int64_t channels = shape.channels();
    const float* scale = Data(rows);
    Tensor dx = torch::empty_like(x), dgamma = torch::empty({channels}), dbeta = torch::empty({channels});
    BatchNormBackwardArgs args{Data(x),
                               Data(dy),
                               scale,
                               scale + channels,
                               scale + 2 * channels,
                               scale + 3 * channels,
                               Mutable(dx),
                               Mutable(dgamma),
                               Mutable(dbeta),
                               context->saved_data["relu"].toBool(),
                               context->saved_data["training"].toBool()};
    Distributed* distributed = Kept<Distributed*>(context, "distributed");
    if (distributed != nullptr && args.batch_statistics) {
      args.sum_over_processes = [distributed](std::vector<double>& sums) { distributed->Sum(sums); };
      args.pixels = context->saved_data["count"].toDouble();
    }
    BatchNormBackward(args, shape);
    return {dx, dgamma, dbeta, context->saved_data["residual"].toBool() ? dy : Tensor(), Tensor()};
  }

 private:
  // torch: running = (1 - momentum) * running + momentum * batch, with the unbiased variance.
  static void UpdateRunning(const BlockedBatchNormArgs& args, const ChannelMoments& moments, double count) {
    const double unbiased = count / std::max(count - 1, 1.0);
    float *mean = Mutable(args.running_mean), *variance = Mutable(args.running_variance);
    for (std::size_t c = 0; c < moments.mean.size(); ++c) {
      mean[c] = static_cast<float>((1 - args.momentum) * static_cast<double>(mean[c]) +
                                   args.momentum * moments.mean[c]);
      variance[c] = static_cast<float>((1 - args.momentum) * static_cast<double>(variance[c]) +
                                       args.momentum * unbiased * moments.variance[c]);
    }
  }
};

class GateFunction : public Function<GateFunction> {
 public:
  static Tensor forward(AutogradContext* context, const Tensor& o, const Tensor& l) {
    Tensor y = torch::empty_like(o);
    GateForward(Data(o), Data(l), Mutable(y), o.numel());
    context->save_for_backward({o, l});
    return y;
  }
  static variable_list backward(AutogradContext* context, variable_list incoming) {
    const auto saved = context->get_saved_variables();
    const Tensor dy = incoming[0].contiguous();
    Tensor d_o = torch::empty_like(dy), d_l = torch::empty_like(dy);
    GateBackward(Data(saved[0]), Data(saved[1]), Data(dy), Mutable(d_o), Mutable(d_l), dy.numel());
    return {d_o, d_l};
  }
};

class MaskedSumFunction : public Function<MaskedSumFunction> {
 public:
  static Tensor forward(AutogradContext* context, const Tensor& o, const Tensor& y, double threshold) {
    Tensor z = torch::empty_like(o);
    MaskedSumForward(Data(o), Data(y), static_cast<float>(threshold), Mutable(z), o.numel());
    context->save_for_backward({o, y});
    context->saved_data["threshold"] = threshold;
    return z;
  }
  static variable_list backward(AutogradContext* context, variable_list incoming) {
    const auto saved = context->get_saved_variables();
    const Tensor dz = incoming[0].contiguous();
    Tensor d_o = torch::empty_like(dz), d_y = torch::empty_like(dz);
    MaskedSumBackward(Data(saved[0]), Data(saved[1]),
                      static_cast<float>(context->saved_data["threshold"].toDouble()), Data(dz), Mutable(d_o),
                      Mutable(d_y), dz.numel());
    return {d_o, d_y, Tensor()};
  }
};

class SpectralFunction : public Function<SpectralFunction> {
 public:
  static Tensor forward(AutogradContext* context, const Tensor& x, const Tensor& basis) {
    Tensor d = torch::empty({x.size(0), x.size(1), 1, 1, 16}, x.options());
    SpectralForward(Data(x), Data(basis), Mutable(d), ShapeOf(x));
    context->save_for_backward({basis});
    context->saved_data["size"] = x.sizes().vec();
    return d;
  }
  static variable_list backward(AutogradContext* context, variable_list incoming) {
    const Tensor basis = context->get_saved_variables()[0], d_d = incoming[0].contiguous();
    Tensor dx = torch::empty(context->saved_data["size"].toIntVector(), basis.options());
    SpectralBackward(Data(d_d), Data(basis), Mutable(dx), ShapeOf(dx));
    return {dx, Tensor()};
  }
};

class ResizeFunction : public Function<ResizeFunction> {
 public:
  static Tensor forward(AutogradContext* context, const Tensor& x, std::int64_t height, std::int64_t width) {
    Tensor y = torch::empty({x.size(0), x.size(1), height, width, 16}, x.options());
    ResizeForward(Data(x), Mutable(y), Of(x.sizes(), y.sizes()));
    context->saved_data["size"] = x.sizes().vec();
    return y;
  }
  static variable_list backward(AutogradContext* context, variable_list incoming) {
    const Tensor dy = incoming[0].contiguous();
    Tensor dx = torch::empty(context->saved_data["size"].toIntVector(), dy.options());
    ResizeBackward(Data(dy), Mutable(dx), Of(dx.sizes(), dy.sizes()));
    return {dx, Tensor(), Tensor()};
  }

 private:
  static ResizeShape Of(at::IntArrayRef in, at::IntArrayRef out) {
    return {in[0] * in[1], static_cast<int>(in[2]), static_cast<int>(in[3]), static_cast<int>(out[2]),
            static_cast<int>(out[3])};
  }
};

// torch's rule: in ceil mode the last window must start inside the input or its left padding.
std::int64_t PooledSize(std::int64_t size, std::int64_t kernel, std::int64_t stride, std::int64_t pad,
                        bool ceil_mode) {
  std::int64_t out = (size + 2 * pad - kernel + (ceil_mode ? stride - 1 : 0)) / stride + 1;
  if (ceil_mode && (out - 1) * stride >= size + pad) --out;
  return out;
}

class MaxPoolFunction : public Function<MaxPoolFunction> {
 public:
  static Tensor forward(AutogradContext* context, const Tensor& x, const BlockedPoolSpec& spec) {
    const PoolShape shape{
        .maps = x.size(0) * x.size(1),
        .height = x.size(2),
        .width = x.size(3),
        .out_height = PooledSize(x.size(2), spec.kernel[0], spec.stride[0], spec.pad[0], spec.ceil_mode),
        .out_width = PooledSize(x.size(3), spec.kernel[1], spec.stride[1], spec.pad[1], spec.ceil_mode),
        .kernel_h = spec.kernel[0],
        .kernel_w = spec.kernel[1],
        .stride_h = spec.stride[0],
        .stride_w = spec.stride[1],
        .pad_h = spec.pad[0],
        .pad_w = spec.pad[1]};
    Tensor y = torch::empty({x.size(0), x.size(1), shape.out_height, shape.out_width, 16}, x.options());
    Tensor chosen = torch::empty(y.sizes(), torch::kUInt8);
    MaxPoolForward(Data(x), Mutable(y), chosen.data_ptr<std::uint8_t>(), shape);
    context->saved_data["chosen"] = chosen;
    context->saved_data["size"] = x.sizes().vec();
    Keep(context, "shape", shape);
    return y;
  }
  static variable_list backward(AutogradContext* context, variable_list incoming) {
    const Tensor dy = incoming[0].contiguous();
    Tensor dx = torch::empty(context->saved_data["size"].toIntVector(), dy.options());
    MaxPoolBackward(Data(dy), context->saved_data["chosen"].toTensor().data_ptr<std::uint8_t>(), Mutable(dx),
                    Kept<PoolShape>(context, "shape"));
    return {dx, Tensor()};
  }
};

}  // namespace

Tensor ToBlocked(const Tensor& map) {
  return map.permute({0, 2, 3, 1})
      .reshape({map.size(0), map.size(2), map.size(3), map.size(1) / 16, 16})
      .permute({0, 3, 1, 2, 4})
      .contiguous();
}

Tensor FromBlocked(const Tensor& blocked) {
  return blocked.permute({0, 2, 3, 1, 4})
      .reshape({blocked.size(0), blocked.size(2), blocked.size(3), blocked.size(1) * 16})
      .permute({0, 3, 1, 2});
}

std::shared_ptr<BlockedConvolution> BlockedConvSpec::KernelFor(const ConvolutionShape& shape,
                                                               const Tensor& weight, bool bias) const {
  const std::array<std::int64_t, 4> strides{weight.stride(0), weight.stride(1), weight.stride(2),
                                            weight.stride(3)};
  const std::lock_guard lock(mutex_);
  auto& kernel = kernels_[{shape, strides, omp_get_max_threads()}];
  if (kernel == nullptr) {
    kernel = std::make_shared<BlockedConvolution>(
        shape,
        ConvolutionOptions{
            .winograd = winograd, .plain_input = plain_input, .bias = bias, .weight_strides = strides});
  }
  return kernel;
}

Tensor BlockedConv(const Tensor& x, const Tensor& weight, const Tensor& bias,
                   std::shared_ptr<const BlockedConvSpec> spec) {
  const Tensor input = x.contiguous();  // a plain image may be channels last
  const Tensor y = ConvFunction::apply(input, weight, OrEmpty(bias), std::move(spec));
  const std::int64_t out = weight.size(0);
  if (out % 16 == 0) return y;
  // N x blocks x H x W x 16 -> N x C x H x W; one block needs no copy.
  return y.permute({0, 1, 4, 2, 3})
      .reshape({y.size(0), y.size(1) * 16, y.size(2), y.size(3)})
      .narrow(1, 0, out);
}

Tensor BlockedBatchNorm(const BlockedBatchNormArgs& args) {
  return BatchNormFunction::apply(args.x, args.gamma, args.beta, OrEmpty(args.residual), args);
}

Tensor BlockedGate(const Tensor& o, const Tensor& l) { return GateFunction::apply(o, l); }
Tensor BlockedMaskedSum(const Tensor& o, const Tensor& y, double threshold) {
  return MaskedSumFunction::apply(o, y, threshold);
}
Tensor BlockedSpectral(const Tensor& x, const Tensor& basis) { return SpectralFunction::apply(x, basis); }

Tensor BlockedResize(const Tensor& x, std::int64_t height, std::int64_t width) {
  if (x.size(2) == height && x.size(3) == width) return x;
  return ResizeFunction::apply(x, height, width);
}

Tensor BlockedMaxPool(const Tensor& x, const BlockedPoolSpec& spec) {
  return MaxPoolFunction::apply(x, spec);
}

}  // namespace frf
