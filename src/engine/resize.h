// SPDX-License-Identifier: Apache-2.0
// Resizing along axes, as ONNX's Resize describes it; ResizeLike calls it with the sizes of the map that it
// names. Subtle: source coordinates are computed in double from the exact ratio of sizes (or from the given
// scale), clamped to the input, and weights rounded to float once. Axes are resized from the last to the
// first, so a bilinear value is h0 * (w0 * a + w1 * b) + h1 * (w0 * c + w1 * d), as in torch.
#pragma once

#include <string>
#include <vector>

#include "engine/plain_op.h"

namespace frf::plain {

struct ResizeSpec {
  std::string mode = "nearest";            // nearest, linear, cubic
  std::string coordinates = "half_pixel";  // coordinate_transformation_mode
  std::string nearest = "round_prefer_floor";
  float cubic_a = -0.75f;
  float extrapolation = 0.0f;
  bool exclude_outside = false, antialias = false;
};

struct ResizeAxis {
  std::int64_t out = 0;
  double scale = 0;                   // 0: out / in exactly
  double roi_begin = 0, roi_end = 1;  // tf_crop_and_resize only
};

// Along one axis: output o = sum over t of weight[o * count + t] * input[index[o * count + t]].
struct Taps {
  std::int64_t in = 0, out = 0, count = 1;
  std::vector<std::int64_t> index;
  std::vector<float> weight;
  std::vector<std::uint8_t> outside;  // tf_crop_and_resize: this output takes the extrapolation value
  bool identity = false;              // index and weight are empty then
};
Taps MakeTaps(const OpContext& c, const ResizeSpec& spec, const ResizeAxis& axis, std::int64_t in);

// What a node Resize asks of an input of shape x, one entry an axis; throws where inputs or attributes
// contradict each other.
std::vector<ResizeAxis> ReadResize(const OpContext& c, const Shape& x, ResizeSpec& spec);

// What the frf operator ResizeLike means in ONNX's terms; the writer lowers it to the same.
ResizeSpec ResizeLikeSpec(const Node& node);

// `axes` has one entry per dimension of x.
Tensor ResizeTensor(OpContext& c, const Tensor& x, const std::vector<ResizeAxis>& axes,
                    const ResizeSpec& spec);

}  // namespace frf::plain
