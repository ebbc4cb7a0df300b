// SPDX-License-Identifier: Apache-2.0
// 3x3 convolution by minimal filtering: stride 1 by F(4x4, 3x3) and F(6x6, 3x3), 4 and 5.1 times fewer
// multiplications, stride 2 by 1.8 times fewer. A run of tiles is transformed, multiplied and transformed
// back while it is in L2. Subtle: F(6,3) errs more (about 7e-6 of the largest value against 2e-6), both far
// below what flips a label.
#pragma once

#include "engine/kernels/fetch.inl.h"
#include "engine/kernels/winograd_pack.inl.h"

namespace frf::kernels::FRF_ISA {

struct WinogradLayout {                        // of the scratch, in words
  std::ptrdiff_t source_point, product_point;  // from one of the PointsOf^2 matrices to the next
  std::ptrdiff_t products;                     // where the products begin
  std::size_t size;
};

static inline std::ptrdiff_t WordsOf(const WinogradConv& conv) { return conv.depth / kPerWord; }

// 16 words more than needed from point to point: a power of two would send all stores of a tile to one cache
// set.
static inline WinogradLayout LayoutOf(const WinogradConv& conv) {
  const std::ptrdiff_t rows = conv.tiles_per_item + kMaxRows,
                       points = PointsOf(conv.tile, conv.stride) * PointsOf(conv.tile, conv.stride);
  const std::ptrdiff_t source = rows * WordsOf(conv) + 16, product = rows * kMaxVectors * kLanes + 16;
  return {source, product, points * source, static_cast<std::size_t>(points * (source + product))};
}

static std::size_t WinogradScratch(const WinogradConv& conv) { return LayoutOf(conv).size; }

static inline Tiles TilesOf(const WinogradConv& conv) {
  return TilesOf(conv.dst.height, conv.dst.width, conv.dilation_h, conv.dilation_w, conv.tile);
}

// Tiles of an item: as many as the product takes at once, so that L2 holds the weights from item to item.
// Where it cannot anyway, or tiles are shared, transformed source and one panel's products may fill half of
// it, and weights stream past.
static void PlanWinograd(WinogradConv& conv, int threads, std::size_t l2_bytes) {
  const Panels panels = PanelsOf(conv.weights.out_blocks);
  const std::int64_t points = PointsOf(conv.tile, conv.stride) * PointsOf(conv.tile, conv.stride);
  const std::int64_t bytes = points * (WordsOf(conv) + panels.wide * kLanes) * 4;  // per tile
  const int rows = Rows(panels.wide);
  std::int64_t tiles = static_cast<std::int64_t>(l2_bytes / 2) / bytes;
  const std::int64_t all = TilesOf(conv).all, wanted = 2L * threads;
  const std::int64_t even = (all + wanted - 1) / wanted;
  // Weights that pass by in all many times over cost more than sharing the transformed tiles does (not so
  // with stride 2, where sharing never gained).
  constexpr std::int64_t kMuchTraffic = std::int64_t{48} << 20;
  const std::int64_t weights = points * WordsOf(conv) * conv.weights.out_blocks * kBlock * 4;
  conv.share = conv.stride == 1 && tiles < 12 && panels.count > 1 &&
               weights * (all / (tiles > rows ? tiles : rows)) > kMuchTraffic;
  if (conv.share) tiles = static_cast<std::int64_t>(l2_bytes / 2) / (points * panels.wide * kLanes * 4);
  // One block of the product where L2 holds the weights, or nearly; more, as they stream past, where it does
  // not.
  const std::int64_t large = std::int64_t{conv.stride} << 20, least = conv.stride == 1 ? 4 * rows : 2 * rows;
  if (!conv.share) tiles = weights <= large ? rows : tiles < least ? least : tiles;
  if (tiles > even && !conv.share) tiles = even;
  if (tiles > all) tiles = all;
  tiles = tiles / rows * rows;
  if (tiles < rows) tiles = rows;
  conv.tiles_per_item = static_cast<int>(tiles);
  const std::int64_t blocks = (all + tiles - 1) / tiles;
  // Few tiles: share the weights instead, so that each thread streams its own part of them.
  conv.panels_per_item = conv.share ? 1 : panels.count;
  if (blocks < wanted && !conv.share) {
    const std::int64_t groups = (wanted + blocks - 1) / blocks;
    conv.panels_per_item = static_cast<int>((panels.count + groups - 1) / groups);
  }
  conv.items = blocks * ((panels.count + conv.panels_per_item - 1) / conv.panels_per_item);
  // Where they pass by often, they come from L3, and fetching them by hand is slower (measured; with stride 2
  // always).
  constexpr std::int64_t kFewPasses = 2;
  conv.stream = conv.stride == 1 && weights >= kStreamBytes && blocks <= kFewPasses * threads;
  constexpr std::int64_t kTransformTiles = 4;
  conv.transform_items = conv.share ? (all + kTransformTiles - 1) / kTransformTiles : 0;
}

static std::size_t WinogradShared(const WinogradConv& conv) {
  if (!conv.share) return 0;
  const std::int64_t blocks = (TilesOf(conv).all + conv.tiles_per_item - 1) / conv.tiles_per_item;
  return static_cast<std::size_t>(blocks * LayoutOf(conv).products);
}

// One tile: the views of its phase, and its corner there.
struct TilePlace {
  Map src, dst;
  Epilogue epilogue;
  int y, x, pad_top, pad_left;
};

static inline Map EveryNth(Map map, int y, int x, int down, int across) {
  if (!map.data) return map;
  map.data += y * map.row + x * map.pixel;
  map.height = (map.height - y + down - 1) / down;
  map.width = (map.width - x + across - 1) / across;
  map.row *= down;
  map.pixel *= across;
  return map;
}

// Output row q * d + phase reads the source's rows q * d + phase - pad + k * d, which are of one phase as
// well.
static inline TilePlace PlaceOf(const WinogradConv& conv, const Tiles& tiles, std::int64_t tile) {
  const std::int64_t at = tile % tiles.each;
  const int y = static_cast<int>(at / tiles.across) * conv.tile,
            x = static_cast<int>(at % tiles.across) * conv.tile;
  if (conv.dilation_h == 1 && conv.dilation_w == 1)
    return {conv.src, conv.dst, conv.epilogue, y, x, conv.pad_top, conv.pad_left};
  const int dh = conv.dilation_h, dw = conv.dilation_w;
  const int phase = static_cast<int>(tile / tiles.each), py = phase / dw, px = phase % dw;
  const int sy = ((py - conv.pad_top) % dh + dh) % dh, sx = ((px - conv.pad_left) % dw + dw) % dw;
  TilePlace place{EveryNth(conv.src, sy, sx, dh, dw), EveryNth(conv.dst, py, px, dh, dw), conv.epilogue, y, x,
                  -(py - conv.pad_top - sy) / dh,     -(px - conv.pad_left - sx) / dw};
  place.epilogue.add = EveryNth(conv.epilogue.add, py, px, dh, dw);
  place.epilogue.sum = EveryNth(conv.epilogue.sum, py, px, dh, dw);
  return place;
}

template <int T, int Stride>
static void TransformSource(const WinogradConv& conv, const TilePlace& place, float* dst,
                            std::ptrdiff_t point) {
  using F = Winograd<T, Stride>;
  constexpr int S = F::kPoints;
  const int y0 = place.y * Stride - place.pad_top, x0 = place.x * Stride - place.pad_left;
  const Map& src = place.src;
  const bool inside = y0 >= 0 && x0 >= 0 && y0 + S <= src.height && x0 + S <= src.width;
  const float* from[S][S];
  const float* const corner = src.data + y0 * src.row + x0 * src.pixel;
  if (!inside) {
    for (int i = 0; i < S; ++i) {
      for (int j = 0; j < S; ++j) {
        const int y = y0 + i, x = x0 + j;
        from[i][j] = y >= 0 && x >= 0 && y < src.height && x < src.width
                         ? corner + i * src.row + j * src.pixel
                         : conv.zeros;
      }
    }
  }
  for (int c = 0; c < conv.depth; c += kLanes) {
    V grid[S][S];
    for (int i = 0; i < S; ++i) {
      V line[S];
      if (inside) {
        const float* const row = corner + i * src.row + c;
#pragma GCC unroll 9
        for (int j = 0; j < S; ++j) line[j] = Load(row + j * src.pixel);
#pragma GCC unroll 9
        for (int j = S - T * Stride; j < S; ++j)
          __builtin_prefetch(row + (j + T * Stride) * src.pixel);  // the next tile
      } else {
#pragma GCC unroll 9
        for (int j = 0; j < S; ++j) line[j] = Load(from[i][j] + c);
      }
      F::Input(line);
#pragma GCC unroll 9
      for (int j = 0; j < S; ++j) grid[i][j] = line[j];
    }
    float* out = dst + c / kPerWord;
    for (int j = 0; j < S; ++j) {
      V line[S];
#pragma GCC unroll 9
      for (int i = 0; i < S; ++i) line[i] = grid[i][j];
      F::Input(line);
#pragma GCC unroll 9
      for (int i = 0; i < S; ++i) StoreOperands(out + (i * S + j) * point, line[i]);
    }
  }
}

// A row of a whole tile with what follows nearly every convolution: bias, bounds, an addition after them.
// Everything known when it is compiled, so that the row stays in registers.
template <int T, bool kClamp, bool kAdd, bool kSum>
FRF_INLINE void StoreTileRow(const V* out, V bias, V low, V high, const Map& to, float* dst, const Map& with,
                             const float* add, const Map& total, float* sum, bool past_caches) {
  const auto store = [&](float* p, V v) { past_caches ? StorePastCaches(p, v) : Store(p, v); };
#pragma GCC unroll 9
  for (int j = 0; j < T; ++j) {
    V v = out[j] + bias;
    if constexpr (kClamp) v = Min(Max(v, low), high);
    if constexpr (kAdd) {
      const V added = v + Load(add + j * with.pixel);
      if constexpr (kSum)
        store(sum + j * total.pixel, added);
      else
        v = added;
    }
    store(dst + j * to.pixel, v);
  }
}

template <int T, int Stride>
static void TransformProducts(const TilePlace& place, const float* products, std::ptrdiff_t point,
                              int channel, int vectors) {
  using F = Winograd<T, Stride>;
  constexpr int S = F::kPoints;
  const Epilogue& e = place.epilogue;
  const int y0 = place.y, x0 = place.x;
  const int height = place.dst.height - y0 < T ? place.dst.height - y0 : T;
  const int width = place.dst.width - x0 < T ? place.dst.width - x0 : T;
  if (height <= 0 || width <= 0) return;  // a phase that is smaller than the first
  const Rounder round(e.round), round_sum(e.round_sum);
  // One pair of bounds for the activation and, where it is rounded next, for what bytes can stand for.
  const bool next = round.on && (!e.add.data || e.add_first || e.sum.data);
  const bool clip = e.act == Act::kClip, bounded = e.act == Act::kRelu || clip;
  const bool clamp = bounded || (next && e.act == Act::kNone), rare = !bounded && e.act != Act::kNone;
  V low = Broadcast(clip      ? e.alpha
                    : bounded ? 0.0f
                              : -__builtin_inff()),
    high = Broadcast(clip ? e.beta : __builtin_inff());
  if (next) low = Max(low, round.low), high = Min(high, round.high);
  const bool plain =
      height == T && width == T && !round.on && !round_sum.on && !rare && !(e.add.data && e.add_first);
  for (int n = 0; n < vectors; ++n, channel += kLanes, products += kLanes) {
    V grid[T][S];
    for (int j = 0; j < S; ++j) {
      V line[S], out[T];
#pragma GCC unroll 9
      for (int i = 0; i < S; ++i) line[i] = Load(products + (i * S + j) * point);
      F::Output(line, out);
#pragma GCC unroll 9
      for (int i = 0; i < T; ++i) grid[i][j] = out[i];
    }
    const V bias = e.bias ? Load(e.bias + channel) : Zero();
    if (plain) {
      const auto rows = [&]<bool kClamp, bool kAdd, bool kSum>() {
        for (int i = 0; i < T; ++i) {
          V out[T];
          F::Output(grid[i], out);
          const auto at = [&](const Map& map) {
            return map.data + (y0 + i) * map.row + x0 * map.pixel + channel;
          };
          StoreTileRow<T, kClamp, kAdd, kSum>(out, bias, low, high, place.dst, at(place.dst), e.add,
                                              kAdd ? at(e.add) : nullptr, e.sum, kSum ? at(e.sum) : nullptr,
                                              e.past_caches);
        }
      };
      if (clamp) {
        if (!e.add.data)
          rows.template operator()<true, false, false>();
        else if (!e.sum.data)
          rows.template operator()<true, true, false>();
        else
          rows.template operator()<true, true, true>();
      } else {
        if (!e.add.data)
          rows.template operator()<false, false, false>();
        else if (!e.sum.data)
          rows.template operator()<false, true, false>();
        else
          rows.template operator()<false, true, true>();
      }
      continue;
    }
    for (int i = 0; i < height; ++i) {
      V out[T];
      F::Output(grid[i], out);
      const auto at = [&](const Map& map) {
        return map.data + (y0 + i) * map.row + x0 * map.pixel + channel;
      };
      float* const dst = at(place.dst);
      const float* const add = e.add.data ? at(e.add) : nullptr;
      float* const sum = e.sum.data ? at(e.sum) : dst;
      for (int j = 0; j < width; ++j) {
        V v = out[j] + bias;
        if (add && e.add_first) v = v + Load(add + j * e.add.pixel);
        if (clamp) v = Min(Max(v, low), high);
        if (rare) v = ActivateRare(v, e.act, e.alpha, e.beta);
        if (add && !e.add_first) {
          if (sum == dst) {
            v = v + Load(add + j * e.add.pixel);
            if (round.on) v = round(v);
          } else {
            if (round.on) v = clamp ? round.Inside(v) : round(v);
            const V total = v + Load(add + j * e.add.pixel);
            Store(sum + j * e.sum.pixel, round_sum.on ? round_sum(total) : total);
          }
        }
        if (round.on && (!add || e.add_first)) v = clamp ? round.Inside(v) : round(v);
        Store(dst + j * place.dst.pixel, v);
      }
    }
  }
}

// What an item will touch: its destinations, and the source of the next item, which is most likely this
// thread's too (Plan::RunSteps). Of the first tiles' row of an undilated convolution alone; enough, as items
// are short.
template <int T, int Stride>
static void FetchAround(const WinogradConv& conv, const Tiles& tiles, std::int64_t begin, Fetcher& fetcher) {
  if (conv.dilation_h != 1 || conv.dilation_w != 1) return;
  const auto fetch = [&](const Map& map, std::int64_t tile, int step, int grow, int shift_y, int shift_x,
                         int channels) {
    if (!map.data || tile < 0 || tile >= tiles.all) return;
    const int y = static_cast<int>(tile / tiles.across) * step - shift_y,
              x = static_cast<int>(tile % tiles.across) * step - shift_x;
    fetcher.Add(map, y, y + step + grow, x, x + conv.tiles_per_item * step + grow, channels);
  };
  if (!conv.epilogue.past_caches) fetch(conv.dst, begin, T, 0, 0, 0, conv.dst.channels);
  fetch(conv.epilogue.add, begin, T, 0, 0, 0, conv.dst.channels);
  if (!conv.epilogue.past_caches) fetch(conv.epilogue.sum, begin, T, 0, 0, 0, conv.dst.channels);
  constexpr int kStep = T * Stride, kGrow = Winograd<T, Stride>::kPoints - kStep;
  const int onwards = conv.backwards ? -conv.tiles_per_item : conv.tiles_per_item;
  if (!conv.share) fetch(conv.src, begin + onwards, kStep, kGrow, conv.pad_top, conv.pad_left, conv.depth);
}

template <int T, int Stride>
static void RunWinogradTile(const WinogradConv& conv, std::int64_t item, float* scratch) {
  constexpr int S = Winograd<T, Stride>::kPoints;
  const Panels panels = PanelsOf(conv.weights.out_blocks);
  const int groups = (panels.count + conv.panels_per_item - 1) / conv.panels_per_item;
  const Tiles tiles = TilesOf(conv);
  const std::int64_t block_of_tiles = item / groups, begin = block_of_tiles * conv.tiles_per_item;
  const int count =
      static_cast<int>(begin + conv.tiles_per_item < tiles.all ? conv.tiles_per_item : tiles.all - begin);
  const int first = static_cast<int>(item % groups) * conv.panels_per_item;
  const int last = first + conv.panels_per_item < panels.count ? first + conv.panels_per_item : panels.count;
  const WinogradLayout layout = LayoutOf(conv);
  const std::ptrdiff_t words = WordsOf(conv);
  float* const products = scratch + layout.products;
  const float* const sources = conv.share ? conv.shared + block_of_tiles * layout.products : scratch;
  for (int t = 0; t < count && !conv.share; ++t) {
    TransformSource<T, Stride>(conv, PlaceOf(conv, tiles, begin + t), scratch + t * words,
                               layout.source_point);
  }
  Fetcher fetcher;
  FetchAround<T, Stride>(conv, tiles, begin, fetcher);
  for (int p = first; p < last; ++p) {
    const int vectors = panels.width(p), channel = panels.start(p) * kLanes, block = RowsFor(vectors, count);
    const ProductFunction multiply = ProductOf(vectors, block),
                          first_multiply = ProductOf(vectors, block, conv.stream);
    const float* const panel = conv.weights.data + static_cast<std::int64_t>(channel) * S * S * words;
    const std::ptrdiff_t stride = static_cast<std::ptrdiff_t>(vectors) * kLanes;
    for (int point = 0; point < S * S; ++point) {
      const float* const source = sources + point * layout.source_point;
      float* const product = products + point * layout.product_point;
      const float* const weights = panel + point * stride * words;
      for (int t = 0; t < count; t += block) {
        const float* rows[kMaxRows];
        for (int r = 0; r < block; ++r) rows[r] = source + (t + r) * words;
        (t == 0 ? first_multiply : multiply)(rows, 1, words, weights, fetcher.Next(rows[0], words),
                                             product + t * stride, stride);
      }
    }
    for (int t = 0; t < count; ++t) {
      TransformProducts<T, Stride>(PlaceOf(conv, tiles, begin + t), products + t * stride,
                                   layout.product_point, channel, vectors);
    }
  }
}

static void TransformShared(const WinogradConv& conv, std::int64_t item) {
  const Tiles tiles = TilesOf(conv);
  const WinogradLayout layout = LayoutOf(conv);
  const std::int64_t per_item = (tiles.all + conv.transform_items - 1) / conv.transform_items;
  for (std::int64_t tile = item * per_item; tile < (item + 1) * per_item && tile < tiles.all; ++tile) {
    float* const to = conv.shared + tile / conv.tiles_per_item * layout.products +
                      tile % conv.tiles_per_item * WordsOf(conv);
    const TilePlace place = PlaceOf(conv, tiles, tile);
    if (conv.tile == 4)
      TransformSource<4, 1>(conv, place, to, layout.source_point);
    else
      TransformSource<6, 1>(conv, place, to, layout.source_point);
  }
}

static void RunWinograd(const WinogradConv& conv, std::int64_t item, float* scratch) {
  if (conv.stride == 2 && conv.tile == 2)
    RunWinogradTile<2, 2>(conv, item, scratch);
  else if (conv.stride == 2)
    RunWinogradTile<4, 2>(conv, item, scratch);
  else if (conv.tile == 4)
    RunWinogradTile<4, 1>(conv, item, scratch);
  else
    RunWinogradTile<6, 1>(conv, item, scratch);
}

}  // namespace frf::kernels::FRF_ISA
