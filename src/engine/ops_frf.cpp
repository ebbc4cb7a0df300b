// SPDX-License-Identifier: Apache-2.0
// Operators of domain "frf". Each computes exactly what its lowering to standard ONNX computes, with the same
// functions: the pools are two matrix products (graph/spectral.h), ResizeLike is Resize to the sizes of
// another map, Unpool is MaxUnpool with that map's shape. Subtle: Unpool takes ONNX's indices, flat over the
// whole tensor (int64), and indices within one plane (int32).
#include <atomic>
#include <cstring>

#include "engine/product.h"
#include "engine/resize.h"
#include "engine/window.h"
#include "graph/spectral.h"

namespace frf::plain {
namespace {

struct PoolState : OpState {
  std::int64_t height = 0, width = 0;
  PoolMatrices matrices;
};

void CheckMap(const OpContext& c, const Tensor& x) {
  if (x.rank() != 4) c.Bad(fmt::format("input is {}, wanted N x C x H x W", ToString(x.shape())));
}

// Matrices for the map's size, made again only when it changes.
template <typename Make>
std::vector<Tensor> PoolByProducts(OpContext& c, const Make& make) {
  const Tensor& x = c.Input(0);
  CheckMap(c, x);
  c.Floats(0);
  auto& state = c.KeptState<PoolState>();
  if (state.height != x.dim(2) || state.width != x.dim(3)) {
    state.matrices = make(x.dim(2), x.dim(3));
    state.height = x.dim(2), state.width = x.dim(3);
  }
  return {Multiply(c, state.matrices.rows, Multiply(c, x, state.matrices.columns))};
}

std::vector<Tensor> SpectralPool(OpContext& c) {
  std::int64_t total = 0;
  for (const std::int64_t count : c.node.Ints("channels", {})) {
    if (count < 0 || count > c.Input(0).dim(1)) c.Bad(fmt::format("a group of {} channels", count));
    total += count;
  }
  CheckMap(c, c.Input(0));
  if (total != c.Input(0).dim(1))
    c.Bad(fmt::format("groups hold {} channels, the input is {}", total, ToString(c.Input(0).shape())));
  return PoolByProducts(c, [&](std::int64_t height, std::int64_t width) {
    return SpectralPoolMatrices(c.node, height, width);
  });
}

std::vector<Tensor> AdaptiveAveragePool(OpContext& c) {
  const std::vector<std::int64_t> out = c.node.Ints("out", {});
  if (out.size() != 2 || out[0] < 1 || out[1] < 1 || out[0] > (1 << 16) || out[1] > (1 << 16))
    c.Bad("wants out = [height, width]");
  return PoolByProducts(c, [&](std::int64_t height, std::int64_t width) {
    c.memory.Check(
        (static_cast<std::uint64_t>(height) * out[0] + static_cast<std::uint64_t>(width) * out[1]) * 4,
        c.node.name);
    return AdaptivePoolMatrices(height, width, out[0], out[1]);
  });
}

std::vector<Tensor> ResizeLike(OpContext& c) {
  const Tensor &x = c.Input(0), &ref = c.Input(1);
  CheckMap(c, x);
  CheckMap(c, ref);
  std::vector<ResizeAxis> axes(4);
  for (int i = 0; i < 4; ++i) axes[i].out = i < 2 ? x.dim(i) : ref.dim(i);
  return {ResizeTensor(c, x, axes, ResizeLikeSpec(c.node))};
}

std::vector<Tensor> Unpool(OpContext& c) {
  const Tensor &x = c.Input(0), &indices = c.Input(1), &ref = c.Input(2);
  CheckMap(c, x);
  CheckMap(c, ref);
  const float* src = c.Floats(0);
  if (indices.shape() != x.shape() ||
      (indices.dtype() != DType::kInt64 && indices.dtype() != DType::kInt32)) {
    c.Bad(fmt::format("indices are {} {}, wanted int32 or int64 {}", Name(indices.dtype()),
                      ToString(indices.shape()), ToString(x.shape())));
  }
  const std::int64_t planes = x.dim(0) * x.dim(1), pooled = x.dim(2) * x.dim(3),
                     plane = ref.dim(2) * ref.dim(3);
  Tensor y = c.Allocate(DType::kFloat32, {x.dim(0), x.dim(1), ref.dim(2), ref.dim(3)});
  float* dst = y.data<float>();
  const bool flat = indices.dtype() == DType::kInt64;
  std::atomic<bool> outside = false;
  ParallelFor(planes, y.size(), [&](std::int64_t p) {
    std::fill_n(dst + p * plane, plane, 0.0f);
    for (std::int64_t i = p * pooled; i < (p + 1) * pooled; ++i) {
      const std::int64_t at =
          flat ? indices.data<std::int64_t>()[i] - p * plane : indices.data<std::int32_t>()[i];
      if (at < 0 || at >= plane)
        outside = true;
      else
        dst[p * plane + at] = src[i];
    }
  });
  if (outside) c.Bad(fmt::format("an index lies outside of its plane of {}x{}", ref.dim(2), ref.dim(3)));
  return {y};
}

std::vector<Tensor> DropChannels(OpContext& c) { return {c.Input(0)}; }

}  // namespace

ResizeSpec ResizeLikeSpec(const Node& node) {
  ResizeSpec spec;
  spec.mode = node.String("mode", "linear");
  spec.coordinates = node.String("coordinates", "half_pixel");
  // Asymmetric nearest is torch's "nearest"; half-pixel nearest is its "nearest-exact".
  spec.nearest = spec.coordinates == "asymmetric" ? "floor" : "round_prefer_ceil";
  return spec;
}

void AddFrfOps(OpTable& table) {
  table.Add("frf.SpectralPool", SpectralPool);
  table.Add("frf.AdaptiveAveragePool", AdaptiveAveragePool);
  table.Add("frf.ResizeLike", ResizeLike);
  table.Add("frf.Unpool", Unpool);
  table.Add("frf.DropChannels", DropChannels, HalfMode::kAsIs);
}

}  // namespace frf::plain
