// SPDX-License-Identifier: Apache-2.0
// Reductions along axes, ArgMax, ArgMin, CumSum. Subtle: floats are summed in double, so the result hardly
// depends on the order; axes that do not lie side by side are brought there by a transpose first.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "engine/move.h"

namespace frf::plain {
namespace {

constexpr std::int64_t kLanes = 256;  // elements of the inner axes reduced at a time

// acc_t: double for floats; integers wrap in 64 bits.
template <typename T>
using Acc = std::conditional_t<std::is_floating_point_v<T>, double, std::uint64_t>;

struct SumOf {
  template <typename T>
  static Acc<T> Start() {
    return 0;
  }
  template <typename T>
  static Acc<T> Step(Acc<T> acc, T v) {
    return acc + static_cast<Acc<T>>(v);
  }
  template <typename T>
  static T Finish(Acc<T> acc, std::int64_t) {
    return static_cast<T>(acc);
  }
};
struct MeanOf : SumOf {
  template <typename T>
  static T Finish(Acc<T> acc, std::int64_t n) {
    if constexpr (std::is_floating_point_v<T>)
      return static_cast<T>(acc / static_cast<double>(n));
    else
      return n == 0 ? T(0) : static_cast<T>(static_cast<std::int64_t>(acc) / n);
  }
};
struct ProdOf : SumOf {
  template <typename T>
  static Acc<T> Start() {
    return 1;
  }
  template <typename T>
  static Acc<T> Step(Acc<T> acc, T v) {
    return acc * static_cast<Acc<T>>(v);
  }
};
struct SumSquareOf : SumOf {
  template <typename T>
  static Acc<T> Step(Acc<T> acc, T v) {
    return acc + static_cast<Acc<T>>(v) * static_cast<Acc<T>>(v);
  }
};
struct L1Of : SumOf {
  template <typename T>
  static Acc<T> Step(Acc<T> acc, T v) {
    return v < T(0) ? acc - static_cast<Acc<T>>(v) : acc + static_cast<Acc<T>>(v);
  }
};
struct L2Of : SumSquareOf {
  template <typename T>
  static T Finish(Acc<T> acc, std::int64_t) {
    return static_cast<T>(std::sqrt(static_cast<double>(acc)));
  }
};
struct LogSumOf : SumOf {
  template <typename T>
  static T Finish(Acc<T> acc, std::int64_t) {
    return static_cast<T>(std::log(static_cast<double>(acc)));
  }
};
struct LogSumExpOf : LogSumOf {
  template <typename T>
  static Acc<T> Step(Acc<T> acc, T v) {
    return acc + static_cast<Acc<T>>(std::exp(static_cast<double>(v)));
  }
};
// Max and Min carry the value itself; NaN wins.
struct MaxOf {
  template <typename T>
  static T Start() {
    return std::numeric_limits<T>::has_infinity ? -std::numeric_limits<T>::infinity()
                                                : std::numeric_limits<T>::lowest();
  }
  template <typename T>
  static T Step(T acc, T v) {
    return v > acc || v != v ? v : acc;
  }
  template <typename T>
  static T Finish(T acc, std::int64_t) {
    return acc;
  }
};
struct MinOf {
  template <typename T>
  static T Start() {
    return std::numeric_limits<T>::has_infinity ? std::numeric_limits<T>::infinity()
                                                : std::numeric_limits<T>::max();
  }
  template <typename T>
  static T Step(T acc, T v) {
    return v < acc || v != v ? v : acc;
  }
  template <typename T>
  static T Finish(T acc, std::int64_t) {
    return acc;
  }
};

struct Extent {  // the reduced axes lie between outer and inner ones
  std::int64_t outer, middle, inner;
};

template <typename R, typename T>
void ReduceMiddle(const T* src, T* dst, const Extent& e) {
  using A = decltype(R::template Start<T>());
  const std::int64_t chunks = (e.inner + kLanes - 1) / kLanes;
  ParallelFor(e.outer * chunks, e.outer * e.middle * e.inner, [&](std::int64_t task) {
    const std::int64_t begin = task % chunks * kLanes, count = std::min(kLanes, e.inner - begin),
                       o = task / chunks;
    A acc[kLanes];
    std::fill_n(acc, count, R::template Start<T>());
    const T* from = src + o * e.middle * e.inner + begin;
    for (std::int64_t k = 0; k < e.middle; ++k, from += e.inner) {
      for (std::int64_t i = 0; i < count; ++i) acc[i] = R::template Step<T>(acc[i], from[i]);
    }
    for (std::int64_t i = 0; i < count; ++i)
      dst[o * e.inner + begin + i] = R::template Finish<T>(acc[i], e.middle);
  });
}

Shape ReducedShape(const Tensor& x, const std::vector<int>& axes, bool keep) {
  Shape out;
  for (int i = 0; i < x.rank(); ++i) {
    const bool reduced = std::binary_search(axes.begin(), axes.end(), i);
    if (!reduced)
      out.push_back(x.dim(i));
    else if (keep)
      out.push_back(1);
  }
  return out;
}

// x with the reduced axes side by side, and where they lie.
std::pair<Tensor, Extent> GatherAxes(OpContext& c, const Tensor& x, const std::vector<int>& axes) {
  if (axes.empty()) return {x, {1, 1, x.size()}};
  const int first = axes.front(), after = axes.back() + 1;
  if (after - first == static_cast<int>(axes.size())) {
    return {x,
            {Product(x.shape(), 0, first), Product(x.shape(), first, after),
             Product(x.shape(), after, x.rank())}};
  }
  std::vector<int> permutation;
  for (int i = 0; i < x.rank(); ++i) {
    if (!std::binary_search(axes.begin(), axes.end(), i)) permutation.push_back(i);
  }
  permutation.insert(permutation.end(), axes.begin(), axes.end());
  const Tensor moved = TransposeTensor(c, x, permutation);
  const int kept = x.rank() - static_cast<int>(axes.size());
  return {moved, {Product(moved.shape(), 0, kept), Product(moved.shape(), kept, x.rank()), 1}};
}

template <typename R>
std::vector<Tensor> Reduce(OpContext& c) {
  const Tensor& x = c.Input(0);
  std::vector<int> axes = c.Axes(1, x.rank());
  if (axes.empty()) {
    if (c.node.Int("noop_with_empty_axes", 0) != 0) return {x};
    axes.resize(x.rank());
    std::iota(axes.begin(), axes.end(), 0);
  }
  Tensor y = c.Allocate(x.dtype(), ReducedShape(x, axes, c.node.Int("keepdims", 1) != 0));
  if (y.size() == 0) return {y};
  const auto [gathered, extent] = GatherAxes(c, x, axes);
  const Tensor& source = gathered;
  const Extent& e = extent;
  if (!ForNumber(x.dtype(), [&](auto zero) {
        using T = decltype(zero);
        ReduceMiddle<R, T>(source.data<T>(), y.data<T>(), e);
      })) {
    c.Unsupported(fmt::format("input is {}, wanted a number", Name(x.dtype())));
  }
  return {y};
}

template <bool kMax>
std::vector<Tensor> ArgReduce(OpContext& c) {
  const Tensor& x = c.Input(0);
  const int axis = c.Axis(c.node.Int("axis", 0), x.rank());
  const bool last_wins = c.node.Int("select_last_index", 0) != 0;
  if (x.dim(axis) == 0) c.Bad("the axis is empty");
  Tensor y = c.Allocate(DType::kInt64, ReducedShape(x, {axis}, c.node.Int("keepdims", 1) != 0));
  const Extent e{Product(x.shape(), 0, axis), x.dim(axis), Product(x.shape(), axis + 1, x.rank())};
  std::int64_t* dst = y.data<std::int64_t>();
  const bool known = ForNumber(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const T* src = x.data<T>();
    const std::int64_t chunks = (e.inner + kLanes - 1) / kLanes;
    ParallelFor(e.outer * chunks, x.size(), [&](std::int64_t task) {
      const std::int64_t begin = task % chunks * kLanes, count = std::min(kLanes, e.inner - begin),
                         o = task / chunks;
      const T* from = src + o * e.middle * e.inner + begin;
      std::int64_t* to = dst + o * e.inner + begin;
      T best[kLanes];
      std::copy_n(from, count, best);
      std::fill_n(to, count, 0);
      for (std::int64_t k = 1; k < e.middle; ++k) {
        const T* row = from + k * e.inner;
        for (std::int64_t i = 0; i < count; ++i) {
          const bool better = kMax ? row[i] > best[i] : row[i] < best[i];
          if (better || (last_wins && row[i] == best[i])) {
            best[i] = row[i];
            to[i] = k;
          }
        }
      }
    });
  });
  if (!known) c.Unsupported(fmt::format("input is {}, wanted a number", Name(x.dtype())));
  return {y};
}

std::vector<Tensor> CumSum(OpContext& c) {
  const Tensor& x = c.Input(0);
  const std::vector<std::int64_t> given = c.Integers(1);
  if (given.size() != 1) c.Bad("wants one axis");
  const int axis = c.Axis(given[0], x.rank());
  const bool exclusive = c.node.Int("exclusive", 0) != 0, reverse = c.node.Int("reverse", 0) != 0;
  Tensor y = c.Allocate(x.dtype(), x.shape());
  const std::int64_t n = x.dim(axis), inner = Product(x.shape(), axis + 1, x.rank());
  const std::int64_t lines = n == 0 ? 0 : x.size() / n;
  const bool known = ForNumber(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const T* src = x.data<T>();
    T* dst = y.data<T>();
    ParallelFor(lines, x.size(), [&](std::int64_t line) {
      const std::int64_t start = line / inner * n * inner + line % inner;
      Acc<T> sum = 0;
      for (std::int64_t k = 0; k < n; ++k) {
        const std::int64_t at = start + (reverse ? n - 1 - k : k) * inner;
        const Acc<T> before = sum;
        sum += static_cast<Acc<T>>(src[at]);
        dst[at] = static_cast<T>(exclusive ? before : sum);
      }
    });
  });
  if (!known) c.Unsupported(fmt::format("input is {}, wanted a number", Name(x.dtype())));
  return {y};
}

}  // namespace

void AddReduceOps(OpTable& table) {
  table.Add("ReduceSum", Reduce<SumOf>);
  table.Add("ReduceMean", Reduce<MeanOf>);
  table.Add("ReduceProd", Reduce<ProdOf>);
  table.Add("ReduceMax", Reduce<MaxOf>);
  table.Add("ReduceMin", Reduce<MinOf>);
  table.Add("ReduceL1", Reduce<L1Of>);
  table.Add("ReduceL2", Reduce<L2Of>);
  table.Add("ReduceSumSquare", Reduce<SumSquareOf>);
  table.Add("ReduceLogSum", Reduce<LogSumOf>);
  table.Add("ReduceLogSumExp", Reduce<LogSumExpOf>);
  table.Add("ArgMax", ArgReduce<true>);
  table.Add("ArgMin", ArgReduce<false>);
  table.Add("CumSum", CumSum);
}

}  // namespace frf::plain
