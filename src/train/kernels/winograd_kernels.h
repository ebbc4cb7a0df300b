// SPDX-License-Identifier: Apache-2.0
// What winograd.cpp hands to the kernels of winograd_avx512.cpp and winograd_gradient_avx512.cpp: 3x3
// convolutions of stride 1 over channel-blocked maps (images x channels/16 x height x width x 16 floats) by
// F(4x4, 3x3) and F(6x6, 3x3) (Lavin and Gray 2016), in items that write disjoint memory. Nothing of them
// allocates; nothing of the standard library may be called there, or the linker could keep its AVX-512 copy
// for all.
#pragma once

#include <cstddef>
#include <cstdint>

namespace frf::winograd {

struct Map {
  const float* data = nullptr;
  int blocks = 0, height = 0, width = 0;
};

// dst = src convolved, without bias. Its transpose, which turns output's gradients into input's, is another
// such convolution.
struct Convolution {
  Map src;
  float* dst = nullptr;
  int images = 0, dst_blocks = 0, dst_height = 0, dst_width = 0;
  int pad_top = 0, pad_left = 0;
  int tile = 4;                    // outputs of a tile along one axis, 4 or 6
  const float* weights = nullptr;  // packed
  int tiles_per_item = 0;          // filled by Plan, as items
  std::int64_t items = 0;
};

// The weights' half of it: `out` x `in` kernels, element (o, i, y, x) at o * strides[0] + ...
struct Packing {
  const float* weights = nullptr;
  int out = 0, in = 0;
  std::int64_t strides[4] = {};
  bool turned = false;  // the kernel by 180 degrees, as the transpose wants it
  int tile = 4;
  float* packed = nullptr;
  int items = 0;  // one for every 16 inputs
};

// Gradients of the kernels: the sum over images and pixels of source values times the result's gradient. All
// linear, so tiles of both are transformed, multiplied point by point, summed, and the sums transformed back.
// `count` tiles from `begin` at a time, few enough to lie in the last cache between the two.
struct Gradient {
  Map src, dst;  // dst: the gradient of the result
  int images = 0, pad_top = 0, pad_left = 0, tile = 4;
  std::int64_t begin = 0;
  int count = 0;
  // points x count x channels; from point to point SrcPoint and DstPoint floats for `room` tiles.
  float *transformed_src = nullptr, *transformed_dst = nullptr;
  int room = 0;
  float* sums = nullptr;  // points x in x out, channels padded
};

int Points(int tile);  // of a tile: products, and source values
std::int64_t Tiles(const Convolution& conv);
void Plan(Convolution& conv, int threads, std::size_t l2_bytes);
std::size_t PackedFloats(int out, int in, int tile);
std::size_t ScratchFloats(const Convolution& conv);  // a thread
void Pack(const Packing& packing, int item);
void Run(const Convolution& conv, std::int64_t item, float* scratch);

std::int64_t Tiles(const Gradient& gradient);
std::size_t SrcPoint(const Gradient& gradient);
std::size_t DstPoint(const Gradient& gradient);
void TransformTile(const Gradient& gradient, int tile);  // of `count`
void AddProducts(const Gradient& gradient, int point);   // to `sums`, or in their place where begin is 0
// Of 16 inputs and all outputs, to element (o, i, y, x) of `weights` as Packing says.
void Unpack(const Gradient& gradient, const Packing& packing, float* weights, int item);

}  // namespace frf::winograd
