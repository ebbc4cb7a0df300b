// SPDX-License-Identifier: Apache-2.0
// See batch_norm.h. Work is cut into (image, block of 16 channels) pairs; a pair's pixels are contiguous.
#include "train/kernels/batch_norm.h"

#include "train/kernels/simd.h"

namespace frf {
namespace {

constexpr std::int64_t kRun = 256;  // pixels summed in float

// sums[0..16): of x - shift; sums[16..32): of its square.
FRF_KERNEL void MomentsOfBlock(const float* x, std::int64_t pixels, const float* shift, double* sums) {
  const Float16 k = At(shift);
  for (std::int64_t begin = 0; begin < pixels; begin += kRun) {
    const std::int64_t end = begin + kRun < pixels ? begin + kRun : pixels;
    Float16 s0{}, s1{}, q0{}, q1{};
    std::int64_t i = begin;
    for (; i + 2 <= end; i += 2) {
      const Float16 a = At(x + i * 16) - k, b = At(x + i * 16 + 16) - k;
      s0 += a;
      s1 += b;
      q0 += a * a;
      q1 += b * b;
    }
    if (i < end) {
      const Float16 a = At(x + i * 16) - k;
      s0 += a;
      q0 += a * a;
    }
    s0 += s1;
    q0 += q1;
    for (int c = 0; c < 16; ++c) {
      sums[c] += static_cast<double>(s0[c]);
      sums[16 + c] += static_cast<double>(q0[c]);
    }
  }
}

FRF_KERNEL void NormalizeBlock(float* y, const float* x, const float* residual, const float* scale,
                               const float* offset, std::int64_t pixels, bool relu) {
  const Float16 a = At(scale), b = At(offset), zero{};
  if (relu && residual != nullptr) {
    for (std::int64_t i = 0; i < pixels * 16; i += 16) {
      const Float16 v = At(x + i) * a + b;
      At(y + i) = (v < zero ? zero : v) + At(residual + i);
    }
  } else if (relu) {
    for (std::int64_t i = 0; i < pixels * 16; i += 16) {
      const Float16 v = At(x + i) * a + b;
      At(y + i) = v < zero ? zero : v;
    }
  } else if (residual != nullptr) {
    for (std::int64_t i = 0; i < pixels * 16; i += 16) At(y + i) = At(x + i) * a + b + At(residual + i);
  } else {
    for (std::int64_t i = 0; i < pixels * 16; i += 16) At(y + i) = At(x + i) * a + b;
  }
}

// sums[0..16): of dy through the ReLU; sums[16..32): of that times (x - mean).
FRF_KERNEL void GradientSumsOfBlock(const float* x, const float* dy, const float* scale, const float* offset,
                                    const float* mean, std::int64_t pixels, bool relu, double* sums) {
  const Float16 a = At(scale), b = At(offset), m = At(mean), zero{};
  for (std::int64_t begin = 0; begin < pixels; begin += kRun) {
    const std::int64_t end = begin + kRun < pixels ? begin + kRun : pixels;
    Float16 s0{}, s1{}, q0{}, q1{};
    std::int64_t i = begin;
    for (; i + 2 <= end; i += 2) {
      const Float16 x0 = At(x + i * 16), x1 = At(x + i * 16 + 16);
      Float16 g0 = At(dy + i * 16), g1 = At(dy + i * 16 + 16);
      if (relu) {
        g0 = x0 * a + b > zero ? g0 : zero;
        g1 = x1 * a + b > zero ? g1 : zero;
      }
      s0 += g0;
      s1 += g1;
      q0 += g0 * (x0 - m);
      q1 += g1 * (x1 - m);
    }
    if (i < end) {
      const Float16 x0 = At(x + i * 16);
      Float16 g0 = At(dy + i * 16);
      if (relu) g0 = x0 * a + b > zero ? g0 : zero;
      s0 += g0;
      q0 += g0 * (x0 - m);
    }
    s0 += s1;
    q0 += q1;
    for (int c = 0; c < 16; ++c) {
      sums[c] += static_cast<double>(s0[c]);
      sums[16 + c] += static_cast<double>(q0[c]);
    }
  }
}

// dx = scale * dy' + slope * (x - mean) + constant.
FRF_KERNEL void GradientBlock(float* dx, const float* x, const float* dy, const float* scale,
                              const float* offset, const float* mean, const float* slope,
                              const float* constant, std::int64_t pixels, bool relu) {
  const Float16 a = At(scale), b = At(offset), m = At(mean), k1 = At(slope), k0 = At(constant), zero{};
  if (relu) {
    for (std::int64_t i = 0; i < pixels * 16; i += 16) {
      const Float16 v = At(x + i), g = At(dy + i);
      At(dx + i) = a * (v * a + b > zero ? g : zero) + (k1 * (v - m) + k0);
    }
  } else {
    for (std::int64_t i = 0; i < pixels * 16; i += 16)
      At(dx + i) = a * At(dy + i) + (k1 * (At(x + i) - m) + k0);
  }
}

// Sums over images, in order.
void Combine(const std::vector<double>& partial, const BlockedShape& shape, std::int64_t channel,
             double* first, double* second) {
  const std::int64_t block = channel / 16, lane = channel % 16;
  *first = *second = 0;
  for (std::int64_t n = 0; n < shape.images; ++n) {
    const double* sums = &partial[static_cast<std::size_t>((n * shape.blocks + block) * 32)];
    *first += sums[lane];
    *second += sums[16 + lane];
  }
}

}  // namespace

ChannelMoments Moments(const float* x, const BlockedShape& shape) {
  const std::int64_t items = shape.images * shape.blocks;
  std::vector<double> partial(static_cast<std::size_t>(items) * 32, 0.0);
#pragma omp parallel for schedule(static)
  for (std::int64_t item = 0; item < items; ++item) {
    // The shift is the same for all images: the first pixel of the first.
    MomentsOfBlock(x + item * shape.pixels * 16, shape.pixels, x + item % shape.blocks * shape.pixels * 16,
                   &partial[static_cast<std::size_t>(item) * 32]);
  }
  ChannelMoments moments;
  const double count = static_cast<double>(shape.images * shape.pixels);
  for (std::int64_t c = 0; c < shape.channels(); ++c) {
    double sum, squares;
    Combine(partial, shape, c, &sum, &squares);
    const double shifted = sum / count, variance = squares / count - shifted * shifted;
    moments.mean.push_back(shifted + static_cast<double>(x[c / 16 * shape.pixels * 16 + c % 16]));
    moments.variance.push_back(variance < 0 ? 0 : variance);
  }
  return moments;
}

void Normalize(const NormalizeArgs& args, const BlockedShape& shape) {
  const std::int64_t items = shape.images * shape.blocks, run = shape.pixels * 16;
#pragma omp parallel for schedule(static)
  for (std::int64_t item = 0; item < items; ++item) {
    const std::int64_t channel = item % shape.blocks * 16;
    NormalizeBlock(args.y + item * run, args.x + item * run,
                   args.residual == nullptr ? nullptr : args.residual + item * run, args.scale + channel,
                   args.offset + channel, shape.pixels, args.relu);
  }
}

void BatchNormBackward(const BatchNormBackwardArgs& args, const BlockedShape& shape) {
  const std::int64_t items = shape.images * shape.blocks, run = shape.pixels * 16,
                     channels = shape.channels();
  std::vector<double> partial(static_cast<std::size_t>(items) * 32, 0.0);
  std::vector<float> slope(static_cast<std::size_t>(channels), 0.0f),
      constant(static_cast<std::size_t>(channels), 0.0f);
#pragma omp parallel for schedule(static)
  for (std::int64_t item = 0; item < items; ++item) {
    const std::int64_t channel = item % shape.blocks * 16;
    GradientSumsOfBlock(args.x + item * run, args.dy + item * run, args.scale + channel,
                        args.offset + channel, args.mean + channel, shape.pixels, args.relu,
                        &partial[static_cast<std::size_t>(item) * 32]);
  }
  std::vector<double> sums(static_cast<std::size_t>(channels) * 2);
  for (std::int64_t c = 0; c < channels; ++c) {
    double &sum = sums[static_cast<std::size_t>(c)], &product = sums[static_cast<std::size_t>(channels + c)];
    Combine(partial, shape, c, &sum, &product);
    args.dbeta[c] = static_cast<float>(sum);
    args.dgamma[c] = static_cast<float>(product * static_cast<double>(args.inverse_deviation[c]));
  }
  if (args.sum_over_processes) args.sum_over_processes(sums);
  const double count =
      args.sum_over_processes ? args.pixels : static_cast<double>(shape.images * shape.pixels);
  for (std::int64_t c = 0; c < channels && args.batch_statistics; ++c) {
    const double sum = sums[static_cast<std::size_t>(c)],
                 product = sums[static_cast<std::size_t>(channels + c)],
                 inverse = static_cast<double>(args.inverse_deviation[c]),
                 scale = static_cast<double>(args.scale[c]);
    slope[static_cast<std::size_t>(c)] = static_cast<float>(-scale * inverse * inverse * product / count);
    constant[static_cast<std::size_t>(c)] = static_cast<float>(-scale * sum / count);
  }
#pragma omp parallel for schedule(static)
  for (std::int64_t item = 0; item < items; ++item) {
    const std::int64_t channel = item % shape.blocks * 16;
    GradientBlock(args.dx + item * run, args.x + item * run, args.dy + item * run, args.scale + channel,
                  args.offset + channel, args.mean + channel, &slope[static_cast<std::size_t>(channel)],
                  &constant[static_cast<std::size_t>(channel)], shape.pixels, args.relu);
  }
}

}  // namespace frf
