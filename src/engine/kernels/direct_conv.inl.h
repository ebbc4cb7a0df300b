// SPDX-License-Identifier: Apache-2.0
// Any ungrouped convolution without transforms: products of rows that lie where the source lies.
#pragma once

#include <numeric>

#include "engine/kernels/gemm.inl.h"
#include "engine/kernels/program.inl.h"

namespace frf::kernels::FRF_ISA {

static std::size_t DirectPackedSize(int out, std::int64_t taps, int depth) {
  return static_cast<std::size_t>(PaddedChannels(out)) * taps * depth / kPerWord;
}

// Weights out x in x kh x kw to panels; channels in [in, depth) and outputs above `out` are zero.
static void PackDirect(const float* weights, int out, int in, int kh, int kw, int depth, float* packed) {
  const Panels panels = PanelsOf(PaddedChannels(out) / kBlock);
  const std::int64_t taps = static_cast<std::int64_t>(kh) * kw;
  for (int p = 0; p < panels.count; ++p) {
    const int width = panels.width(p) * kLanes, first = panels.start(p) * kLanes;
    for (std::int64_t tap = 0; tap < taps;
         ++tap, packed += static_cast<std::ptrdiff_t>(width) * (depth / kPerWord)) {
      for (int c = 0; c < depth; ++c) {
        const int real = c >= in ? 0 : out - first < width ? out - first : width;
        const float* const from = weights + (static_cast<std::int64_t>(first) * in + c) * taps + tap;
        float row[kMaxVectors * kLanes] = {};
        for (int k = 0; k < real; ++k) row[k] = from[k * in * taps];
        PutWeights(row, width, c, packed);
      }
    }
  }
}

// An item is a run of output pixels, and all panels or, where pixels are few, some of them. Its source rows
// should stay in half of L2 while the panels pass, and every thread should find several items. `pixel_bytes`
// is what an output pixel reads of one kernel row and writes.
template <typename Conv>
static void PlanPixels(Conv& conv, std::int64_t pixels, int out_blocks, std::int64_t pixel_bytes, int threads,
                       std::size_t l2_bytes) {
  const Panels panels = PanelsOf(out_blocks);
  std::int64_t per_item = static_cast<std::int64_t>(l2_bytes / 2) / (pixel_bytes * conv.kernel_h);
  const std::int64_t wanted = 4L * threads;  // items, so that a slow core does not hold up the other
  const std::int64_t even = (pixels + wanted - 1) / wanted;
  if (per_item > even) per_item = even;
  if (conv.after && per_item > 240) per_item = 240;  // the result stays in L2 until the program has passed
  if (per_item < 48) per_item = 48;
  // As even as can be, as many for each thread, and whole blocks of the product in each.
  std::int64_t blocks = (pixels + per_item - 1) / per_item;
  blocks = (blocks + threads - 1) / threads * threads;
  const int unit = std::lcm(Rows(panels.wide), Rows(panels.narrow));
  per_item = (pixels + blocks - 1) / blocks;
  per_item = (per_item + unit - 1) / unit * unit;
  if (per_item > pixels) per_item = pixels;
  conv.pixels_per_item = static_cast<int>(per_item);
  blocks = (pixels + per_item - 1) / per_item;
  conv.panels_per_item = panels.count;
  if (blocks < wanted && !conv.after) {
    const std::int64_t groups = (wanted + blocks - 1) / blocks;
    conv.panels_per_item = static_cast<int>((panels.count + groups - 1) / groups);
  }
  conv.items = blocks * ((panels.count + conv.panels_per_item - 1) / conv.panels_per_item);
}

// Words of one output pixel's operands, where they are laid out anew.
static inline std::ptrdiff_t OperandWords(const DirectConv& conv) {
  return kPerWord == 1 ? 0
                       : static_cast<std::ptrdiff_t>(conv.kernel_h) * conv.kernel_w * conv.depth / kPerWord;
}

static void PlanDirect(DirectConv& conv, int threads, std::size_t l2_bytes) {
  const std::int64_t floats =
      static_cast<std::int64_t>(conv.depth) * (conv.stride_w > 1 ? conv.stride_w : 1) +
      conv.weights.out_blocks * kBlock + OperandWords(conv) / conv.kernel_h;
  PlanPixels(conv, static_cast<std::int64_t>(conv.dst.height) * conv.dst.width, conv.weights.out_blocks,
             4 * floats, threads, l2_bytes);
}

// Rows beyond the last pixel are written to the first part; then the item's operands, its result and its
// program's registers.
inline constexpr std::size_t kSpareFloats = static_cast<std::size_t>(kMaxVectors) * kLanes * 2;

static std::size_t DirectScratch(const DirectConv& conv) {
  const std::size_t begin = kSpareFloats + conv.pixels_per_item * OperandWords(conv);
  if (!conv.after) return begin;
  return begin + static_cast<std::size_t>(conv.pixels_per_item) * conv.weights.out_blocks * kBlock +
         ProgramScratch(*conv.after);
}

// Where output pixel (y, x) reads: one pointer a tap, `block` apart in `rows`. For floats and for bytes.
template <typename Conv, typename Source, typename T>
FRF_INLINE void GatherTaps(const Conv& conv, const Source& src, int y, int x, int block, const T** rows) {
  for (int ky = 0; ky < conv.kernel_h; ++ky) {
    const int sy = y * conv.stride_h + ky * conv.dilation_h - conv.pad_top;
    const bool inside = sy >= 0 && sy < src.height;
    const T* row = src.data + sy * src.row;
    for (int kx = 0; kx < conv.kernel_w; ++kx) {
      const int sx = x * conv.stride_w + kx * conv.dilation_w - conv.pad_left;
      rows[(ky * conv.kernel_w + kx) * block] =
          inside && sx >= 0 && sx < src.width ? row + sx * src.pixel : conv.zeros;
    }
  }
}

// The same for `block` neighbours of one row, whose kernels lie inside the source: no questions asked. False
// where they do not.
template <typename Conv, typename Source, typename T>
FRF_INLINE bool GatherRow(const Conv& conv, const Source& src, int y, int x, int block, int width,
                          const T** rows) {
  const int top = y * conv.stride_h - conv.pad_top, left = x * conv.stride_w - conv.pad_left;
  const int last = left + (block - 1) * conv.stride_w + (conv.kernel_w - 1) * conv.dilation_w;
  if (x + block > width || top < 0 || left < 0 || last >= src.width ||
      top + (conv.kernel_h - 1) * conv.dilation_h >= src.height)
    return false;
  const std::ptrdiff_t step = conv.stride_w * src.pixel;
  const T* row = src.data + top * src.row + left * src.pixel;
  for (int ky = 0; ky < conv.kernel_h; ++ky, row += conv.dilation_h * src.row) {
    const T* tap = row;
    for (int kx = 0; kx < conv.kernel_w; ++kx, tap += conv.dilation_w * src.pixel, rows += block) {
      const T* at = tap;
      for (int r = 0; r < block; ++r, at += step) rows[r] = at;
    }
  }
  return true;
}

// The program that follows a convolution, over pixels [begin, end) of its result in scratch.
template <typename Conv>
static void RunAfter(const Conv& conv, int width, std::int64_t begin, std::int64_t end, const Map& result,
                     float* registers) {
  for (std::int64_t pixel = begin; pixel < end;) {
    const int y = static_cast<int>(pixel / width), x = static_cast<int>(pixel % width);
    const int stop = width - x < end - pixel ? width : x + static_cast<int>(end - pixel);
    RunProgramSegment(*conv.after, y, x, stop, registers, conv.after_input, &result);
    pixel += stop - x;
  }
}

inline constexpr int kMaxTaps = 128;

// What output pixels [begin, end) read, rounded to pairs: taps x depth / 2 words a pixel.
static void LayOutOperands(const DirectConv& conv, std::int64_t begin, std::int64_t end, float* words) {
  const float* taps[kMaxTaps];
  int y = static_cast<int>(begin / conv.dst.width), x = static_cast<int>(begin % conv.dst.width);
  for (std::int64_t pixel = begin; pixel < end; ++pixel) {
    GatherTaps(conv, conv.src, y, x, 1, taps);
    for (int tap = 0; tap < conv.kernel_h * conv.kernel_w; ++tap) {
      for (int c = 0; c < conv.depth; c += kLanes, words += kLanes / kPerWord)
        StoreOperands(words, Load(taps[tap] + c));
    }
    if (++x == conv.dst.width) x = 0, ++y;
  }
}

static void RunDirect(const DirectConv& conv, std::int64_t item, float* scratch) {
  const Panels panels = PanelsOf(conv.weights.out_blocks);
  const int groups = (panels.count + conv.panels_per_item - 1) / conv.panels_per_item;
  const std::int64_t pixels = static_cast<std::int64_t>(conv.dst.height) * conv.dst.width;
  const std::int64_t begin = item / groups * conv.pixels_per_item;
  const std::int64_t end = begin + conv.pixels_per_item < pixels ? begin + conv.pixels_per_item : pixels;
  const int first = static_cast<int>(item % groups) * conv.panels_per_item;
  const int last = first + conv.panels_per_item < panels.count ? first + conv.panels_per_item : panels.count;
  const int taps = conv.kernel_h * conv.kernel_w;
  const Epilogue& epilogue = conv.epilogue;
  float* const operands = scratch + kSpareFloats;
  float* const results = operands + conv.pixels_per_item * OperandWords(conv);
  if constexpr (kPerWord > 1) LayOutOperands(conv, begin, end, operands);
  Map result = conv.dst;
  if (conv.after) {  // where pixel `begin` is the first of the scratch
    result.pixel = conv.weights.out_blocks * kBlock;
    result.row = result.pixel * conv.dst.width;
    result.data = results - begin * result.pixel;
  }
  const float* rows[kMaxTaps * kMaxRows];
  float *dst[kMaxRows], *sum[kMaxRows];
  const float* add[kMaxRows];
  for (int p = first; p < last; ++p) {
    const int vectors = panels.width(p), channel = panels.start(p) * kLanes, block = Rows(vectors);
    const std::ptrdiff_t words = conv.depth / kPerWord;
    const float* panel = conv.weights.data + static_cast<std::int64_t>(channel) * taps * words;
    const TailFunction run = TailOf(vectors);
    const Tail tail{epilogue.bias ? epilogue.bias + channel : nullptr,
                    epilogue.act,
                    epilogue.alpha,
                    epilogue.beta,
                    epilogue.add.data ? add : nullptr,
                    epilogue.sum.data ? sum : nullptr,
                    epilogue.add_first,
                    epilogue.round,
                    epilogue.round_sum};
    // The first panel brings the rows in, the others find them.
    const Prefetch prefetch =
        p == first && kPerWord == 1 ? Prefetch{block * conv.stride_w * conv.src.pixel, 16} : Prefetch{};
    int y = static_cast<int>(begin / conv.dst.width), x = static_cast<int>(begin % conv.dst.width);
    for (std::int64_t pixel = begin; pixel < end; pixel += block) {
      const bool plain = kPerWord == 1 && pixel + block <= end &&
                         GatherRow(conv, conv.src, y, x, block, conv.dst.width, rows);
      for (int r = 0; r < block; ++r) {
        if (pixel + r >= end) {  // repeat the row before, throw the result away
          for (int tap = 0; tap < taps; ++tap) rows[tap * block + r] = rows[tap * block + r - 1];
          dst[r] = sum[r] = scratch;
          add[r] = scratch + kMaxVectors * kLanes;
          continue;
        }
        if constexpr (kPerWord > 1) {
          const float* const pixel_words = operands + (pixel + r - begin) * taps * words;
          for (int tap = 0; tap < taps; ++tap) rows[tap * block + r] = pixel_words + tap * words;
        } else if (!plain) {
          GatherTaps(conv, conv.src, y, x, block, rows + r);
        }
        dst[r] = result.data + y * result.row + x * result.pixel + channel;
        if (epilogue.add.data) {
          add[r] = epilogue.add.data + y * epilogue.add.row + x * epilogue.add.pixel + channel;
        }
        if (epilogue.sum.data) {
          sum[r] = epilogue.sum.data + y * epilogue.sum.row + x * epilogue.sum.pixel + channel;
        }
        if (++x == conv.dst.width) x = 0, ++y;
      }
      if (!conv.after) {  // where the next block goes, so that its stores do not wait
        const float* const ahead = dst[0] + block * result.pixel;
        for (int r = 0; r < block; ++r) {
          for (int n = 0; n < vectors; ++n) __builtin_prefetch(ahead + r * result.pixel + n * kLanes, 1);
        }
      }
      run(rows, taps, words, panel, dst, tail, prefetch);
    }
  }
  if (conv.after) {
    RunAfter(conv, conv.dst.width, begin, end, result,
             results + static_cast<std::ptrdiff_t>(conv.pixels_per_item) * result.pixel);
  }
}

}  // namespace frf::kernels::FRF_ISA
