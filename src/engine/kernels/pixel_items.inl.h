// SPDX-License-Identifier: Apache-2.0
// Items of convolutions over pixels, of floats and of bytes: runs of output pixels times panels of outputs,
// and the element-wise program that may follow each.
#pragma once

#include <numeric>

#include "engine/kernels/gemm.inl.h"
#include "engine/kernels/program.inl.h"

namespace frf::kernels::FRF_ISA {

// An item is a run of output pixels, and all panels or, where pixels are few, some of them. Its source rows
// should stay in half of L2 while the panels pass, and every thread should find several items. `pixel_bytes`
// is what an output pixel reads of one kernel row and writes. Pixels are taken in `runs` runs side by side.
template <typename Conv>
static void PlanPixels(Conv& conv, std::int64_t pixels, const Panels& panels, std::int64_t pixel_bytes,
                       int threads, std::size_t l2_bytes, int runs = 1) {
  std::int64_t per_item = static_cast<std::int64_t>(l2_bytes / 2) / (pixel_bytes * conv.kernel_h);
  const std::int64_t wanted = 4L * threads;  // items, so that a slow core does not hold up the other
  const std::int64_t even = (pixels + wanted - 1) / wanted;
  if (per_item > even) per_item = even;
  if (conv.after && per_item > 240) per_item = 240;  // the result stays in L2 until the program has passed
  if (per_item < 48) per_item = 48;
  // As even as can be, as many for each thread, and whole blocks of the product in each.
  std::int64_t blocks = (pixels + per_item - 1) / per_item;
  blocks = (blocks + threads - 1) / threads * threads;
  const int unit = runs * std::lcm(Rows(panels.wide), Rows(panels.narrow));
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

struct PixelItem {
  std::int64_t begin, end;  // output pixels
  int first, last;          // panels
};

template <typename Conv>
FRF_INLINE PixelItem ItemOf(const Conv& conv, const Map& dst, const Panels& panels, std::int64_t item) {
  const int groups = (panels.count + conv.panels_per_item - 1) / conv.panels_per_item;
  const std::int64_t pixels = static_cast<std::int64_t>(dst.height) * dst.width;
  const std::int64_t begin = item / groups * conv.pixels_per_item, end = begin + conv.pixels_per_item;
  const int first = static_cast<int>(item % groups) * conv.panels_per_item,
            last = first + conv.panels_per_item;
  return {begin, end < pixels ? end : pixels, first, last < panels.count ? last : panels.count};
}

// Of scratch: what rows beyond an item's last pixel are written to.
inline constexpr std::size_t kSpareFloats = static_cast<std::size_t>(kMaxVectors) * kLanes * 2;

// Of scratch, where a program follows: the item's result and the program's registers.
template <typename Conv>
static std::size_t AfterScratch(const Conv& conv, int out_blocks) {
  if (!conv.after) return 0;
  return static_cast<std::size_t>(conv.pixels_per_item) * out_blocks * kBlock + ProgramScratch(*conv.after);
}

// A map of `dst`'s size of which `results` holds the item that begins at pixel `begin`.
FRF_INLINE Map ResultIn(float* results, const Map& dst, int out_blocks, std::int64_t begin) {
  Map result = dst;
  result.pixel = static_cast<std::ptrdiff_t>(out_blocks) * kBlock;
  result.row = result.pixel * dst.width;
  result.data = results - begin * result.pixel;
  return result;
}

// The program over pixels [begin, end) of that.
template <typename Conv>
static void RunAfter(const Conv& conv, std::int64_t begin, std::int64_t end, const Map& result,
                     float* results) {
  float* const registers = results + static_cast<std::ptrdiff_t>(conv.pixels_per_item) * result.pixel;
  const int width = result.width;
  for (std::int64_t pixel = begin; pixel < end;) {
    const int y = static_cast<int>(pixel / width), x = static_cast<int>(pixel % width);
    const int stop = width - x < end - pixel ? width : x + static_cast<int>(end - pixel);
    RunProgramSegment(*conv.after, y, x, stop, registers, conv.after_input, &result);
    pixel += stop - x;
  }
}

// Fetches where a block will be stored, so that stores do not wait.
FRF_INLINE void FetchBlock(const float* dst, std::ptrdiff_t pixel, int rows, int vectors) {
  for (int r = 0; r < rows; ++r) {
    for (int n = 0; n < vectors; ++n) __builtin_prefetch(dst + r * pixel + n * kLanes, 1);
  }
}

// What follows the sums of a panel that begins at `channel`; `add`, `sum`: pointers of a block's rows.
FRF_INLINE Tail TailAt(const Epilogue& epilogue, int channel, const float* const* add, float* const* sum) {
  return {epilogue.bias ? epilogue.bias + channel : nullptr,
          epilogue.act,
          epilogue.alpha,
          epilogue.beta,
          epilogue.add.data ? add : nullptr,
          epilogue.sum.data ? sum : nullptr,
          epilogue.add_first,
          epilogue.round,
          epilogue.round_sum};
}

}  // namespace frf::kernels::FRF_ISA
