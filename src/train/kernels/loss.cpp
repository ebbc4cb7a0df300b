// SPDX-License-Identifier: Apache-2.0
// Row by row: interpolate one output row, soft-max it, turn it into its gradient in place, and add that back
// through the interpolation into the small map. Full-size scores never exist. Subtle: images are cut into
// blocks of output rows. Neighbouring blocks share source rows, so each has a gradient map of its own and
// they are added in order: the result does not depend on the number of threads.
#include "train/kernels/loss.h"

#include <algorithm>
#include <vector>

#include "frf/image.h"
#include "train/kernels/fusion.h"
#include "train/kernels/simd.h"

namespace frf {
namespace {

constexpr int kBlockRows = 32;

FRF_KERNEL void Blend(float* __restrict dst, const float* __restrict low, const float* __restrict high,
                      float part, int count) {
  for (int i = 0; i < count; ++i) dst[i] = low[i] + part * (high[i] - low[i]);
}

FRF_KERNEL void AddScaled(float* __restrict dst, const float* __restrict src, float factor, int count) {
  for (int i = 0; i < count; ++i) dst[i] += factor * src[i];
}

FRF_KERNEL void Widen(float* __restrict dst, const float* __restrict src, const int* __restrict low,
                      const int* __restrict high, const float* __restrict part, int width) {
  for (int x = 0; x < width; ++x) {
    const float a = src[low[x]], b = src[high[x]];
    dst[x] = a + part[x] * (b - a);
  }
}

// The transpose of Widen.
FRF_KERNEL void Narrow(float* __restrict dst, const float* __restrict src, const int* __restrict begin,
                       const int* __restrict output, const float* __restrict weight, int width) {
  for (int i = 0; i < width; ++i) {
    float sum = 0;
    for (int k = begin[i]; k < begin[i + 1]; ++k) sum += src[output[k]] * weight[k];
    dst[i] = sum;
  }
}

// `row`: scores [classes][width]; becomes the gradient of the weighted loss when `gradient`. `loss`, `peak`:
// scratch.
FRF_KERNEL double SoftmaxRow(float* __restrict row, const std::uint8_t* __restrict labels,
                             const float* __restrict pixel_weight, float* __restrict loss,
                             float* __restrict peak, int classes, int width, bool gradient) {
  for (int x = 0; x < width; ++x) peak[x] = row[x];
  for (int c = 1; c < classes; ++c) {
    const float* in = row + static_cast<std::ptrdiff_t>(c) * width;
    for (int x = 0; x < width; ++x) peak[x] = in[x] > peak[x] ? in[x] : peak[x];
  }
  for (int x = 0; x < width; ++x) {  // void reads class 0; its weight is 0
    const std::ptrdiff_t label = labels[x] == kVoidLabel ? 0 : labels[x];
    loss[x] = peak[x] - row[label * width + x];
  }
  float* sum = peak + width;
  for (int x = 0; x < width; ++x) sum[x] = 0;
  for (int c = 0; c < classes; ++c) {
    float* in = row + static_cast<std::ptrdiff_t>(c) * width;
    for (int x = 0; x < width; ++x) {
      in[x] = VectorExp(in[x] - peak[x]);
      sum[x] += in[x];
    }
  }
  for (int x = 0; x < width; ++x) loss[x] = pixel_weight[x] * (loss[x] + VectorLog(sum[x]));
  double total = 0;
  for (int x = 0; x < width; ++x) total += static_cast<double>(loss[x]);
  if (!gradient) return total;
  for (int x = 0; x < width; ++x) sum[x] = pixel_weight[x] / sum[x];
  for (int c = 0; c < classes; ++c) {
    float* in = row + static_cast<std::ptrdiff_t>(c) * width;
    for (int x = 0; x < width; ++x) in[x] *= sum[x];
  }
  for (int x = 0; x < width; ++x) {
    const std::ptrdiff_t label = labels[x] == kVoidLabel ? 0 : labels[x];
    row[label * width + x] -= pixel_weight[x];
  }
  return total;
}

struct Problem : CrossEntropyArgs {
  explicit Problem(const CrossEntropyArgs& args)
      : CrossEntropyArgs(args), rows(args.height, args.out_height), columns(args.width, args.out_width) {}
  Taps rows, columns;
};

struct Block {
  int image, first, last;       // output rows
  int source, source_count;     // source rows
  std::vector<float> gradient;  // [source_count][classes][width]
  double loss = 0;
};

void RunBlock(const Problem& p, Block& block) {
  const std::size_t plane = static_cast<std::size_t>(p.classes) * p.width;
  std::vector<float> source(plane * block.source_count), narrow(plane);
  std::vector<float> wide(static_cast<std::size_t>(p.classes) * p.out_width),
      scratch(4 * static_cast<std::size_t>(p.out_width));
  for (int r = 0; r < block.source_count; ++r) {
    for (int c = 0; c < p.classes; ++c) {
      const float* in =
          p.scores + block.image * p.strides[0] + c * p.strides[1] + (block.source + r) * p.strides[2];
      float* out = &source[r * plane + static_cast<std::size_t>(c) * p.width];
      for (int x = 0; x < p.width; ++x) out[x] = in[x * p.strides[3]];
    }
  }
  if (p.gradient != nullptr) block.gradient.assign(source.size(), 0.0f);
  float* pixel_weight = &scratch[3 * static_cast<std::size_t>(p.out_width)];
  for (int y = block.first; y < block.last; ++y) {
    const std::uint8_t* labels =
        p.labels + (static_cast<std::int64_t>(block.image) * p.out_height + y) * p.out_width;
    const std::size_t low = (p.rows.low[y] - block.source) * plane,
                      high = (p.rows.high[y] - block.source) * plane;
    const float part = p.rows.part[y];
    Blend(narrow.data(), &source[low], &source[high], part, static_cast<int>(plane));
    for (int c = 0; c < p.classes; ++c) {
      Widen(&wide[static_cast<std::size_t>(c) * p.out_width], &narrow[static_cast<std::size_t>(c) * p.width],
            p.columns.low.data(), p.columns.high.data(), p.columns.part.data(), p.out_width);
    }
    for (int x = 0; x < p.out_width; ++x) pixel_weight[x] = p.class_weight[labels[x]];
    block.loss += SoftmaxRow(wide.data(), labels, pixel_weight, scratch.data(), &scratch[p.out_width],
                             p.classes, p.out_width, p.gradient != nullptr);
    if (p.gradient == nullptr) continue;
    for (int c = 0; c < p.classes; ++c) {
      Narrow(&narrow[static_cast<std::size_t>(c) * p.width], &wide[static_cast<std::size_t>(c) * p.out_width],
             p.columns.begin.data(), p.columns.output.data(), p.columns.weight.data(), p.width);
    }
    AddScaled(&block.gradient[low], narrow.data(), 1.0f - part, static_cast<int>(plane));
    AddScaled(&block.gradient[high], narrow.data(), part, static_cast<int>(plane));
  }
}

std::vector<Block> CutBlocks(const Problem& p) {
  std::vector<Block> blocks;
  for (int image = 0; image < p.images; ++image) {
    for (int first = 0; first < p.out_height; first += kBlockRows) {
      Block block{.image = image, .first = first, .last = std::min(first + kBlockRows, p.out_height)};
      block.source = p.rows.low[first];
      block.source_count = p.rows.high[block.last - 1] - block.source + 1;
      blocks.push_back(std::move(block));
    }
  }
  return blocks;
}

// Adds the blocks of one image, in order, into its part of the N x h x w x C gradient.
void Gather(const Problem& p, const std::vector<Block>& blocks, int image, float factor, float* gradient) {
  const std::size_t plane = static_cast<std::size_t>(p.classes) * p.width;
  for (const Block& block : blocks) {
    if (block.image != image) continue;
    for (int r = 0; r < block.source_count; ++r) {
      float* out = gradient + (static_cast<std::size_t>(image) * p.height + block.source + r) * plane;
      const float* in = &block.gradient[r * plane];
      for (int x = 0; x < p.width; ++x) {
        for (int c = 0; c < p.classes; ++c) out[x * p.classes + c] += factor * in[c * p.width + x];
      }
    }
  }
}

}  // namespace

double CrossEntropyKernel(const CrossEntropyArgs& args) {
  const Problem problem(args);
  std::int64_t counts[256] = {};
  const std::int64_t pixels = std::int64_t{args.images} * args.out_height * args.out_width;
  for (std::int64_t i = 0; i < pixels; ++i) ++counts[args.labels[i]];
  double total_weight = 0;
  for (int id = 0; id < 256; ++id)
    total_weight += static_cast<double>(counts[id]) * static_cast<double>(args.class_weight[id]);
  std::vector<Block> blocks = CutBlocks(problem);
#pragma omp parallel for schedule(dynamic, 1)
  for (std::size_t i = 0; i < blocks.size(); ++i) RunBlock(problem, blocks[i]);
  double loss = 0;
  for (const Block& block : blocks) loss += block.loss;
  const double factor = total_weight > 0 ? 1.0 / total_weight : 0.0;
  if (args.gradient != nullptr) {
#pragma omp parallel for schedule(static)
    for (int image = 0; image < args.images; ++image)
      Gather(problem, blocks, image, static_cast<float>(factor), args.gradient);
  }
  return loss * factor;
}

}  // namespace frf
