// SPDX-License-Identifier: Apache-2.0
// What half-precision arithmetic would do to labels, found out on a machine that has none of it:
//
//   frf_f16_labels MODEL camvid:DIR [EVERY]        val images, every EVERY-th of them (default 10)
//
// Convolutions are computed as AVX-512 FP16 would: operands, sums and (for Winograd) every step of the
// transforms rounded to binary16 after each fused multiply-add. Everything between layers is rounded once, on
// storing. Subtle: sums of two halves' product and a half are rounded twice here (binary32, then binary16),
// which differs from one rounding in some 2^-13 of the cases, in the last place.
#include <fmt/format.h>
#include <immintrin.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>
#include <vector>

#include "base/stats.h"
#include "base/system.h"
#include "cli/bench_convert.h"
#include "cli/cli.h"
#include "data/dataset.h"
#include "engine/plain.h"

#define FRF_AVX512 __attribute__((target("avx512f")))

namespace frf {
namespace {

constexpr int kLanes = 16, kTogether = 8;  // chains of sums side by side

// Where halves are used, from the mildest form to the one that would be fast.
enum class Arithmetic {
  kStored,    // weights and maps stored as halves, sums in float32
  kBlocks,    // sums of 32 products in halves, those in float32
  kSums,      // all sums in halves, no Winograd
  kWinograd,  // the same, 3x3 of stride 1 by F(4,3) in halves
};

struct Conv {
  int in, out, height, width, out_height, out_width, kernel_h, kernel_w, stride, dilation, pad_top, pad_left;
  int terms() const { return in * kernel_h * kernel_w; }
  bool tiled() const {
    return kernel_h == 3 && kernel_w == 3 && stride == 1 && dilation == 1 && pad_top == 1 && pad_left == 1 &&
           out_height == height && out_width == width && in % kLanes == 0;
  }
};

int Vectors(int channels) { return (channels + kLanes - 1) / kLanes; }

FRF_AVX512 inline __m512 Rounded(__m512 v) {
  return _mm512_cvtph_ps(_mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
FRF_AVX512 inline __m512 Fused(__m512 a, __m512 b, __m512 c) { return Rounded(_mm512_fmadd_ps(a, b, c)); }
FRF_AVX512 inline __m512 Times(float a, __m512 b, __m512 c) { return Fused(_mm512_set1_ps(a), b, c); }

FRF_AVX512 void RoundAll(float* values, std::int64_t count) {
  for (std::int64_t i = 0; i < count; i += kLanes) {
    const auto left = static_cast<int>(std::min<std::int64_t>(kLanes, count - i));
    const auto mask = static_cast<__mmask16>((1u << left) - 1);
    _mm512_mask_storeu_ps(values + i, mask, Rounded(_mm512_maskz_loadu_ps(mask, values + i)));
  }
}

// [vector of outputs][term][lane], rounded; missing outputs are zero.
std::vector<float> PackDirect(const float* weights, const Conv& g) {
  std::vector<float> packed(static_cast<std::size_t>(Vectors(g.out)) * g.terms() * kLanes);
  for (int o = 0; o < g.out; ++o) {
    for (int t = 0; t < g.terms(); ++t)
      packed[(static_cast<std::size_t>(o / kLanes) * g.terms() + t) * kLanes + o % kLanes] =
          weights[static_cast<std::size_t>(o) * g.terms() + t];
  }
  RoundAll(packed.data(), static_cast<std::int64_t>(packed.size()));
  return packed;
}

// One row of outputs. `columns`: [term][out_width, then zeros]; `block`: terms summed in halves.
FRF_AVX512 void DirectRow(const Conv& g, const float* columns, int pitch, const float* packed,
                          const float* bias, int block, int y, float* dst) {
  const std::size_t plane = static_cast<std::size_t>(g.out_height) * g.out_width;
  for (int v = 0; v < Vectors(g.out); ++v) {
    const float* weights = packed + static_cast<std::size_t>(v) * g.terms() * kLanes;
    for (int x = 0; x < g.out_width; x += kTogether) {
      __m512 sum[kTogether], part[kTogether];
      for (__m512& s : sum) s = _mm512_setzero_ps();
      for (int begin = 0; begin < g.terms(); begin += block) {
        for (__m512& s : part) s = _mm512_setzero_ps();
        for (int t = begin; t < std::min(begin + block, g.terms()); ++t) {
          const __m512 w = _mm512_loadu_ps(weights + static_cast<std::size_t>(t) * kLanes);
          const float* from = columns + static_cast<std::size_t>(t) * pitch + x;
          for (int i = 0; i < kTogether; ++i) part[i] = Fused(w, _mm512_set1_ps(from[i]), part[i]);
        }
        for (int i = 0; i < kTogether; ++i) sum[i] = _mm512_add_ps(sum[i], part[i]);
      }
      for (int i = 0; i < std::min(kTogether, g.out_width - x); ++i) {
        alignas(64) float lanes[kLanes];
        _mm512_store_ps(lanes, sum[i]);
        for (int l = 0; l < std::min(kLanes, g.out - v * kLanes); ++l) {
          const int o = v * kLanes + l;
          dst[o * plane + static_cast<std::size_t>(y) * g.out_width + x + i] =
              lanes[l] + (bias ? bias[o] : 0);
        }
      }
    }
  }
}

void Direct(const Conv& g, const float* src, const float* weights, const float* bias, int block, float* dst) {
  const std::vector<float> packed = PackDirect(weights, g);
  const int pitch = g.out_width + kTogether;
#pragma omp parallel for schedule(dynamic)
  for (int y = 0; y < g.out_height; ++y) {
    std::vector<float> columns(static_cast<std::size_t>(g.terms()) * pitch);
    for (int t = 0; t < g.terms(); ++t) {
      const int c = t / (g.kernel_h * g.kernel_w), ky = t / g.kernel_w % g.kernel_h, kx = t % g.kernel_w;
      const int sy = y * g.stride + ky * g.dilation - g.pad_top;
      if (sy < 0 || sy >= g.height) continue;
      for (int x = 0; x < g.out_width; ++x) {
        const int sx = x * g.stride + kx * g.dilation - g.pad_left;
        if (sx >= 0 && sx < g.width)
          columns[static_cast<std::size_t>(t) * pitch + x] =
              src[(static_cast<std::size_t>(c) * g.height + sy) * g.width + sx];
      }
    }
    DirectRow(g, columns.data(), pitch, packed.data(), bias, block, y, dst);
  }
}

constexpr int kTile = 6, kPoints = kTile * kTile, kOut = 4;

// Lavin and Gray 2015, F(4,3): one column or row of the source's transform.
FRF_AVX512 void ToPoints(__m512* d, int step) {
  const __m512 d0 = d[0], d1 = d[step], d2 = d[2 * step], d3 = d[3 * step], d4 = d[4 * step],
               d5 = d[5 * step];
  const __m512 even = Times(-4, d2, d4), odd = Times(-4, d1, d3), near = Rounded(_mm512_sub_ps(d4, d2)),
               far = Rounded(_mm512_sub_ps(d3, d1));
  d[0] = Times(4, d0, Times(-5, d2, d4));
  d[step] = Rounded(_mm512_add_ps(even, odd));
  d[2 * step] = Rounded(_mm512_sub_ps(even, odd));
  d[3 * step] = Times(2, far, near);
  d[4 * step] = Times(-2, far, near);
  d[5 * step] = Times(4, d1, Times(-5, d3, d5));
}

// Of the products' transform: six points become four outputs.
FRF_AVX512 void FromPoints(const __m512* m, int step, __m512* y, int out_step) {
  const __m512 a = Rounded(_mm512_add_ps(m[step], m[2 * step])),
               b = Rounded(_mm512_sub_ps(m[step], m[2 * step])),
               c = Rounded(_mm512_add_ps(m[3 * step], m[4 * step])),
               d = Rounded(_mm512_sub_ps(m[3 * step], m[4 * step]));
  y[0] = Rounded(_mm512_add_ps(Rounded(_mm512_add_ps(m[0], a)), c));
  y[out_step] = Times(2, d, b);
  y[2 * out_step] = Times(4, c, a);
  y[3 * out_step] = Rounded(_mm512_add_ps(Times(8, d, b), m[5 * step]));
}

// [point][vector of outputs][input][lane]: transformed in double precision, rounded once.
std::vector<float> PackTiled(const float* weights, const Conv& g) {
  static constexpr double kG[kTile][3] = {{1.0 / 4, 0, 0},
                                          {-1.0 / 6, -1.0 / 6, -1.0 / 6},
                                          {-1.0 / 6, 1.0 / 6, -1.0 / 6},
                                          {1.0 / 24, 1.0 / 12, 1.0 / 6},
                                          {1.0 / 24, -1.0 / 12, 1.0 / 6},
                                          {0, 0, 1}};
  std::vector<float> packed(static_cast<std::size_t>(kPoints) * Vectors(g.out) * g.in * kLanes);
  for (int o = 0; o < g.out; ++o) {
    for (int c = 0; c < g.in; ++c) {
      const float* w = weights + (static_cast<std::size_t>(o) * g.in + c) * 9;
      for (int p = 0; p < kPoints; ++p) {
        double sum = 0;
        for (int t = 0; t < 9; ++t) sum += kG[p / kTile][t / 3] * w[t] * kG[p % kTile][t % 3];
        packed[((static_cast<std::size_t>(p) * Vectors(g.out) + o / kLanes) * g.in + c) * kLanes +
               o % kLanes] = static_cast<float>(sum);
      }
    }
  }
  RoundAll(packed.data(), static_cast<std::int64_t>(packed.size()));
  return packed;
}

// One row of tiles, `kTogether` at a time.
FRF_AVX512 void TiledRow(const Conv& g, const float* pixels, const float* packed, const float* bias, int row,
                         float* dst) {
  const std::size_t plane = static_cast<std::size_t>(g.height) * g.width;
  const int tiles = (g.width + kOut - 1) / kOut;
  std::vector<float> points(static_cast<std::size_t>(kPoints) * kTogether * g.in);
  for (int first = 0; first < tiles; first += kTogether) {
    for (int i = 0; i < kTogether; ++i) {
      for (int c = 0; c < g.in; c += kLanes) {
        __m512 d[kPoints];
        for (int p = 0; p < kPoints; ++p) {
          const int y = row * kOut + p / kTile - 1, x = (first + i) * kOut + p % kTile - 1;
          d[p] = y < 0 || x < 0 || y >= g.height || x >= g.width
                     ? _mm512_setzero_ps()
                     : _mm512_loadu_ps(pixels + (static_cast<std::size_t>(y) * g.width + x) * g.in + c);
        }
        for (int k = 0; k < kTile; ++k) ToPoints(d + k, kTile);
        for (int k = 0; k < kTile; ++k) ToPoints(d + k * kTile, 1);
        for (int p = 0; p < kPoints; ++p)
          _mm512_storeu_ps(&points[(static_cast<std::size_t>(p) * kTogether + i) * g.in + c], d[p]);
      }
    }
    for (int v = 0; v < Vectors(g.out); ++v) {
      __m512 products[kTogether][kPoints];
      for (int p = 0; p < kPoints; ++p) {
        __m512 sum[kTogether];
        for (__m512& s : sum) s = _mm512_setzero_ps();
        const float* weights = packed + (static_cast<std::size_t>(p) * Vectors(g.out) + v) * g.in * kLanes;
        const float* from = &points[static_cast<std::size_t>(p) * kTogether * g.in];
        for (int c = 0; c < g.in; ++c) {
          const __m512 w = _mm512_loadu_ps(weights + static_cast<std::size_t>(c) * kLanes);
          for (int i = 0; i < kTogether; ++i) sum[i] = Fused(w, _mm512_set1_ps(from[i * g.in + c]), sum[i]);
        }
        for (int i = 0; i < kTogether; ++i) products[i][p] = sum[i];
      }
      for (int i = 0; i < std::min(kTogether, tiles - first); ++i) {
        __m512 half[kOut * kTile], out[kOut * kOut];
        for (int k = 0; k < kTile; ++k) FromPoints(products[i] + k, kTile, half + k, kTile);
        for (int k = 0; k < kOut; ++k) FromPoints(half + k * kTile, 1, out + k * kOut, 1);
        for (int p = 0; p < kOut * kOut; ++p) {
          const int y = row * kOut + p / kOut, x = (first + i) * kOut + p % kOut;
          if (y >= g.height || x >= g.width) continue;
          alignas(64) float lanes[kLanes];
          _mm512_store_ps(lanes, out[p]);
          for (int l = 0; l < std::min(kLanes, g.out - v * kLanes); ++l) {
            const int o = v * kLanes + l;
            dst[o * plane + static_cast<std::size_t>(y) * g.width + x] = lanes[l] + (bias ? bias[o] : 0);
          }
        }
      }
    }
  }
}

void Tiled(const Conv& g, const float* src, const float* weights, const float* bias, float* dst) {
  const std::vector<float> packed = PackTiled(weights, g);
  const std::size_t plane = static_cast<std::size_t>(g.height) * g.width;
  std::vector<float> pixels(plane * g.in);
  for (int c = 0; c < g.in; ++c) {
    for (std::size_t i = 0; i < plane; ++i) pixels[i * g.in + c] = src[c * plane + i];
  }
#pragma omp parallel for schedule(dynamic)
  for (int row = 0; row < (g.height + kOut - 1) / kOut; ++row)
    TiledRow(g, pixels.data(), packed.data(), bias, row, dst);
}

Conv GeometryOf(const Node& node, const Tensor& x, const Tensor& w) {
  const auto strides = node.Ints("strides", {1, 1}), dilations = node.Ints("dilations", {1, 1}),
             pads = node.Ints("pads", {0, 0, 0, 0});
  if (node.Int("group", 1) != 1 || strides[0] != strides[1] || dilations[0] != dilations[1] || x.dim(0) != 1)
    throw Error(ErrorCode::kUnsupported, node.name + ": groups, uneven strides or a batch");
  Conv g{};
  g.in = static_cast<int>(x.dim(1)), g.height = static_cast<int>(x.dim(2)),
  g.width = static_cast<int>(x.dim(3));
  g.out = static_cast<int>(w.dim(0)), g.kernel_h = static_cast<int>(w.dim(2)),
  g.kernel_w = static_cast<int>(w.dim(3));
  g.stride = static_cast<int>(strides[0]), g.dilation = static_cast<int>(dilations[0]);
  g.pad_top = static_cast<int>(pads[0]), g.pad_left = static_cast<int>(pads[1]);
  const auto size = [&](int in, std::int64_t both, int kernel) {
    return (in + static_cast<int>(both) - g.dilation * (kernel - 1) - 1) / g.stride + 1;
  };
  g.out_height = size(g.height, pads[0] + pads[2], g.kernel_h);
  g.out_width = size(g.width, pads[1] + pads[3], g.kernel_w);
  return g;
}

Tensor HalfConv(const Node& node, const std::vector<Tensor>& inputs, Arithmetic how) {
  const Conv g = GeometryOf(node, inputs[0], inputs[1]);
  Tensor y = Tensor::Zeros(DType::kFloat32, {1, g.out, g.out_height, g.out_width});
  const auto *src = inputs[0].data<float>(), *weights = inputs[1].data<float>();
  const float* bias = inputs.size() > 2 ? inputs[2].data<float>() : nullptr;
  if (how == Arithmetic::kWinograd && g.tiled())
    Tiled(g, src, weights, bias, y.data<float>());
  else
    Direct(g, src, weights, bias, how == Arithmetic::kBlocks ? 32 : g.terms(), y.data<float>());
  return y;
}

// `how`: none, float32 throughout. The scores themselves are not rounded: labels are found before a store.
Tensor Scores(const Graph& graph, const Tensor& image, std::optional<Arithmetic> how) {
  std::map<std::string, Tensor> values{{"", Tensor()}};
  for (const Initializer& initializer : graph.initializers) values[initializer.name] = initializer.value;
  const auto round_map = [&](Tensor& t, const std::string& name) {
    if (how && t.dtype() == DType::kFloat32 && t.rank() == 4 && name != graph.outputs[0].name)
      RoundAll(t.data<float>(), t.size());
  };
  values[graph.inputs[0].name] = image.Clone();
  round_map(values[graph.inputs[0].name], "");
  for (const Node& node : graph.nodes) {
    std::vector<Tensor> inputs;
    for (const std::string& name : node.inputs) inputs.push_back(values.at(name));
    const bool conv = node.Is("Conv") && how;
    if (conv) inputs[1] = inputs[1].Clone(), RoundAll(inputs[1].data<float>(), inputs[1].size());
    std::vector<Tensor> outputs = conv && *how != Arithmetic::kStored
                                      ? std::vector<Tensor>{HalfConv(node, inputs, *how)}
                                      : RunNode(node, inputs, graph.opset);
    for (std::size_t i = 0; i < node.outputs.size(); ++i) {
      round_map(outputs[i], node.outputs[i]);
      values[node.outputs[i]] = outputs[i];
    }
  }
  return values.at(graph.outputs[0].name);
}

int Main(const std::string& name, const std::string& data, int every) {
  if (!__builtin_cpu_supports("avx512f")) throw Error(ErrorCode::kUnsupported, "AVX-512 is wanted");
  const Model model = cli::LoadModel(name);
  const Graph graph = FoldBatchNorm(FoldConstants(model.graph.ForInference()));
  const auto images = OpenDataset({.spec = data, .split = "val"});
  const std::vector<std::pair<const char*, Arithmetic>> forms{
      {"halves stored, sums in float32", Arithmetic::kStored},
      {"sums of 32 in halves, then float32", Arithmetic::kBlocks},
      {"all sums in halves", Arithmetic::kSums},
      {"all sums in halves, 3x3 by F(4,3) in halves", Arithmetic::kWinograd}};
  std::vector<std::vector<double>> equal(forms.size());
  for (int n = 0; n < images->size(); n += every) {
    const Image picture = images->Get(n).image;
    const auto pixels = static_cast<std::int64_t>(picture.height) * picture.width;
    Tensor image = Tensor::Uninitialized(DType::kFloat32, {1, 3, picture.height, picture.width});
    cli::PlanarFloats(picture.view(), model.info.input, image.data<float>(), DefaultThreads());
    const auto labels = [&](std::optional<Arithmetic> how) {
      const Tensor scores = Scores(graph, image, how);
      std::vector<std::uint8_t> found(pixels);
      cli::ArgMax(scores.data<float>(), static_cast<int>(scores.dim(1)), pixels, found.data(),
                  DefaultThreads());
      return found;
    };
    const std::vector<std::uint8_t> wanted = labels(std::nullopt);
    for (std::size_t f = 0; f < forms.size(); ++f) {
      const std::vector<std::uint8_t> got = labels(forms[f].second);
      std::int64_t same = 0;
      for (std::int64_t i = 0; i < pixels; ++i) same += wanted[i] == got[i];
      equal[f].push_back(100.0 * static_cast<double>(same) / static_cast<double>(pixels));
    }
    fmt::print(stderr, "{} of {}\r", n / every + 1, (images->size() + every - 1) / every);
  }
  for (std::size_t f = 0; f < forms.size(); ++f) {
    const TimingStats stats = Summarize(equal[f]);
    fmt::print("{:46} {:.3f} % of labels equal to float32's, worst of {} images {:.3f} %\n", forms[f].first,
               stats.mean, stats.runs, stats.min);
  }
  return 0;
}

}  // namespace
}  // namespace frf

int main(int argc, char** argv) {
  if (argc < 3 || argc > 4) {
    fmt::print(stderr, "usage: frf_f16_labels MODEL camvid:DIR [EVERY]\n");
    return 2;
  }
  try {
    return frf::Main(argv[1], argv[2], argc > 3 ? std::max(1, std::atoi(argv[3])) : 10);
  } catch (const std::exception& error) {
    fmt::print(stderr, "frf_f16_labels: {}\n", error.what());
    return 1;
  }
}
