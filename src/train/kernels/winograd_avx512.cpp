// SPDX-License-Identifier: Apache-2.0
// The kernels of winograd_kernels.h, with AVX-512 (the flags of this file alone stand in cmake/Train.cmake).
// Transforms along one axis and the product are the engine's.
#if defined(__AVX512F__)

#define FRF_ISA train_avx512
#define FRF_ISA_AVX512 1
#include "engine/kernels/fetch.inl.h"
#include "engine/kernels/winograd_tiles.inl.h"
#include "train/kernels/winograd_kernels.h"

namespace frf::winograd {
namespace {

namespace isa = kernels::train_avx512;
using isa::Broadcast;
using isa::kLanes;
using isa::Load;
using isa::Panels;
using isa::PanelsOf;
using isa::Store;
using isa::V;
template <int T>
using Form = isa::Winograd<T, 1>;

struct TileList {
  int across, down;  // of one image
  std::int64_t each, all;
};

TileList ListOf(int height, int width, int images, int tile) {
  const int across = (width + tile - 1) / tile, down = (height + tile - 1) / tile;
  const std::int64_t each = static_cast<std::int64_t>(across) * down;
  return {across, down, each, each * images};
}

struct Corner {
  std::int64_t image;
  int y, x;
};

Corner CornerOf(const TileList& list, std::int64_t tile, int size) {
  const std::int64_t at = tile % list.each;
  return {tile / list.each, static_cast<int>(at / list.across) * size,
          static_cast<int>(at % list.across) * size};
}

const float* ImageOf(const Map& map, std::int64_t image) {
  return map.data + image * map.blocks * map.height * map.width * 16;
}

// Floats from one transformed tile to the next: 16 more than needed, as powers of two would send all tiles to
// few cache sets.
std::ptrdiff_t Row(const Map& map) { return map.blocks * 16 + 16; }

alignas(64) constexpr float kZeros[16] = {};

// S x S values from (y0, x0) on of all channels, zeros where there are none, along both axes by `axis`, to
// `dst`, from point to point `point` floats.
template <int S, int Points, typename Axis>
FRF_INLINE void Transform(const Map& map, const Corner& corner, int y0, int x0, float* dst,
                          std::ptrdiff_t point, const Axis& axis) {
  const std::ptrdiff_t plane = static_cast<std::ptrdiff_t>(map.height) * map.width * 16,
                       row = static_cast<std::ptrdiff_t>(map.width) * 16;
  const bool inside = y0 >= 0 && x0 >= 0 && y0 + S <= map.height && x0 + S <= map.width;
  const float* from = ImageOf(map, corner.image) + y0 * row + x0 * 16;
  for (int b = 0; b < map.blocks; ++b, from += plane, dst += 16) {
    V grid[S][Points];
    for (int i = 0; i < S; ++i) {
      V line[Points > S ? Points : S];
      if (inside) {
#pragma GCC unroll 9
        for (int j = 0; j < S; ++j) {
          line[j] = Load(from + i * row + j * 16);
          __builtin_prefetch(from + plane + i * row + j * 16);  // the next channels, which no hardware foresees
        }
      } else {
        const bool there = y0 + i >= 0 && y0 + i < map.height;
#pragma GCC unroll 9
        for (int j = 0; j < S; ++j)
          line[j] =
              Load(there && x0 + j >= 0 && x0 + j < map.width ? from + i * row + j * 16 : kZeros);
      }
      axis(line);
#pragma GCC unroll 9
      for (int j = 0; j < Points; ++j) grid[i][j] = line[j];
    }
    for (int j = 0; j < Points; ++j) {
      V line[Points > S ? Points : S];
#pragma GCC unroll 9
      for (int i = 0; i < S; ++i) line[i] = grid[i][j];
      axis(line);
#pragma GCC unroll 9
      for (int i = 0; i < Points; ++i) Store(dst + (i * Points + j) * point, line[i]);
    }
  }
}

template <int T>
void TransformSource(const Map& src, const Corner& corner, int pad_top, int pad_left, float* dst,
                     std::ptrdiff_t point) {
  constexpr int S = Form<T>::kPoints;
  Transform<S, S>(src, corner, corner.y - pad_top, corner.x - pad_left, dst, point,
                  [](V(&line)[S]) { Form<T>::Input(line); });
}

template <int T>
void StoreTile(const Convolution& conv, const Corner& corner, const float* products, std::ptrdiff_t point,
               int block, int vectors) {
  constexpr int S = Form<T>::kPoints;
  const std::ptrdiff_t row = static_cast<std::ptrdiff_t>(conv.dst_width) * 16, plane = row * conv.dst_height;
  const int height = conv.dst_height - corner.y < T ? conv.dst_height - corner.y : T;
  const int width = conv.dst_width - corner.x < T ? conv.dst_width - corner.x : T;
  float* to = conv.dst + (corner.image * conv.dst_blocks + block) * plane + corner.y * row + corner.x * 16;
  for (int n = 0; n < vectors; ++n, products += kLanes, to += plane) {
    V grid[T][S];
    for (int j = 0; j < S; ++j) {
      V line[S], out[T];
#pragma GCC unroll 9
      for (int i = 0; i < S; ++i) line[i] = Load(products + (i * S + j) * point);
      Form<T>::Output(line, out);
#pragma GCC unroll 9
      for (int i = 0; i < T; ++i) grid[i][j] = out[i];
    }
    for (int i = 0; i < height; ++i) {
      V out[T];
      Form<T>::Output(grid[i], out);
      if (width == T) {
#pragma GCC unroll 9
        for (int j = 0; j < T; ++j) Store(to + i * row + j * 16, out[j]);
      } else {
        for (int j = 0; j < width; ++j) Store(to + i * row + j * 16, out[j]);
      }
    }
  }
}

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
  const __m512i lanes =
      _mm512_mullo_epi32(_mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0),
                         _mm512_set1_epi32(static_cast<int>(packing.strides[0])));
  for (int c = item * 16; c < item * 16 + 16 && c < packing.in; ++c) {
    for (int o = 0; o < packing.out; o += 16) {
      const __mmask16 valid =
          packing.out - o >= 16 ? 0xffff : static_cast<__mmask16>((1u << (packing.out - o)) - 1);
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
          _mm512_mask_i32scatter_ps(to + y * packing.strides[2] + x * packing.strides[3], valid, lanes, sum, 4);
        }
      }
    }
  }
}

