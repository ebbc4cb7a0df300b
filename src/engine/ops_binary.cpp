// SPDX-License-Identifier: Apache-2.0
// Arithmetic, comparison, logic and selection with numpy's broadcasting. Subtle: integer arithmetic wraps (no
// undefined behaviour on a file's constants), and an integer division by zero is an error, not a crash.
#include <cmath>
#include <limits>

#include "engine/broadcast.h"

namespace frf::plain {
namespace {

template <typename T, typename F>
T Wrapping(T a, T b, const F& f) {
  if constexpr (std::is_floating_point_v<T>)
    return f(a, b);
  else
    return static_cast<T>(f(static_cast<std::uint64_t>(a), static_cast<std::uint64_t>(b)));
}

struct AddOf {
  template <typename T>
  T operator()(T a, T b) const {
    return Wrapping(a, b, [](auto x, auto y) { return x + y; });
  }
};
struct SubOf {
  template <typename T>
  T operator()(T a, T b) const {
    return Wrapping(a, b, [](auto x, auto y) { return x - y; });
  }
};
struct MulOf {
  template <typename T>
  T operator()(T a, T b) const {
    return Wrapping(a, b, [](auto x, auto y) { return x * y; });
  }
};
struct DivOf {
  template <typename T>
  T operator()(T a, T b) const {
    if constexpr (std::is_integral_v<T> && std::is_signed_v<T>) {
      if (b == T(-1)) return static_cast<T>(0 - static_cast<std::uint64_t>(a));
    }
    return static_cast<T>(a / b);
  }
};
struct MinOf {  // NaN wins, as in numpy
  template <typename T>
  T operator()(T a, T b) const {
    return a < b || a != a ? a : b;
  }
};
struct MaxOf {
  template <typename T>
  T operator()(T a, T b) const {
    return a > b || a != a ? a : b;
  }
};
struct PReluOf {
  template <typename T>
  T operator()(T x, T slope) const {
    return x < T(0) ? Wrapping(x, slope, [](auto a, auto b) { return a * b; }) : x;
  }
};
struct FmodOf {
  template <typename T>
  T operator()(T a, T b) const {
    if constexpr (std::is_floating_point_v<T>)
      return std::fmod(a, b);
    else if constexpr (std::is_signed_v<T>)
      return b == T(-1) ? T(0) : static_cast<T>(a % b);
    else
      return static_cast<T>(a % b);
  }
};
struct ModOf {  // the sign of the divisor
  template <typename T>
  T operator()(T a, T b) const {
    const T rest = FmodOf()(a, b);
    return rest != T(0) && (rest < T(0)) != (b < T(0)) ? static_cast<T>(rest + b) : rest;
  }
};
struct PowOf {
  template <typename T>
  T operator()(T a, T b) const {
    return static_cast<T>(std::pow(a, b));
  }
};

struct EqualOf {
  template <typename T>
  bool operator()(T a, T b) const {
    return a == b;
  }
};
struct LessOf {
  template <typename T>
  bool operator()(T a, T b) const {
    return a < b;
  }
};
struct LessOrEqualOf {
  template <typename T>
  bool operator()(T a, T b) const {
    return a <= b;
  }
};
struct GreaterOf {
  template <typename T>
  bool operator()(T a, T b) const {
    return a > b;
  }
};
struct GreaterOrEqualOf {
  template <typename T>
  bool operator()(T a, T b) const {
    return a >= b;
  }
};
struct AndOf {
  bool operator()(bool a, bool b) const { return a && b; }
};
struct OrOf {
  bool operator()(bool a, bool b) const { return a || b; }
};
struct XorOf {
  bool operator()(bool a, bool b) const { return a != b; }
};

void CheckSameType(const OpContext& c, const Tensor& a, const Tensor& b) {
  if (a.dtype() != b.dtype())
    c.Bad(fmt::format("inputs are {} and {}, wanted one type", Name(a.dtype()), Name(b.dtype())));
}

void CheckDivisor(const OpContext& c, const Tensor& b) {
  if (b.dtype() == DType::kFloat32 || b.dtype() == DType::kFloat64) return;
  const std::vector<std::int64_t> values = b.ToVector<std::int64_t>();
  if (std::find(values.begin(), values.end(), 0) != values.end()) c.Bad("integer division by zero");
}

template <typename F>
Tensor Arithmetic(OpContext& c, const Tensor& a, const Tensor& b, const F& f) {
  CheckSameType(c, a, b);
  Tensor y = c.Allocate(a.dtype(), Broadcast(c, a.shape(), b.shape()));
  if (!ForNumber(a.dtype(), [&](auto zero) { Zip<decltype(zero), decltype(zero)>(a, b, y, f); })) {
    c.Unsupported(fmt::format("inputs are {}, wanted numbers", Name(a.dtype())));
  }
  return y;
}

template <typename F>
std::vector<Tensor> Binary(OpContext& c) {
  return {Arithmetic(c, c.Input(0), c.Input(1), F())};
}

template <typename F>
std::vector<Tensor> Division(OpContext& c) {
  CheckDivisor(c, c.Input(1));
  return Binary<F>(c);
}

std::vector<Tensor> Mod(OpContext& c) {
  return c.node.Int("fmod", 0) != 0 ? Division<FmodOf>(c) : Division<ModOf>(c);
}

// PRelu broadcasts one way: the slope to x.
std::vector<Tensor> PRelu(OpContext& c) {
  const Tensor& x = c.Input(0);
  if (Broadcast(c, x.shape(), c.Input(1).shape()) != x.shape()) {
    c.Bad(
        fmt::format("slope {} does not broadcast to {}", ToString(c.Input(1).shape()), ToString(x.shape())));
  }
  return Binary<PReluOf>(c);
}

// The result has the base's type; a float base takes its exponent as float, an integer one goes through
// double.
std::vector<Tensor> Pow(OpContext& c) {
  const Tensor& base = c.Input(0);
  const bool floating = base.dtype() == DType::kFloat32 || base.dtype() == DType::kFloat64;
  const DType type = floating ? base.dtype() : DType::kFloat64;
  const Tensor a = c.Cast(base, type), b = c.Cast(c.Input(1), type);
  Tensor y = c.Allocate(type, Broadcast(c, a.shape(), b.shape()));
  if (type == DType::kFloat32)
    Zip<float, float>(a, b, y, PowOf());
  else
    Zip<double, double>(a, b, y, PowOf());
  return {c.Cast(y, base.dtype())};
}

// Any number of inputs, taken from left to right.
template <typename F>
std::vector<Tensor> Variadic(OpContext& c) {
  Tensor y = c.Input(0);
  for (std::size_t i = 1; i < c.input_count(); ++i) y = Arithmetic(c, y, c.Input(i), F());
  return {y};
}

std::vector<Tensor> Mean(OpContext& c) {
  const Tensor sum = Variadic<AddOf>(c)[0];
  const Tensor count = c.Cast(Tensor::Scalar(static_cast<double>(c.input_count())), sum.dtype());
  return {Arithmetic(c, sum, count, DivOf())};
}

template <typename F>
std::vector<Tensor> Compare(OpContext& c) {
  const Tensor &a = c.Input(0), &b = c.Input(1);
  CheckSameType(c, a, b);
  Tensor y = c.Allocate(DType::kBool, Broadcast(c, a.shape(), b.shape()));
  if (a.dtype() == DType::kBool) {
    Zip<bool, bool>(a, b, y, F());
  } else {
    ForNumber(a.dtype(), [&](auto zero) { Zip<decltype(zero), bool>(a, b, y, F()); });
  }
  return {y};
}

template <typename F>
std::vector<Tensor> Logic(OpContext& c) {
  const Tensor &a = c.Input(0), &b = c.Input(1);
  if (a.dtype() != DType::kBool || b.dtype() != DType::kBool) {
    c.Bad(fmt::format("inputs are {} and {}, wanted bool", Name(a.dtype()), Name(b.dtype())));
  }
  Tensor y = c.Allocate(DType::kBool, Broadcast(c, a.shape(), b.shape()));
  Zip<bool, bool>(a, b, y, F());
  return {y};
}

std::vector<Tensor> Where(OpContext& c) {
  const Tensor &condition = c.Input(0), &a = c.Input(1), &b = c.Input(2);
  if (condition.dtype() != DType::kBool)
    c.Bad(fmt::format("condition is {}, wanted bool", Name(condition.dtype())));
  CheckSameType(c, a, b);
  Tensor y = c.Allocate(a.dtype(), Broadcast(c, condition.shape(), Broadcast(c, a.shape(), b.shape())));
  ForWidth(a.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const bool* choose = condition.data<bool>();
    const T* yes = static_cast<const T*>(a.raw());
    const T* no = static_cast<const T*>(b.raw());
    T* dst = static_cast<T*>(y.raw());
    ForBroadcastRows<3>(y.shape(), {condition.shape(), a.shape(), b.shape()}, [&](const BroadcastRow<3>& r) {
      for (std::int64_t i = 0; i < r.count; ++i) {
        dst[r.out + i] = choose[r.offset[0] + i * r.step[0]] ? yes[r.offset[1] + i * r.step[1]]
                                                             : no[r.offset[2] + i * r.step[2]];
      }
    });
  });
  return {y};
}

}  // namespace

void AddBinaryOps(OpTable& table) {
  table.Add("Add", Binary<AddOf>);
  table.Add("Sub", Binary<SubOf>);
  table.Add("Mul", Binary<MulOf>);
  table.Add("Div", Division<DivOf>);
  table.Add("Mod", Mod);
  table.Add("Pow", Pow);
  table.Add("PRelu", PRelu);
  table.Add("Min", Variadic<MinOf>);
  table.Add("Max", Variadic<MaxOf>);
  table.Add("Sum", Variadic<AddOf>);
  table.Add("Mean", Mean);
  table.Add("Equal", Compare<EqualOf>);
  table.Add("Less", Compare<LessOf>);
  table.Add("LessOrEqual", Compare<LessOrEqualOf>);
  table.Add("Greater", Compare<GreaterOf>);
  table.Add("GreaterOrEqual", Compare<GreaterOrEqualOf>);
  table.Add("And", Logic<AndOf>);
  table.Add("Or", Logic<OrOf>);
  table.Add("Xor", Logic<XorOf>);
  table.Add("Where", Where, HalfMode::kAsIs);
}

}  // namespace frf::plain
