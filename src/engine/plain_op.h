// SPDX-License-Identifier: Apache-2.0
// What one operator of the plain executor sees: its node, its inputs, and the meter that counts memory.
// Operators are free functions in ops_*.cpp, found by domain and name in one table:
//
//   std::vector<Tensor> Relu(OpContext& c) {
//     const Tensor& x = c.Input(0);
//     Tensor y = c.Allocate(x.dtype(), x.shape());
//     ...
//     return {y};
//   }
//
// Subtle: every buffer comes from c.Allocate, which refuses before allocating; temporaries are given back
// when the node is done. An operator may hand back an input (or a reshaped view of it): storage is shared and
// never written afterwards. Half precision is computed in float: inputs are widened before, float outputs
// narrowed after, unless the operator only moves data.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "graph/graph.h"

namespace frf::plain {

class MemoryMeter {
 public:
  explicit MemoryMeter(std::uint64_t limit) : limit_(limit) {}
  // Counts what is allocated elsewhere and stays; throws as Check does.
  void Reserve(std::uint64_t bytes, const std::string& who);
  // Throws kOutOfMemory, naming `who`, when `bytes` more would pass the limit.
  void Check(std::uint64_t bytes, const std::string& who) const;
  Tensor Allocate(DType type, Shape shape, const std::string& who);
  Tensor Adopt(Tensor tensor);  // counts what was just made elsewhere, after Check
  void Hold(
      const Tensor& tensor);  // one more value lives in that storage; unknown storage is the caller's own
  void Drop(const Tensor& tensor);
  void ReleaseTemporaries();  // what nothing holds is no longer counted: called when an operator has returned
  std::uint64_t alive() const { return alive_; }
  std::uint64_t peak() const { return peak_; }

 private:
  struct Entry {
    std::uint64_t bytes;
    int holders;
  };
  std::uint64_t limit_, alive_ = 0, peak_ = 0;
  std::unordered_map<const void*, Entry> entries_;
  std::vector<const void*> fresh_;
};

// What a node keeps between runs (planned primitives, packed weights).
struct OpState {
  virtual ~OpState() = default;
};
using OpStates = std::vector<std::unique_ptr<OpState>>;

class OpContext {
 public:
  OpContext(const Node& node, int opset, std::vector<Tensor> inputs, MemoryMeter& memory, OpStates& states)
      : node(node), opset(opset), memory(memory), inputs_(std::move(inputs)), states_(states) {}

  const Node& node;
  const int opset;
  MemoryMeter& memory;

  std::size_t input_count() const { return inputs_.size(); }
  bool Has(std::size_t i) const { return i < inputs_.size() && inputs_[i].has_data(); }
  const Tensor& Input(std::size_t i) const;  // throws when it is absent
  void Replace(std::size_t i, Tensor tensor) { inputs_[i] = std::move(tensor); }
  // A float32 input; anything else throws kUnsupported.
  const float* Floats(std::size_t i) const;
  std::vector<std::int64_t> Integers(std::size_t i) const;  // of a small integer input
  // True where input i is an initialiser, so what is derived from it may be kept in State().
  bool IsConstant(std::size_t i) const { return i < constant.size() && constant[i]; }
  std::vector<bool> constant;

  bool WantsOutput(std::size_t i) const { return i < node.outputs.size() && !node.outputs[i].empty(); }
  Tensor Allocate(DType type, Shape shape) { return memory.Allocate(type, std::move(shape), node.name); }
  Tensor Cast(const Tensor& tensor, DType type);

  // The one State of that type that belongs to this node.
  template <typename State>
  State& KeptState() {
    for (const auto& state : states_) {
      if (auto* found = dynamic_cast<State*>(state.get())) return *found;
    }
    states_.push_back(std::make_unique<State>());
    return static_cast<State&>(*states_.back());
  }

  // Negative axes count from the end; out of range throws.
  int Axis(std::int64_t axis, int rank) const;
  // Axes from input `index` (where given), else from attribute "axes"; normalised, sorted, unique. Empty: not
  // given.
  std::vector<int> Axes(std::size_t index, int rank) const;