struct Layout {                                // of the scratch, in floats
  std::ptrdiff_t source_point, product_point;  // from one point's matrix to the next
  std::ptrdiff_t products;                     // where the products begin
};

// 16 floats more than needed from point to point: a power of two would send all stores of a tile to one cache
// set.
Layout LayoutOf(const Convolution& conv) {
  const std::ptrdiff_t rows = conv.tiles_per_item + isa::kMaxRows;
  const std::ptrdiff_t source = rows * conv.src.blocks * 16 + 16, product = rows * isa::kMaxVectors * kLanes + 16;
  return {source, product, Points(conv.tile) * source};
}

// Where an item will write, and the next one read, handed to its products to be fetched meanwhile.
void FetchAround(const Convolution& conv, const TileList& list, std::int64_t begin, isa::Fetcher& fetcher) {
  const auto fetch = [&](const float* data, int blocks, int height, int width, const Corner& corner, int top,
                         int left, int grow) {
    const std::ptrdiff_t plane = static_cast<std::ptrdiff_t>(height) * width * 16;
    kernels::Map map{.data = const_cast<float*>(data + corner.image * blocks * plane),
                     .height = height,
                     .width = width,
                     .channels = 16,
                     .pixel = 16,
                     .row = static_cast<std::ptrdiff_t>(width) * 16};
    for (int b = 0; b < blocks; ++b, map.data += plane) {
      fetcher.Add(map, corner.y - top, corner.y - top + conv.tile + grow, corner.x - left,
                  corner.x - left + conv.tiles_per_item * conv.tile + grow, 16);
    }
  };
  fetch(conv.dst, conv.dst_blocks, conv.dst_height, conv.dst_width, CornerOf(list, begin, conv.tile), 0, 0, 0);
  const std::int64_t next = begin + conv.tiles_per_item;
  if (next < list.all)
    fetch(conv.src.data, conv.src.blocks, conv.src.height, conv.src.width, CornerOf(list, next, conv.tile),
          conv.pad_top, conv.pad_left, 2);
}

