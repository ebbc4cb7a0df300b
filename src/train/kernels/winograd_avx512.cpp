// SPDX-License-Identifier: Apache-2.0
// The kernels of winograd_kernels.h that convolve: weights packed, tiles transformed, multiplied, transformed
// back.
#if defined(__AVX512F__)

#include "train/kernels/winograd_transforms.inl.h"

namespace frf::winograd {
namespace {

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

struct Layout {                                // of the scratch, in floats
  std::ptrdiff_t source_point, product_point;  // from one point's matrix to the next
  std::ptrdiff_t products;                     // where the products begin
};

// 16 floats more than needed from point to point: a power of two would send all stores of a tile to one cache
// set.
Layout LayoutOf(const Convolution& conv) {
  const std::ptrdiff_t rows = conv.tiles_per_item + isa::kMaxRows;
  const std::ptrdiff_t source = rows * conv.src.blocks * 16 + 16,
                       product = rows * isa::kMaxVectors * kLanes + 16;
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
  fetch(conv.dst, conv.dst_blocks, conv.dst_height, conv.dst_width, CornerOf(list, begin, conv.tile), 0, 0,
        0);
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
  OutputLanes lanes;
  const float* base;
  TapLoader(const Packing& p, int first, int in)
      : packing(p), lanes(p, first), base(p.weights + first * p.strides[0] + in * p.strides[1]) {
    if (in >= p.in) lanes.valid = 0;
  }
  V operator()(int y, int x) const {
    if (packing.turned) y = 2 - y, x = 2 - x;
    return _mm512_mask_i32gather_ps(_mm512_setzero_ps(), lanes.valid, lanes.offsets,
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
}  // namespace frf::winograd

#endif
