// SPDX-License-Identifier: Apache-2.0
// The kernels of winograd_kernels.h that sum up a kernel's gradient.
#if defined(__AVX512F__)

#include "train/kernels/winograd_transforms.inl.h"

namespace frf::winograd {
namespace {

template <int T>
void TransformBoth(const Gradient& g, int tile) {
  constexpr int S = Form<T>::kPoints;
  const Corner corner = CornerOf(ListOf(g.dst.height, g.dst.width, g.images, T), g.begin + tile, T);
  const auto point = [&](std::size_t floats) { return static_cast<std::ptrdiff_t>(floats); };
  TransformSource<T>(g.src, corner, g.pad_top, g.pad_left,
                     g.transformed_src + static_cast<std::ptrdiff_t>(tile) * Row(g.src), point(SrcPoint(g)));
  Transform<T, S>(g.dst, corner, corner.y, corner.x,
                  g.transformed_dst + static_cast<std::ptrdiff_t>(tile) * Row(g.dst), point(DstPoint(g)),
                  [](V(&line)[S]) { Form<T>::Spread(line); });
}

// sums[r][n] (+)= sum over `count` tiles of a[tile][r] * b[tile][n], for R inputs and N vectors of outputs.
template <int N, int R>
__attribute__((noinline)) void AddOuter(const float* a, std::ptrdiff_t a_row, const float* b,
                                        std::ptrdiff_t b_row, int count, float* sums, std::ptrdiff_t row,
                                        bool add) {
  V acc[R][N];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
    for (int n = 0; n < N; ++n) acc[r][n] = add ? Load(sums + r * row + n * kLanes) : isa::Zero();
  }
  for (int t = 0; t < count; ++t, a += a_row, b += b_row) {
    V right[N];
#pragma GCC unroll 8
    for (int n = 0; n < N; ++n) right[n] = Load(b + n * kLanes);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const V left = Broadcast(a[r]);
#pragma GCC unroll 8
      for (int n = 0; n < N; ++n) acc[r][n] = isa::Fma(left, right[n], acc[r][n]);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
    for (int n = 0; n < N; ++n) Store(sums + r * row + n * kLanes, acc[r][n]);
  }
}

using OuterFunction = void (*)(const float*, std::ptrdiff_t, const float*, std::ptrdiff_t, int, float*,
                               std::ptrdiff_t, bool);
constexpr int OuterRows(int vectors) { return vectors <= 3 ? 8 : 4; }  // both divide 16
constexpr OuterFunction kOuter[] = {AddOuter<1, 8>, AddOuter<2, 8>, AddOuter<3, 8>, AddOuter<4, 4>,
                                    AddOuter<5, 4>};

template <int T>
void UnpackTiles(const Gradient& g, const Packing& packing, float* weights, int item) {
  using F = Form<T>;
  constexpr int S = F::kPoints;
  const std::ptrdiff_t in = g.src.blocks * 16, out = g.dst.blocks * 16;
  for (int c = item * 16; c < item * 16 + 16 && c < packing.in; ++c) {
    for (int o = 0; o < packing.out; o += 16) {
      const OutputLanes lanes(packing, o);
      const float* const from = g.sums + c * out + o;
      V lines[3][S];
      for (int j = 0; j < S; ++j) {
        for (V(&line)[S] : lines) line[j] = isa::Zero();
#pragma GCC unroll 9
        for (int i = 0; i < S; ++i) {
          const V v = Load(from + (i * S + j) * in * out);
#pragma GCC unroll 3
          for (int y = 0; y < 3; ++y)
            lines[y][j] = isa::Fma(v, Broadcast(static_cast<float>(F::kKernel[i][y])), lines[y][j]);
        }
      }
      float* const to = weights + o * packing.strides[0] + c * packing.strides[1];
      for (int y = 0; y < 3; ++y) {
        for (int x = 0; x < 3; ++x) {
          V sum = isa::Zero();
#pragma GCC unroll 9
          for (int j = 0; j < S; ++j)
            sum = isa::Fma(lines[y][j], Broadcast(static_cast<float>(F::kKernel[j][x])), sum);
          _mm512_mask_i32scatter_ps(to + y * packing.strides[2] + x * packing.strides[3], lanes.valid,
                                    lanes.offsets, sum, 4);
        }
      }
    }
  }
}

}  // namespace

std::int64_t Tiles(const Gradient& g) { return ListOf(g.dst.height, g.dst.width, g.images, g.tile).all; }

std::size_t SrcPoint(const Gradient& g) { return static_cast<std::size_t>(g.room * Row(g.src) + 16); }
std::size_t DstPoint(const Gradient& g) { return static_cast<std::size_t>(g.room * Row(g.dst) + 16); }

void TransformTile(const Gradient& gradient, int tile) {
  if (gradient.tile == 4)
    TransformBoth<4>(gradient, tile);
  else
    TransformBoth<6>(gradient, tile);
}

void AddProducts(const Gradient& g, int point) {
  const Panels panels = PanelsOf(g.dst.blocks);
  const std::ptrdiff_t in = g.src.blocks * 16, out = g.dst.blocks * 16;
  const float* const a = g.transformed_src + static_cast<std::ptrdiff_t>(SrcPoint(g)) * point;
  const float* const b = g.transformed_dst + static_cast<std::ptrdiff_t>(DstPoint(g)) * point;
  float* const sums = g.sums + point * in * out;
  for (int p = 0; p < panels.count; ++p) {
    const int vectors = panels.width(p), first = panels.start(p) * kLanes, rows = OuterRows(vectors);
    for (int c = 0; c < in; c += rows)
      kOuter[vectors - 1](a + c, Row(g.src), b + first, Row(g.dst), g.count, sums + c * out + first, out,
                          g.begin > 0);
  }
}

void Unpack(const Gradient& gradient, const Packing& packing, float* weights, int item) {
  if (gradient.tile == 4)
    UnpackTiles<4>(gradient, packing, weights, item);
  else
    UnpackTiles<6>(gradient, packing, weights, item);
}

}  // namespace frf::winograd

#endif