template <int T>
void RunTiles(const Convolution& conv, std::int64_t item, float* scratch) {
  constexpr int S = Form<T>::kPoints;
  const Panels panels = PanelsOf(conv.dst_blocks);
  const TileList list = ListOf(conv.dst_height, conv.dst_width, conv.images, T);
  const std::int64_t begin = item * conv.tiles_per_item;
  const int count =
      static_cast<int>(begin + conv.tiles_per_item < list.all ? conv.tiles_per_item : list.all - begin);
  const int depth = conv.src.blocks * 16;
  const Layout layout = LayoutOf(conv);
  float* const products = scratch + layout.products;
  for (int t = 0; t < count; ++t)
    TransformSource<T>(conv.src, CornerOf(list, begin + t, T), conv.pad_top, conv.pad_left,
                       scratch + static_cast<std::ptrdiff_t>(t) * depth, layout.source_point);
  isa::Fetcher fetcher;
  FetchAround(conv, list, begin, fetcher);
  for (int p = 0; p < panels.count; ++p) {
    const int vectors = panels.width(p), rows = isa::RowsFor(vectors, count);
    const isa::ProductFunction multiply = isa::ProductOf(vectors, rows);
    const std::ptrdiff_t stride = static_cast<std::ptrdiff_t>(vectors) * kLanes;
    const float* const panel =
        conv.weights + static_cast<std::int64_t>(panels.start(p)) * kLanes * S * S * depth;
    for (int point = 0; point < S * S; ++point) {
      const float* const source = scratch + point * layout.source_point;
      float* const product = products + point * layout.product_point;
      const float* const weights = panel + point * stride * depth;
      for (int t = 0; t < count; t += rows) {
        const float* at[isa::kMaxRows];
        for (int r = 0; r < rows; ++r) at[r] = source + static_cast<std::ptrdiff_t>(t + r) * depth;
        multiply(at, 1, depth, weights, fetcher.Next(at[0], depth), product + t * stride, stride);
      }
    }
    for (int t = 0; t < count; ++t)
      StoreTile<T>(conv, CornerOf(list, begin + t, T), products + t * stride, layout.product_point,
                   panels.start(p), vectors);
  }
}

// A kernel's tap (y, x) of outputs `first` .. `first` + 15 and one input; zeros beyond the last.
struct TapLoader {
  const Packing& packing;
  __m512i lanes;
  __mmask16 valid;
  const float* base;
  TapLoader(const Packing& p, int first, int in)
      : packing(p),
        lanes(_mm512_mullo_epi32(_mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0),
                                 _mm512_set1_epi32(static_cast<int>(p.strides[0])))),
        valid(in >= p.in || first >= p.out ? 0
              : p.out - first >= 16        ? 0xffff
                                           : static_cast<__mmask16>((1u << (p.out - first)) - 1)),
        base(p.weights + first * p.strides[0] + in * p.strides[1]) {}
  V operator()(int y, int x) const {
    if (packing.turned) y = 2 - y, x = 2 - x;
    return _mm512_mask_i32gather_ps(_mm512_setzero_ps(), valid, lanes,
                                    base + y * packing.strides[2] + x * packing.strides[3], 4);
  }
};