  // The node's name, operator and `message`.
  [[noreturn]] void Fail(ErrorCode code, const std::string& message) const;
  [[noreturn]] void Bad(const std::string& message) const { Fail(ErrorCode::kInvalidArgument, message); }
  [[noreturn]] void Unsupported(const std::string& message) const { Fail(ErrorCode::kUnsupported, message); }

 private:
  std::vector<Tensor> inputs_;
  OpStates& states_;
};

using OpFunction = std::vector<Tensor> (*)(OpContext&);
enum class HalfMode : std::uint8_t { kWiden, kAsIs };  // what happens to float16 inputs

class OpTable {
 public:
  void Add(const std::string& name, OpFunction function, HalfMode half = HalfMode::kWiden) {
    entries_[name] = {function, half};
  }
  struct Entry {
    OpFunction function;
    HalfMode half;
  };
  const Entry* Find(const std::string& name) const;

 private:
  std::unordered_map<std::string, Entry> entries_;  // "frf." in front of the names of that domain
};

// Each ops_*.cpp adds its operators.
void AddUnaryOps(OpTable& table);
void AddBinaryOps(OpTable& table);
void AddConvOps(OpTable& table);
void AddMatMulOps(OpTable& table);
void AddNormOps(OpTable& table);
void AddPoolOps(OpTable& table);
void AddReduceOps(OpTable& table);
void AddResizeOps(OpTable& table);
void AddShapeOps(OpTable& table);
void AddMoveOps(OpTable& table);
void AddIndexOps(OpTable& table);
void AddQuantOps(OpTable& table);
void AddFrfOps(OpTable& table);

// Runs the node's operator on its inputs: table look-up, half precision, names in errors.
std::vector<Tensor> RunOp(OpContext& context);
bool IsSupported(const Node& node);

// Calls body(i) for i in [0, count), on several threads when `work` (elementary steps in all) is worth it.
// Iterations write disjoint data, so results do not depend on the number of threads. `body` must not throw.
template <typename Body>
void ParallelFor(std::int64_t count, std::int64_t work, const Body& body) {
  constexpr std::int64_t kWorthwhile = 1 << 14;
#pragma omp parallel for schedule(static) if (work >= kWorthwhile && count > 1)
  for (std::int64_t i = 0; i < count; ++i) body(i);
}

// The same over chunks: body(begin, end).
template <typename Body>
void ParallelChunks(std::int64_t count, const Body& body) {
  constexpr std::int64_t kChunk = 1 << 14;
  ParallelFor((count + kChunk - 1) / kChunk, count,
              [&](std::int64_t c) { body(c * kChunk, std::min(count, (c + 1) * kChunk)); });
}

// call(T{}) for the element type; bool and half are left to the caller.
template <typename Call>
bool ForNumber(DType type, const Call& call) {
  switch (type) {
    case DType::kFloat32:
      call(float{});
      return true;
    case DType::kFloat64:
      call(double{});
      return true;
    case DType::kUint8:
      call(std::uint8_t{});
      return true;
    case DType::kInt8:
      call(std::int8_t{});
      return true;
    case DType::kInt32:
      call(std::int32_t{});
      return true;
    case DType::kInt64:
      call(std::int64_t{});
      return true;
    default:
      return false;
  }
}

// call(U{}) with an unsigned integer as wide as the element: for operators that only move data.
template <typename Call>
void ForWidth(DType type, const Call& call) {
  switch (ByteSize(type)) {
    case 1:
      return call(std::uint8_t{});
    case 2:
      return call(std::uint16_t{});
    case 4:
      return call(std::uint32_t{});
    default:
      return call(std::uint64_t{});
  }
}

// Product of shape[begin, end).
std::int64_t Product(const Shape& shape, int begin, int end);
Shape RowMajorStrides(const Shape& shape);
// Shape of a and b broadcast together as numpy does; throws kInvalidArgument through the context.
Shape Broadcast(const OpContext& context, const Shape& a, const Shape& b);
// Strides of `from` seen as `to` (which it broadcasts to): 0 along broadcast axes.
Shape BroadcastStrides(const Shape& from, const Shape& to);

}  // namespace frf::plain
