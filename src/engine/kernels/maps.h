// SPDX-License-Identifier: Apache-2.0
// Kernels that are neither convolution nor element-wise: pools, the way in (8-bit picture to floats) and the
// way out (scores to labels), and conversions between HWC maps and NCHW tensors.
#pragma once

#include "engine/kernels/kernels.h"

namespace frf::kernels {

struct Pool {
  Map src, dst;
  int kernel_h = 1, kernel_w = 1, stride_h = 1, stride_w = 1, dilation_h = 1, dilation_w = 1;
  int pad_top = 0, pad_left = 0;
  bool average = false;  // else maximum
  bool count_padding =
      false;  // average: divide by the window, clipped to the padded source (ONNX count_include_pad)
  int pad_bottom = 0, pad_right = 0;  // needed to clip that window
  int rows_per_item = 1;
  std::int64_t items = 0;
  ByteMap src_bytes,
      dst_bytes;  // of a maximum: instead of src and dst where their data is set, both in one coding
};

// dst[c] = scale * sum over y of rows[y][c] * (sum over x of columns[x][c] * src[y][x][c]); null weights
// count as 1. Global average pooling, and the spectral descriptors of FcaNet, which are cosines along both
// axes. Two steps, so that the sum is the same for any number of threads: `parts` row bands, then their sum.
struct WeightedPool {
  Map src, dst;                    // dst: 1 x 1
  ByteMap bytes;                   // instead of src, where its data is set; src still tells the size
  const float* rows = nullptr;     // height x padded channels
  const float* columns = nullptr;  // width x padded channels
  float scale = 1;
  float* partial = nullptr;  // parts x padded channels
  int parts = 1;
};

// A picture to floats: table[channel][byte], rows above and below and columns beside stay zero (padding).
// What each byte of each colour channel becomes. Where that is one subtraction and one division, as it is for
// mean and deviation, `affine` says so and vectors compute the same bits: values[c][v] == (v - minus[c]) /
// over[c] in float32 for every v.
struct PictureTable {
  float values[3][256];  // by R, G, B
  bool affine = false;
  float minus[3] = {0, 0, 0}, over[3] = {1, 1, 1};
};

struct PictureIn {
  const std::uint8_t* pixels = nullptr;
  std::ptrdiff_t stride = 0;  // bytes from row to row
  bool bgr = false;
  const PictureTable* table = nullptr;
  Map dst;                                   // pixel 3, or padded channels; without its border
  const std::uint8_t* byte_table = nullptr;  // with `bytes`: 3 x 256, the table's values in bytes.coding
  ByteMap bytes;                             // instead of dst, where its data is set
};

struct PlanesIn {  // NCHW floats to a map
  const float* planes = nullptr;
  int channels = 0;  // true count
  Map dst;
  ByteMap bytes;       // instead of dst, where its data is set
  Coding round{0, 0};  // of dst: as Epilogue::round
};

struct PlanesOut {  // a map to NCHW floats
  Map src;
  int channels = 0;
  float* planes = nullptr;
};

// Up to four source positions with weights: two linear resizes along one axis, multiplied.
struct WideTap {
  int first;  // of four consecutive positions; weights above the true ones are zero
  float weight[4];
};

// Linear resize of low-resolution scores and argmax over the classes, without storing the scores. Ties go to
// the lowest class. Row r of the item's band needs the source rows of rows[r].
struct Labels {
  Map src;  // classes at every source pixel
  int classes = 0;
  const WideTap* rows = nullptr;     // height entries
  const WideTap* columns = nullptr;  // width entries
  int height = 0, width = 0;
  std::uint8_t* labels = nullptr;
  std::ptrdiff_t stride = 0;  // bytes from row to row
  int rows_per_item = 1;
  std::int64_t items = 0;
  int planned_width = 0;  // by plan_labels: scratch has room to lay out so many columns once for an item
};

struct Scores {  // the same resize, scores kept: NCHW floats
  Labels shape;  // labels unused
  float* planes = nullptr;
};

}  // namespace frf::kernels