template <int T>
void PackTiles(const Packing& packing, int item) {
  using F = Form<T>;
  constexpr int S = F::kPoints;
  const int depth = (packing.in + 15) / 16 * 16;
  const Panels panels = PanelsOf((packing.out + 15) / 16);
  for (int p = 0; p < panels.count; ++p) {
    const int width = panels.width(p) * kLanes;
    float* const panel = packing.packed + static_cast<std::int64_t>(panels.start(p)) * kLanes * S * S * depth;
    for (int c = item * 16; c < item * 16 + 16; ++c) {
      for (int n = 0; n < width; n += kLanes) {
        const TapLoader tap(packing, panels.start(p) * kLanes + n, c);
        V lines[S][3];
        for (int x = 0; x < 3; ++x) {
          const V a = tap(0, x), b = tap(1, x), d = tap(2, x);
#pragma GCC unroll 9
          for (int i = 0; i < S; ++i)
            lines[i][x] = a * Broadcast(static_cast<float>(F::kKernel[i][0])) +
                          b * Broadcast(static_cast<float>(F::kKernel[i][1])) +
                          d * Broadcast(static_cast<float>(F::kKernel[i][2]));
        }
        float* const to = panel + static_cast<std::ptrdiff_t>(c) * width + n;
        for (int i = 0; i < S; ++i) {
#pragma GCC unroll 9
          for (int j = 0; j < S; ++j)
            Store(to + (i * S + j) * static_cast<std::ptrdiff_t>(depth) * width,
                  lines[i][0] * Broadcast(static_cast<float>(F::kKernel[j][0])) +
                      lines[i][1] * Broadcast(static_cast<float>(F::kKernel[j][1])) +
                      lines[i][2] * Broadcast(static_cast<float>(F::kKernel[j][2])));
        }
      }
    }
  }
}

}  // namespace

int Points(int tile) { return (tile + 2) * (tile + 2); }

std::int64_t Tiles(const Convolution& conv) {
  return ListOf(conv.dst_height, conv.dst_width, conv.images, conv.tile).all;
}

// As the engine plans its own: as many tiles as the product takes at once, so that weights stay in L2 from
// item to item; where they cannot, as many as fit half of it, and weights stream past.
void Plan(Convolution& conv, int threads, std::size_t l2_bytes) {
  const Panels panels = PanelsOf(conv.dst_blocks);
  const std::int64_t all = Tiles(conv), points = Points(conv.tile), depth = conv.src.blocks * 16;
  const int rows = isa::Rows(panels.wide);
  const std::int64_t weights = points * depth * conv.dst_blocks * 16 * 4;
  std::int64_t tiles = rows;
  if (weights > std::int64_t{2} << 20) {
    tiles = static_cast<std::int64_t>(l2_bytes / 2) / (points * (depth + panels.wide * kLanes) * 4);
    if (tiles < 3 * rows) tiles = 3 * rows;
  }
  const std::int64_t even = (all + threads - 1) / threads;
  if (tiles > even) tiles = even;
  tiles = tiles / rows * rows;
  if (tiles < rows) tiles = rows;
  conv.tiles_per_item = static_cast<int>(tiles);
  conv.items = (all + tiles - 1) / tiles;
}

std::size_t PackedFloats(int out, int in, int tile) {
  return static_cast<std::size_t>(Points(tile)) * ((out + 15) / 16 * 16) * ((in + 15) / 16 * 16);
}

std::size_t ScratchFloats(const Convolution& conv) {
  const Layout layout = LayoutOf(conv);
  return static_cast<std::size_t>(layout.products + Points(conv.tile) * layout.product_point);
}

void Pack(const Packing& packing, int item) {
  if (packing.tile == 4)
    PackTiles<4>(packing, item);
  else
    PackTiles<6>(packing, item);
}

void Run(const Convolution& conv, std::int64_t item, float* scratch) {
  if (conv.tile == 4)
    RunTiles<4>(conv, item, scratch);
  else
    RunTiles<6>(conv, item, scratch);
}

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
