// SPDX-License-Identifier: Apache-2.0
// Functions of a vector, each with the largest error that its test allows.
#pragma once

#include "engine/kernels/simd.h"

namespace frf::kernels::FRF_ISA {

// e^x - 1 without cancellation near zero: a series where |x| < 0.5. Relative error below 1e-6.
FRF_INLINE V ExpMinusOne(V x) {
  V p = Broadcast(1.9841270e-4f);
  p = Fma(p, x, Broadcast(1.3888889e-3f));
  p = Fma(p, x, Broadcast(8.3333333e-3f));
  p = Fma(p, x, Broadcast(4.1666667e-2f));
  p = Fma(p, x, Broadcast(1.6666667e-1f));
  p = Fma(p, x, Broadcast(0.5f));
  p = Fma(p, x, Broadcast(1.0f));
  const V size = Max(x, Zero() - x);
  return IfLess(size, Broadcast(0.5f), p * x, Exp(x) - Broadcast(1.0f));
}

// 1 - 2 / (e^2x + 1), through e^x - 1 for small x. Relative error below 2e-6.
FRF_INLINE V Tanh(V x) {
  const V t = ExpMinusOne(x + x);
  return IfLess(Broadcast(9.0f), x, Broadcast(1.0f), t / (t + Broadcast(2.0f)));
}

// Abramowitz and Stegun 7.1.26 is too coarse (1.5e-7 absolute is fine, its relative error at 0 is not): near
// zero a series. Absolute error below 3e-7.
FRF_INLINE V Erf(V x) {
  const V size = Max(x, Zero() - x);
  const V t = Broadcast(1.0f) / Fma(Broadcast(0.3275911f), size, Broadcast(1.0f));
  V p = Broadcast(1.061405429f);
  p = Fma(p, t, Broadcast(-1.453152027f));
  p = Fma(p, t, Broadcast(1.421413741f));
  p = Fma(p, t, Broadcast(-0.284496736f));
  p = Fma(p, t, Broadcast(0.254829592f));
  const V far = Broadcast(1.0f) - p * t * Exp(Zero() - size * size);
  const V s = x * x;
  V q = Broadcast(5.2239776e-3f);
  q = Fma(q, s, Broadcast(-2.6866171e-2f));
  q = Fma(q, s, Broadcast(1.1283792e-1f));
  q = Fma(q, s, Broadcast(-3.7612639e-1f));
  q = Fma(q, s, Broadcast(1.1283792f));
  return IfLess(size, Broadcast(0.5f), q * x, IfLess(x, Zero(), Zero() - far, far));
}

// log(1 + e^x) = max(x, 0) + log(1 + e^-|x|); the logarithm by 2 atanh(u / (u + 2)), u = e^-|x| <= 1.
FRF_INLINE V Softplus(V x) {
  const V u = Exp(Zero() - Max(x, Zero() - x));
  const V z = u / (u + Broadcast(2.0f)), s = z * z;
  V p = Broadcast(0.14285714f);
  p = Fma(p, s, Broadcast(0.2f));
  p = Fma(p, s, Broadcast(0.33333333f));
  p = Fma(p, s, Broadcast(1.0f));
  V tail = Broadcast(0.076923077f);
  tail = Fma(tail, s, Broadcast(0.090909091f));
  tail = Fma(tail, s, Broadcast(0.11111111f));
  p = Fma(tail, s * s * s * s, p);
  return Max(x, Zero()) + (z + z) * p;
}

}  // namespace frf::kernels::FRF_ISA
