// SPDX-License-Identifier: Apache-2.0
// Operators of one input, element by element. Subtle: comparisons are written so that NaN stays NaN (Relu is
// x < 0 ? 0 : x), Round rounds half to even as ONNX says, and Clip takes the upper bound last.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "engine/plain_op.h"

namespace frf::plain {
namespace {

// Applies F (made from the context, which holds its attributes) to floating-point inputs.
template <typename F>
std::vector<Tensor> FloatMap(OpContext& c) {
  const Tensor& x = c.Input(0);
  const F f(c);
  Tensor y = c.Allocate(x.dtype(), x.shape());
  const auto run = [&](auto zero) {
    using T = decltype(zero);
    const T* src = x.data<T>();
    T* dst = y.data<T>();
    ParallelChunks(x.size(), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) dst[i] = f(src[i]);
    });
  };
  if (x.dtype() == DType::kFloat32)
    run(float{});
  else if (x.dtype() == DType::kFloat64)
    run(double{});
  else
    c.Unsupported(fmt::format("input is {}, wanted floating point", Name(x.dtype())));
  return {y};
}

// The same for every number type.
template <typename F>
std::vector<Tensor> NumberMap(OpContext& c) {
  const Tensor& x = c.Input(0);
  const F f(c);
  Tensor y = c.Allocate(x.dtype(), x.shape());
  const bool known = ForNumber(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const T* src = x.data<T>();
    T* dst = y.data<T>();
    ParallelChunks(x.size(), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) dst[i] = static_cast<T>(f(src[i]));
    });
  });
  if (!known) c.Unsupported(fmt::format("input is {}, wanted a number", Name(x.dtype())));
  return {y};
}

struct Plain {
  explicit Plain(const OpContext&) {}
};

// One functor an operator without attributes.
#define FRF_UNARY(name, expression)      \
  struct name : Plain {                  \
    using Plain::Plain;                  \
    template <typename T>                \
    T operator()(T x) const {            \
      return static_cast<T>(expression); \
    }                                    \
  }

FRF_UNARY(ExpOf, std::exp(x));
FRF_UNARY(LogOf, std::log(x));
FRF_UNARY(SqrtOf, std::sqrt(x));
FRF_UNARY(ReciprocalOf, T(1) / x);
FRF_UNARY(FloorOf, std::floor(x));
FRF_UNARY(CeilOf, std::ceil(x));
FRF_UNARY(RoundOf, std::nearbyint(x));
FRF_UNARY(CosOf, std::cos(x));
FRF_UNARY(SinOf, std::sin(x));
FRF_UNARY(TanOf, std::tan(x));
FRF_UNARY(AtanOf, std::atan(x));
FRF_UNARY(ErfOf, std::erf(x));
FRF_UNARY(TanhOf, std::tanh(x));
FRF_UNARY(SigmoidOf, T(1) / (T(1) + std::exp(-x)));
FRF_UNARY(SoftplusOf, x > T(20) ? x : std::log1p(std::exp(x)));
FRF_UNARY(SoftsignOf, x / (T(1) + std::abs(x)));
FRF_UNARY(MishOf, x* std::tanh(x > T(20) ? x : std::log1p(std::exp(x))));
FRF_UNARY(HardSwishOf, x* std::max(T(0), std::min(T(1), x* T(1.0 / 6.0) + T(0.5))));
FRF_UNARY(ReluOf, x < T(0) ? T(0) : x);
FRF_UNARY(SignOf, x > T(0) ? 1 : x < T(0) ? -1 : 0);
#undef FRF_UNARY

struct NegOf : Plain {
  using Plain::Plain;
  template <typename T>
  T operator()(T x) const {
    if constexpr (std::is_floating_point_v<T>)
      return -x;
    else
      return static_cast<T>(0 - static_cast<std::uint64_t>(x));  // wraps at the lowest value
  }
};

struct AbsOf : Plain {
  using Plain::Plain;
  template <typename T>
  T operator()(T x) const {
    if constexpr (std::is_floating_point_v<T>)
      return std::abs(x);
    else
      return x < T(0) ? static_cast<T>(0 - static_cast<std::uint64_t>(x)) : x;
  }
};

struct LeakyReluOf {
  explicit LeakyReluOf(const OpContext& c) : alpha(c.node.Float("alpha", 0.01f)) {}
  template <typename T>
  T operator()(T x) const {
    return x < T(0) ? static_cast<T>(alpha) * x : x;
  }
  float alpha;
};

struct ThresholdedReluOf {
  explicit ThresholdedReluOf(const OpContext& c) : alpha(c.node.Float("alpha", 1.0f)) {}
  template <typename T>
  T operator()(T x) const {
    return x > static_cast<T>(alpha) ? x : T(0);
  }
  float alpha;
};

struct EluOf {
  explicit EluOf(const OpContext& c) : alpha(c.node.Float("alpha", 1.0f)) {}
  template <typename T>
  T operator()(T x) const {
    return x < T(0) ? static_cast<T>(alpha) * (std::exp(x) - T(1)) : x;
  }
  float alpha;
};

struct CeluOf {
  explicit CeluOf(const OpContext& c) : alpha(c.node.Float("alpha", 1.0f)) {}
  template <typename T>
  T operator()(T x) const {
    const T a = static_cast<T>(alpha);
    return std::max(T(0), x) + std::min(T(0), a * (std::exp(x / a) - T(1)));
  }
  float alpha;
};

struct SeluOf {
  explicit SeluOf(const OpContext& c)
      : alpha(c.node.Float("alpha", 1.67326319217681884765625f)),
        gamma(c.node.Float("gamma", 1.05070102214813232421875f)) {}
  template <typename T>
  T operator()(T x) const {
    const T a = static_cast<T>(alpha), g = static_cast<T>(gamma);
    return x > T(0) ? g * x : g * (a * std::exp(x) - a);
  }
  float alpha, gamma;
};

