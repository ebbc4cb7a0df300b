// SPDX-License-Identifier: Apache-2.0
// Subtle: what is summed are n, n * mean and n * (variance + mean^2), in double, so that the result does not
// depend on how pixels are dealt out, but for rounding far below float's.
#include "train/sync_batch_norm.h"

#include <algorithm>
#include <vector>

namespace frf {
namespace {

using torch::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::Function;
using torch::autograd::variable_list;

// All axes but the channels'.
std::vector<std::int64_t> OtherAxes(const Tensor& x) {
  std::vector<std::int64_t> axes{0};
  for (std::int64_t axis = 2; axis < x.dim(); ++axis) axes.push_back(axis);
  return axes;
}

// A value per channel, to be multiplied with x.
Tensor PerChannel(const Tensor& values, const Tensor& x) {
  std::vector<std::int64_t> shape(static_cast<std::size_t>(x.dim()), 1);
  shape[1] = -1;
  return values.to(x.scalar_type()).reshape(shape);
}

Tensor AtLeastFloat(const Tensor& x) {
  return x.scalar_type() == torch::kFloat64 ? x : x.to(torch::kFloat32);
}

class SyncFunction : public Function<SyncFunction> {
 public:
  static Tensor forward(AutogradContext* context, const Tensor& input, const Tensor& gamma,
                        const Tensor& beta, const SyncBatchNormArgs& args) {
    const Tensor x = AtLeastFloat(input);
    const auto [own_variance, own_mean] = at::var_mean(x, OtherAxes(x), /*unbiased=*/false);
    const Tensor own = own_mean.to(torch::kFloat64);
    const double pixels = static_cast<double>(x.numel()) / static_cast<double>(x.size(1));
    // Stays on the device: nothing here waits for a GPU.
    Tensor sums = at::cat({own * pixels, (own_variance.to(torch::kFloat64) + own * own) * pixels,
                           torch::full({1}, pixels, own.options())});
    args.distributed->Sum(sums);
    const std::int64_t channels = x.size(1);
    const Tensor count = sums[2 * channels], mean = sums.narrow(0, 0, channels) / count,
                 variance = (sums.narrow(0, channels, channels) / count - mean * mean).clamp_min(0),
                 inverse = (variance + args.epsilon).rsqrt();
    UpdateRunning(args, mean, variance * count / (count - 1).clamp_min(1));
    const Tensor scale = gamma.to(torch::kFloat64) * inverse,
                 offset = beta.to(torch::kFloat64) - mean * scale;
    context->save_for_backward({input, mean, inverse, scale, count});
    Keep(context, args.distributed);
    return (x * PerChannel(scale, x) + PerChannel(offset, x)).to(input.scalar_type());
  }

  static variable_list backward(AutogradContext* context, variable_list incoming) {
    const auto saved = context->get_saved_variables();
    const Tensor x = AtLeastFloat(saved[0]), dy = AtLeastFloat(incoming[0]);
    const Tensor &mean = saved[1], &inverse = saved[2], &scale = saved[3], &count = saved[4];
    const Tensor centered = x - PerChannel(mean, x);
    const Tensor sum = dy.sum(OtherAxes(x), false, torch::kFloat64),
                 product = (dy * centered).sum(OtherAxes(x), false, torch::kFloat64);
    Tensor sums = at::cat({sum, product});
    Kept(context)->Sum(sums);
    const std::int64_t channels = x.size(1);
    const Tensor constant = sums.narrow(0, 0, channels) / count,
                 slope = sums.narrow(0, channels, channels) / count * inverse * inverse;
    const Tensor dx = (dy - PerChannel(constant, x) - centered * PerChannel(slope, x)) * PerChannel(scale, x);
    return {dx.to(saved[0].scalar_type()), (product * inverse).to(x.scalar_type()), sum.to(x.scalar_type()),
            Tensor()};
  }

 private:
  static void UpdateRunning(const SyncBatchNormArgs& args, const Tensor& mean, const Tensor& unbiased) {
    const torch::NoGradGuard no_gradients;
    Tensor running_mean = args.running_mean, running_variance = args.running_variance;
    running_mean.lerp_(mean.to(running_mean.scalar_type()), args.momentum);
    running_variance.lerp_(unbiased.to(running_variance.scalar_type()), args.momentum);
  }

  static void Keep(AutogradContext* context, Distributed* distributed) {
    context->saved_data["distributed"] =
        static_cast<std::int64_t>(reinterpret_cast<std::intptr_t>(distributed));
  }
  static Distributed* Kept(AutogradContext* context) {
    return reinterpret_cast<Distributed*>(
        static_cast<std::intptr_t>(context->saved_data["distributed"].toInt()));
  }
};

}  // namespace

double SumMoments(Distributed& distributed, ChannelMoments& moments, double pixels) {
  const std::size_t channels = moments.mean.size();
  std::vector<double> sums(2 * channels + 1);
  for (std::size_t c = 0; c < channels; ++c) {
    sums[c] = pixels * moments.mean[c];
    sums[channels + c] = pixels * (moments.variance[c] + moments.mean[c] * moments.mean[c]);
  }
  sums[2 * channels] = pixels;
  distributed.Sum(sums);
  const double count = sums[2 * channels];
  for (std::size_t c = 0; c < channels; ++c) {
    moments.mean[c] = sums[c] / count;
    moments.variance[c] = std::max(0.0, sums[channels + c] / count - moments.mean[c] * moments.mean[c]);
  }
  return count;
}

Tensor SyncBatchNorm(const SyncBatchNormArgs& args) {
  return SyncFunction::apply(args.x, args.gamma, args.beta, args);
}

}  // namespace frf
