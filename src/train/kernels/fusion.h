// SPDX-License-Identifier: Apache-2.0
// Passes that a network would otherwise make operator by operator: gates, thresholded fusion, spectral
// descriptors, pooling and bilinear resizing of channel-blocked maps ([images][channels / 16][pixels][16]).
#pragma once

#include <cstdint>
#include <vector>

#include "train/kernels/batch_norm.h"

namespace frf {

// y = o + l * sigmoid(o), element by element; sizes are multiples of 16 (as all blocked maps').
void GateForward(const float* o, const float* l, float* y, std::int64_t size);
void GateBackward(const float* o, const float* l, const float* dy, float* d_o, float* d_l, std::int64_t size);

// z = o * (1 + [s(o) - s(y) > t]) + y * (1 + [s(y) - s(o) > t]), s = sigmoid; the brackets are constants for
// the gradient.
void MaskedSumForward(const float* o, const float* y, float threshold, float* z, std::int64_t size);
void MaskedSumBackward(const float* o, const float* y, float threshold, const float* dz, float* d_o,
                       float* d_y, std::int64_t size);

// d[n][c] = sum over pixels of x * basis; basis: [blocks][pixels][16].
void SpectralForward(const float* x, const float* basis, float* d, const BlockedShape& shape);
void SpectralBackward(const float* d_d, const float* basis, float* dx, const BlockedShape& shape);

// Max pooling; `chosen` holds the position of the maximum within the window (kernel area at most 255), a byte
// an element.
struct PoolShape {
  std::int64_t maps = 0;  // images * blocks
  std::int64_t height = 0, width = 0, out_height = 0, out_width = 0;
  std::int64_t kernel_h = 0, kernel_w = 0, stride_h = 0, stride_w = 0, pad_h = 0, pad_w = 0;
};
void MaxPoolForward(const float* x, float* y, std::uint8_t* chosen, const PoolShape& shape);
void MaxPoolBackward(const float* dy, const std::uint8_t* chosen, float* dx, const PoolShape& shape);

// One axis of bilinear interpolation with half-pixel centres, as torch's upsample_bilinear2d.
struct Taps {
  Taps(int in, int out);
  std::vector<int> low, high;
  std::vector<float> part;  // weight of `high`
  // The transpose: outputs that read source i are entries begin[i] .. begin[i + 1] of `output` and `weight`.
  std::vector<int> begin, output;
  std::vector<float> weight;
};
struct ResizeShape {
  std::int64_t maps = 0;
  int height = 0, width = 0, out_height = 0, out_width = 0;
};
void ResizeForward(const float* x, float* y, const ResizeShape& shape);
void ResizeBackward(const float* dy, float* dx, const ResizeShape& shape);

}  // namespace frf
