// SPDX-License-Identifier: Apache-2.0
// Subtle: results take F(4,3), gradients F(6,3) where that is less work. F(6,3) errs four times as much (3e-6
// of the root mean square against 7e-7), which no gradient minds, but a ReLU or mask near its threshold does.
#include "train/kernels/winograd.h"

#if defined(__x86_64__)

#include <omp.h>

#include <algorithm>

#include "train/kernels/scratch.h"
#include "train/kernels/winograd_kernels.h"

namespace frf {
namespace {

thread_local Scratch packed_memory, scratch_memory;

constexpr std::size_t kL2Bytes = std::size_t{1} << 20;  // of CPUs with AVX-512, 1 to 2 MB

// The tile of fewer products, weights' transforms among them: those cost about as much as six tiles.
template <typename Work>
int TileFor(const Work& work) {
  const auto cost = [&](int tile) {
    Work with = work;
    with.tile = tile;
    return static_cast<double>(winograd::Tiles(with) + 6) * winograd::Points(tile);
  };
  return cost(6) < cost(4) ? 6 : 4;
}

void Convolve(winograd::Convolution conv, winograd::Packing packing) {
  const int threads = omp_get_max_threads();
  packing.tile = conv.tile;
  winograd::Plan(conv, threads, kL2Bytes);
  packing.packed = packed_memory.Floats(winograd::PackedFloats(packing.out, packing.in, conv.tile));
  packing.items = (packing.in + 15) / 16;
  conv.weights = packing.packed;
  const std::size_t floats = (winograd::ScratchFloats(conv) + 1023) / 1024 * 1024;
  float* const scratch = scratch_memory.Floats(floats * static_cast<std::size_t>(threads));
#pragma omp parallel num_threads(threads)
  {
#pragma omp for schedule(dynamic)
    for (int item = 0; item < packing.items; ++item) winograd::Pack(packing, item);
    float* const own = scratch + floats * static_cast<std::size_t>(omp_get_thread_num());
#pragma omp for schedule(dynamic)
    for (std::int64_t item = 0; item < conv.items; ++item) winograd::Run(conv, item, own);
  }
}

// Transformed tiles that lie between transform and product: as much as leaves room in the last cache.
constexpr std::size_t kTransformedBytes = std::size_t{6} << 20;

void SumGradient(winograd::Gradient gradient, const winograd::Packing& packing, float* weights) {
  const int threads = omp_get_max_threads();
  gradient.tile = TileFor(gradient);
  const int points = winograd::Points(gradient.tile);
  const auto all = winograd::Tiles(gradient);
  const auto channels = static_cast<std::size_t>(gradient.src.blocks + gradient.dst.blocks) * 16;
  const auto fit = static_cast<std::int64_t>(
      std::max<std::size_t>(kTransformedBytes / (sizeof(float) * points * channels), 32));
  const std::int64_t parts = (all + fit - 1) / fit;
  gradient.room = static_cast<int>((all + parts - 1) / parts);
  const std::size_t src = winograd::SrcPoint(gradient) * points, dst = winograd::DstPoint(gradient) * points;
  gradient.transformed_src = scratch_memory.Floats(src + dst);
  gradient.transformed_dst = gradient.transformed_src + src;
  gradient.sums = packed_memory.Floats(winograd::PackedFloats(packing.out, packing.in, gradient.tile));
#pragma omp parallel num_threads(threads) firstprivate(gradient)
  {
    for (gradient.begin = 0; gradient.begin < all; gradient.begin += gradient.room) {
      gradient.count = static_cast<int>(std::min<std::int64_t>(gradient.room, all - gradient.begin));
#pragma omp for schedule(dynamic, 4)
      for (int tile = 0; tile < gradient.count; ++tile) winograd::TransformTile(gradient, tile);
#pragma omp for schedule(dynamic)
      for (int point = 0; point < points; ++point) winograd::AddProducts(gradient, point);
    }
#pragma omp for schedule(dynamic)
    for (int item = 0; item < gradient.src.blocks; ++item) winograd::Unpack(gradient, packing, weights, item);
  }
}

}  // namespace

bool WinogradConvolution::Fits(const ConvolutionShape& s) {
  return BlockedConvolutionsWork() && s.kernel == std::array<std::int64_t, 2>{3, 3} &&
         s.stride == std::array<std::int64_t, 2>{1, 1} && s.dilation == std::array<std::int64_t, 2>{1, 1} &&
         s.pad[0] <= 2 && s.pad[1] <= 2 && s.in % 16 == 0;
}

WinogradConvolution::WinogradConvolution(const ConvolutionShape& shape,
                                         const std::array<std::int64_t, 4>& weight_strides)
    : shape_(shape), strides_(weight_strides) {}

void WinogradConvolution::Forward(const float* x, const float* weight, float* y) const {
  const ConvolutionShape& s = shape_;
  Convolve({.src = {x, static_cast<int>(s.in / 16), static_cast<int>(s.height), static_cast<int>(s.width)},
            .dst = y,
            .images = static_cast<int>(s.images),
            .dst_blocks = static_cast<int>(s.out_blocks()),
            .dst_height = static_cast<int>(s.out_height()),
            .dst_width = static_cast<int>(s.out_width()),
            .pad_top = static_cast<int>(s.pad[0]),
            .pad_left = static_cast<int>(s.pad[1])},
           {.weights = weight,
            .out = static_cast<int>(s.out),
            .in = static_cast<int>(s.in),
            .strides = {strides_[0], strides_[1], strides_[2], strides_[3]}});
}

void WinogradConvolution::BackwardData(const float* dy, const float* weight, float* dx) const {
  const ConvolutionShape& s = shape_;
  winograd::Convolution conv{.src = {dy, static_cast<int>(s.out_blocks()), static_cast<int>(s.out_height()),
                                     static_cast<int>(s.out_width())},
                             .dst = dx,
                             .images = static_cast<int>(s.images),
                             .dst_blocks = static_cast<int>(s.in / 16),
                             .dst_height = static_cast<int>(s.height),
                             .dst_width = static_cast<int>(s.width),
                             .pad_top = static_cast<int>(2 - s.pad[0]),
                             .pad_left = static_cast<int>(2 - s.pad[1])};
  conv.tile = TileFor(conv);
  Convolve(conv, {.weights = weight,
                  .out = static_cast<int>(s.in),
                  .in = static_cast<int>(s.out),
                  .strides = {strides_[1], strides_[0], strides_[2], strides_[3]},
                  .turned = true});
}

void WinogradConvolution::BackwardWeights(const float* x, const float* dy, float* dweight) const {
  const ConvolutionShape& s = shape_;
  SumGradient({.src = {x, static_cast<int>(s.in / 16), static_cast<int>(s.height), static_cast<int>(s.width)},
               .dst = {dy, static_cast<int>(s.out_blocks()), static_cast<int>(s.out_height()),
                       static_cast<int>(s.out_width())},
               .images = static_cast<int>(s.images),
               .pad_top = static_cast<int>(s.pad[0]),
               .pad_left = static_cast<int>(s.pad[1])},
              {.out = static_cast<int>(s.out),
               .in = static_cast<int>(s.in),
               .strides = {strides_[0], strides_[1], strides_[2], strides_[3]}},
              dweight);
}

}  // namespace frf

#else

namespace frf {

bool WinogradConvolution::Fits(const ConvolutionShape&) { return false; }
WinogradConvolution::WinogradConvolution(const ConvolutionShape& shape,
                                         const std::array<std::int64_t, 4>& weight_strides)
    : shape_(shape), strides_(weight_strides) {}
void WinogradConvolution::Forward(const float*, const float*, float*) const {}
void WinogradConvolution::BackwardData(const float*, const float*, float*) const {}
void WinogradConvolution::BackwardWeights(const float*, const float*, float*) const {}

}  // namespace frf

#endif