struct HardSigmoidOf {
  explicit HardSigmoidOf(const OpContext& c)
      : alpha(c.node.Float("alpha", 0.2f)), beta(c.node.Float("beta", 0.5f)) {}
  template <typename T>
  T operator()(T x) const {
    return std::max(T(0), std::min(T(1), static_cast<T>(alpha) * x + static_cast<T>(beta)));
  }
  float alpha, beta;
};

struct GeluOf {
  explicit GeluOf(const OpContext& c) : tanh(c.node.String("approximate", "none") == "tanh") {}
  template <typename T>
  T operator()(T x) const {
    if (!tanh) return T(0.5) * x * (T(1) + std::erf(x * T(std::numbers::sqrt2 / 2)));
    const T inner = T(std::numbers::inv_sqrtpi * std::numbers::sqrt2) * (x + T(0.044715) * x * x * x);
    return T(0.5) * x * (T(1) + std::tanh(inner));
  }
  bool tanh;
};

// Bounds are inputs (opset 11 on) or attributes (before), in the type of x.
std::vector<Tensor> Clip(OpContext& c) {
  const Tensor& x = c.Input(0);
  Tensor y = c.Allocate(x.dtype(), x.shape());
  const bool known = ForNumber(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const auto bound = [&](std::size_t input, const char* attribute, T fallback) {
      if (c.Has(input)) {
        if (c.Input(input).size() != 1)
          c.Bad(fmt::format("bound {} is {}, wanted one number", input, ToString(c.Input(input).shape())));
        return c.Input(input).ToVector<T>()[0];
      }
      return c.node.Has(attribute) ? static_cast<T>(c.node.Float(attribute, 0)) : fallback;
    };
    const T low = bound(1, "min", std::numeric_limits<T>::lowest()),
            high = bound(2, "max", std::numeric_limits<T>::max());
    const T* src = x.data<T>();
    T* dst = y.data<T>();
    ParallelChunks(x.size(), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        const T raised = src[i] < low ? low : src[i];
        dst[i] = high < raised ? high : raised;
      }
    });
  });
  if (!known) c.Unsupported(fmt::format("input is {}, wanted a number", Name(x.dtype())));
  return {y};
}

template <bool kNan>
std::vector<Tensor> Classify(OpContext& c) {
  const Tensor x = c.Cast(c.Input(0), DType::kFloat64);
  const bool positive = c.node.Int("detect_positive", 1) != 0,
             negative = c.node.Int("detect_negative", 1) != 0;
  Tensor y = c.Allocate(DType::kBool, x.shape());
  const double* src = x.data<double>();
  bool* dst = y.data<bool>();
  for (std::int64_t i = 0; i < x.size(); ++i) {
    dst[i] = kNan ? std::isnan(src[i]) : std::isinf(src[i]) && (src[i] > 0 ? positive : negative);
  }
  return {y};
}

std::vector<Tensor> Not(OpContext& c) {
  const Tensor& x = c.Input(0);
  if (x.dtype() != DType::kBool) c.Bad(fmt::format("input is {}, wanted bool", Name(x.dtype())));
  Tensor y = c.Allocate(DType::kBool, x.shape());
  const bool* src = x.data<bool>();
  bool* dst = y.data<bool>();
  for (std::int64_t i = 0; i < x.size(); ++i) dst[i] = !src[i];
  return {y};
}

}  // namespace

void AddUnaryOps(OpTable& table) {
  table.Add("Exp", FloatMap<ExpOf>);
  table.Add("Log", FloatMap<LogOf>);
  table.Add("Sqrt", FloatMap<SqrtOf>);
  table.Add("Reciprocal", FloatMap<ReciprocalOf>);
  table.Add("Floor", FloatMap<FloorOf>);
  table.Add("Ceil", FloatMap<CeilOf>);
  table.Add("Round", FloatMap<RoundOf>);
  table.Add("Cos", FloatMap<CosOf>);
  table.Add("Sin", FloatMap<SinOf>);
  table.Add("Tan", FloatMap<TanOf>);
  table.Add("Atan", FloatMap<AtanOf>);
  table.Add("Erf", FloatMap<ErfOf>);
  table.Add("Tanh", FloatMap<TanhOf>);
  table.Add("Sigmoid", FloatMap<SigmoidOf>);
  table.Add("Softplus", FloatMap<SoftplusOf>);
  table.Add("Softsign", FloatMap<SoftsignOf>);
  table.Add("Mish", FloatMap<MishOf>);
  table.Add("HardSwish", FloatMap<HardSwishOf>);
  table.Add("HardSigmoid", FloatMap<HardSigmoidOf>);
  table.Add("LeakyRelu", FloatMap<LeakyReluOf>);
  table.Add("ThresholdedRelu", FloatMap<ThresholdedReluOf>);
  table.Add("Elu", FloatMap<EluOf>);
  table.Add("Celu", FloatMap<CeluOf>);
  table.Add("Selu", FloatMap<SeluOf>);
  table.Add("Gelu", FloatMap<GeluOf>);
  table.Add("Relu", NumberMap<ReluOf>);
  table.Add("Neg", NumberMap<NegOf>);
  table.Add("Abs", NumberMap<AbsOf>);
  table.Add("Sign", NumberMap<SignOf>);
  table.Add("Clip", Clip);
  table.Add("IsNaN", Classify<true>);
  table.Add("IsInf", Classify<false>);
  table.Add("Not", Not);
}

}  // namespace frf::plain
