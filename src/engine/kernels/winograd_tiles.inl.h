// SPDX-License-Identifier: Apache-2.0
// Minimal filtering along one axis, for the 3x3 convolutions of winograd.inl.h: F(4,3) and F(6,3) (Lavin and
// Gray 2016, with the points named), and a form of our own for stride 2. And how many tiles a map has.
#pragma once

#include "engine/kernels/kernels.h"
#include "engine/kernels/simd.h"

namespace frf::kernels::FRF_ISA {

// The tiles of all phases of a dilated convolution, one list.
struct Tiles {
  int across, down;  // of one phase
  std::int64_t each, all;
};

static inline Tiles TilesOf(int height, int width, int dilation_h, int dilation_w, int tile) {
  const int down = ((height + dilation_h - 1) / dilation_h + tile - 1) / tile,
            across = ((width + dilation_w - 1) / dilation_w + tile - 1) / tile;
  const std::int64_t each = static_cast<std::int64_t>(down) * across;
  return {across, down, each, each * dilation_h * dilation_w};
}

// One axis: Input turns kPoints source values in a row into as many products' left sides, kKernel a row of
// the kernel into their right sides, Output the products into T results.
template <int T, int Stride>
struct Winograd;

FRF_INLINE V Constant(double x) { return Broadcast(static_cast<float>(x)); }

// Points 0, +-a, +-b, infinity. With a = 11/16 and b = 11/8 results err half as much as with the usual 1 and
// 2, at two multiplications more; all constants are exact.
template <>
struct Winograd<4, 1> {
  static constexpr int kPoints = 6;
  static constexpr double kA = 11.0 / 16, kB = 11.0 / 8, kA2 = kA * kA, kB2 = kB * kB;
  FRF_INLINE static void Input(V (&d)[6]) {
    const V a = Constant(kA), b = Constant(kB), a2 = Constant(kA2), b2 = Constant(kB2);
    const V sum = Constant(kA2 + kB2), product = Constant(kA2 * kB2);
    const V first = Fma(product, d[0], NegFma(sum, d[2], d[4]));
    const V last = Fma(product, d[1], NegFma(sum, d[3], d[5]));
    const V even_a = NegFma(b2, d[2], d[4]), odd_a = NegFma(b2, d[1], d[3]);
    const V even_b = NegFma(a2, d[2], d[4]), odd_b = NegFma(a2, d[1], d[3]);
    d[0] = first;
    d[1] = Fma(a, odd_a, even_a);
    d[2] = NegFma(a, odd_a, even_a);
    d[3] = Fma(b, odd_b, even_b);
    d[4] = NegFma(b, odd_b, even_b);
    d[5] = last;
  }
  FRF_INLINE static void Output(const V (&m)[6], V (&o)[4]) {
    const V even_a = m[1] + m[2], odd_a = m[1] - m[2], even_b = m[3] + m[4], odd_b = m[3] - m[4];
    o[0] = m[0] + even_a + even_b;
    o[1] = Fma(Constant(kB), odd_b, Constant(kA) * odd_a);
    o[2] = Fma(Constant(kB2), even_b, Constant(kA2) * even_a);
    o[3] = Fma(Constant(kB2 * kB), odd_b, Fma(Constant(kA2 * kA), odd_a, m[5]));
  }
  // The transpose of Output, from d[0] .. d[3]: gradients of results to gradients of products.
  FRF_INLINE static void Spread(V (&d)[6]) {
    const V even_a = Fma(Constant(kA2), d[2], d[0]), even_b = Fma(Constant(kB2), d[2], d[0]);
    const V odd_a = Fma(Constant(kA2 * kA), d[3], Constant(kA) * d[1]);
    const V odd_b = Fma(Constant(kB2 * kB), d[3], Constant(kB) * d[1]);
    d[5] = d[3];
    d[1] = even_a + odd_a, d[2] = even_a - odd_a;
    d[3] = even_b + odd_b, d[4] = even_b - odd_b;
  }
  static constexpr double kNa = 2 * kA2 * (kA2 - kB2), kNb = 2 * kB2 * (kB2 - kA2);
  static constexpr double kKernel[6][3] = {{1 / (kA2 * kB2), 0, 0},         {1 / kNa, kA / kNa, kA2 / kNa},
                                           {1 / kNa, -kA / kNa, kA2 / kNa}, {1 / kNb, kB / kNb, kB2 / kNb},
                                           {1 / kNb, -kB / kNb, kB2 / kNb}, {0, 0, 1}};
};

template <>
struct Winograd<6, 1> {  // points 0, 1, -1, 2, -2, 1/2, -1/2, infinity
  static constexpr int kPoints = 8;
  FRF_INLINE static void Input(V (&d)[8]) {
    const V x = Broadcast(5.25f), y = Broadcast(4.25f), z = Broadcast(1.25f), w = Broadcast(2.5f);
    const V four = Broadcast(4.0f), two = Broadcast(2.0f), half = Broadcast(0.5f), quarter = Broadcast(0.25f);
    const V first = Fma(x, d[4] - d[2], d[0] - d[6]);
    const V last = Fma(x, d[3] - d[5], d[7] - d[1]);
    const V a1 = NegFma(y, d[4], d[2] + d[6]), b1 = NegFma(y, d[3], d[1] + d[5]);
    const V a3 = Fma(quarter, d[2], NegFma(z, d[4], d[6]));
    const V b3 = Fma(half, d[1], Fma(two, d[5], Zero() - w * d[3]));
    const V a5 = Fma(four, NegFma(z, d[4], d[2]), d[6]);
    const V b5 = Fma(two, d[1], Fma(half, d[5], Zero() - w * d[3]));
    d[0] = first;
    d[1] = a1 + b1;
    d[2] = a1 - b1;
    d[3] = a3 + b3;
    d[4] = a3 - b3;
    d[5] = a5 + b5;
    d[6] = a5 - b5;
    d[7] = last;
  }
  FRF_INLINE static void Output(const V (&m)[8], V (&o)[6]) {
    const V a = m[1] + m[2], b = m[3] + m[4], c = m[5] + m[6];
    const V p = m[1] - m[2], q = m[3] - m[4], r = m[5] - m[6];
    o[0] = m[0] + a + Fma(Broadcast(32.0f), c, b);
    o[1] = Fma(Broadcast(16.0f), r, Fma(Broadcast(2.0f), q, p));
    o[2] = Fma(Broadcast(8.0f), c, Fma(Broadcast(4.0f), b, a));
    o[3] = Fma(Broadcast(4.0f), r, Fma(Broadcast(8.0f), q, p));
    o[4] = Fma(Broadcast(2.0f), c, Fma(Broadcast(16.0f), b, a));
    o[5] = m[7] + p + Fma(Broadcast(32.0f), q, r);
  }
  // The transpose of Output, from d[0] .. d[5].
  FRF_INLINE static void Spread(V (&d)[8]) {
    const auto by = [](float factor, V v, V w) { return Fma(Broadcast(factor), v, w); };
    const V even1 = d[0] + d[2] + d[4], odd1 = d[1] + d[3] + d[5];
    const V even2 = by(16, d[4], by(4, d[2], d[0])), odd2 = by(32, d[5], by(8, d[3], d[1] + d[1]));
    const V even3 = by(32, d[0], by(8, d[2], d[4] + d[4])), odd3 = by(16, d[1], by(4, d[3], d[5]));
    d[7] = d[5];
    d[1] = even1 + odd1, d[2] = even1 - odd1;
    d[3] = even2 + odd2, d[4] = even2 - odd2;
    d[5] = even3 + odd3, d[6] = even3 - odd3;
  }
  static constexpr double kKernel[8][3] = {{1, 0, 0},
                                           {-2.0 / 9, -2.0 / 9, -2.0 / 9},
                                           {-2.0 / 9, 2.0 / 9, -2.0 / 9},
                                           {1.0 / 90, 1.0 / 45, 2.0 / 45},
                                           {1.0 / 90, -1.0 / 45, 2.0 / 45},
                                           {1.0 / 45, 1.0 / 90, 1.0 / 180},
                                           {1.0 / 45, -1.0 / 90, 1.0 / 180},
                                           {0, 0, 1}};
};

// Stride 2: the kernel's outer taps meet every other source value, so they are F(4,2) of those; the middle
// tap meets the values between, one product each. 9 products instead of 12.
template <>
struct Winograd<4, 2> {  // points 0, 1, -1, 2, infinity, and the four of the middle tap
  static constexpr int kPoints = 9;
  FRF_INLINE static void Input(V (&d)[9]) {
    const V two = Broadcast(2.0f), three = Broadcast(3.0f);
    const V e0 = d[0], e1 = d[2], e2 = d[4], e3 = d[6], e4 = d[8];
    const V odd0 = d[1], odd1 = d[3], odd2 = d[5], odd3 = d[7];
    const V slope = e3 - e1;
    d[0] = Fma(two, e0 - e2, slope);
    d[1] = NegFma(two, e1, e3 - e2);
    d[2] = Fma(two, e1, NegFma(three, e2, e3));
    d[3] = slope;
    d[4] = NegFma(two, slope, e4 - e2);
    d[5] = odd0, d[6] = odd1, d[7] = odd2, d[8] = odd3;
  }
  FRF_INLINE static void Output(const V (&m)[9], V (&o)[4]) {
    const V sum = m[1] + m[2], difference = m[1] - m[2];
    o[0] = (m[0] + m[5]) + (sum + m[3]);
    o[1] = m[6] + Fma(Broadcast(2.0f), m[3], difference);
    o[2] = m[7] + Fma(Broadcast(4.0f), m[3], sum);
    o[3] = (m[4] + m[8]) + Fma(Broadcast(8.0f), m[3], difference);
  }
  static constexpr double kKernel[9][3] = {{1.0 / 2, 0, 0},
                                           {-1.0 / 2, 0, -1.0 / 2},
                                           {-1.0 / 6, 0, 1.0 / 6},
                                           {1.0 / 6, 0, 1.0 / 3},
                                           {0, 0, 1},
                                           {0, 1, 0},
                                           {0, 1, 0},
                                           {0, 1, 0},
                                           {0, 1, 0}};
};

// The same on F(2,2): 5 products instead of 6, a third of the weights.
template <>
struct Winograd<2, 2> {  // points 0, 1, infinity, and the two of the middle tap
  static constexpr int kPoints = 5;
  FRF_INLINE static void Input(V (&d)[5]) {
    const V even = d[2], odd0 = d[1], odd1 = d[3];
    d[0] = d[0] - even;
    d[1] = even;
    d[2] = d[4] - even;
    d[3] = odd0, d[4] = odd1;
  }
  FRF_INLINE static void Output(const V (&m)[5], V (&o)[2]) {
    o[0] = m[3] + (m[0] + m[1]);
    o[1] = m[4] + (m[1] + m[2]);
  }
  static constexpr double kKernel[5][3] = {{1, 0, 0}, {1, 0, 1}, {0, 0, 1}, {0, 1, 0}, {0, 1, 0}};
};

}  // namespace frf::kernels::FRF_ISA
