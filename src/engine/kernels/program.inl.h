// SPDX-License-Identifier: Apache-2.0
// The interpreter of element-wise programs. Each instruction runs over a chunk of some hundred floats, so the
// cost of looking at it vanishes; inputs and results that lie dense in memory are used where they are.
#pragma once

#include "engine/kernels/bytes.inl.h"
#include "engine/kernels/math.inl.h"
#include "engine/kernels/program.h"

namespace frf::kernels::FRF_ISA {

inline constexpr int kChunkFloats = 1024;

static inline int ChunkPixels(const Program& p) {
  return p.channels >= kChunkFloats ? 1 : kChunkFloats / p.channels;
}

static std::size_t ProgramScratch(const Program& p) {
  return static_cast<std::size_t>(p.registers) * ChunkPixels(p) * p.channels;
}

[[maybe_unused]] static void PlanProgram(Program& p, int threads) {
  p.registers = static_cast<int>(p.inputs.size());
  for (const ProgramInstruction& i : p.code) {
    if (i.dst >= p.registers) p.registers = i.dst + 1;
  }
  const int wanted = 4 * threads;
  p.rows_per_item = (p.height + wanted - 1) / wanted;
  if (p.rows_per_item < 1) p.rows_per_item = 1;
  p.items = (p.height + p.rows_per_item - 1) / p.rows_per_item;
}

// Where an instruction's results go: a register, or the map itself.
struct Results {
  float* at;
  bool past_caches;
  FRF_INLINE void Put(int i, V v) const { past_caches ? StorePastCaches(at + i, v) : Store(at + i, v); }
};

template <typename F>
FRF_INLINE void ForVectors(int count, const Results& dst, const float* a, const F& f) {
  for (int i = 0; i < count; i += kLanes) dst.Put(i, f(Load(a + i)));
}

template <typename F>
FRF_INLINE void ForVectors(int count, const Results& dst, const float* a, const float* b, const F& f) {
  for (int i = 0; i < count; i += kLanes) dst.Put(i, f(Load(a + i), Load(b + i)));
}

static void Execute(const ProgramInstruction& code, int n, const Results& d, const float* a, const float* b,
                    const float* c) {
  const V x = Broadcast(code.x), y = Broadcast(code.y), one = Broadcast(1.0f), zero = Zero();
  switch (code.op) {
    case ProgramOp::kCopy:
      return ForVectors(n, d, a, [](V v) { return v; });
    case ProgramOp::kAdd:
      return ForVectors(n, d, a, b, [](V v, V w) { return v + w; });
    case ProgramOp::kSub:
      return ForVectors(n, d, a, b, [](V v, V w) { return v - w; });
    case ProgramOp::kMul:
      return ForVectors(n, d, a, b, [](V v, V w) { return v * w; });
    case ProgramOp::kDiv:
      return ForVectors(n, d, a, b, [](V v, V w) { return v / w; });
    case ProgramOp::kMax:
      return ForVectors(n, d, a, b, [](V v, V w) { return Max(v, w); });
    case ProgramOp::kMin:
      return ForVectors(n, d, a, b, [](V v, V w) { return Min(v, w); });
    case ProgramOp::kPow:
      for (int i = 0; i < n; ++i) d.at[i] = __builtin_powf(a[i], b[i]);
      return;
    case ProgramOp::kLess:
      return ForVectors(n, d, a, b, [&](V v, V w) { return IfLess(v, w, one, zero); });
    case ProgramOp::kLessEqual:
      return ForVectors(n, d, a, b, [&](V v, V w) { return IfLess(w, v, zero, one); });
    case ProgramOp::kEqual:
      return ForVectors(n, d, a, b, [&](V v, V w) { return IfLess(v, w, zero, IfLess(w, v, zero, one)); });
    case ProgramOp::kWhere:
      for (int i = 0; i < n; i += kLanes) {
        const V condition = Load(a + i);
        d.Put(i, IfLess(condition * condition, Broadcast(0.25f), Load(c + i), Load(b + i)));
      }
      return;
    case ProgramOp::kAddImm:
      return ForVectors(n, d, a, [&](V v) { return v + x; });
    case ProgramOp::kMulImm:
      return ForVectors(n, d, a, [&](V v) { return v * x; });
    case ProgramOp::kDivImm:
      return ForVectors(n, d, a, [&](V v) { return v / x; });
    case ProgramOp::kReverseDiv:
      return ForVectors(n, d, a, [&](V v) { return x / v; });
    case ProgramOp::kPowImm:
      for (int i = 0; i < n; ++i) d.at[i] = __builtin_powf(a[i], code.x);
      return;
    case ProgramOp::kNeg:
      return ForVectors(n, d, a, [&](V v) { return zero - v; });
    case ProgramOp::kAbs:
      return ForVectors(n, d, a, [&](V v) { return Max(v, zero - v); });
    case ProgramOp::kSquare:
      return ForVectors(n, d, a, [](V v) { return v * v; });
    case ProgramOp::kSqrt:
      return ForVectors(n, d, a, [](V v) { return Sqrt(v); });
    case ProgramOp::kReciprocal:
      return ForVectors(n, d, a, [&](V v) { return one / v; });
    case ProgramOp::kExp:
      return ForVectors(n, d, a, [](V v) { return Exp(v); });
    case ProgramOp::kLog:
      for (int i = 0; i < n; ++i) d.at[i] = __builtin_logf(a[i]);
      return;
    case ProgramOp::kCeil:
      return ForVectors(n, d, a, [](V v) { return Ceil(v); });
    case ProgramOp::kFloor:
      return ForVectors(n, d, a, [](V v) { return Floor(v); });
    case ProgramOp::kRound:
      return ForVectors(n, d, a, [](V v) { return Nearest(v); });
    case ProgramOp::kSign:
      return ForVectors(n, d, a,
                        [&](V v) { return IfLess(v, zero, zero - one, IfLess(zero, v, one, zero)); });
    case ProgramOp::kSigmoid:
      return ForVectors(n, d, a, [](V v) { return Sigmoid(v); });
    case ProgramOp::kTanh:
      return ForVectors(n, d, a, [](V v) { return Tanh(v); });
    case ProgramOp::kErf:
      return ForVectors(n, d, a, [](V v) { return Erf(v); });
    case ProgramOp::kGelu:
      return ForVectors(n, d, a,
                        [&](V v) { return Broadcast(0.5f) * v * (one + Erf(v * Broadcast(0.70710678f))); });
    case ProgramOp::kSoftplus:
      return ForVectors(n, d, a, [](V v) { return Softplus(v); });
    case ProgramOp::kMish:
      return ForVectors(n, d, a, [](V v) { return v * Tanh(Softplus(v)); });
    case ProgramOp::kSilu:
      return ForVectors(n, d, a, [](V v) { return v * Sigmoid(v); });
    case ProgramOp::kElu:
      return ForVectors(n, d, a, [&](V v) { return IfLess(v, zero, x * ExpMinusOne(v), v); });
    case ProgramOp::kSelu:
      return ForVectors(n, d, a, [&](V v) { return y * IfLess(v, zero, x * ExpMinusOne(v), v); });
    case ProgramOp::kSoftsign:
      return ForVectors(n, d, a, [&](V v) { return v / (one + Max(v, zero - v)); });
    case ProgramOp::kRelu:
      return ForVectors(n, d, a, [&](V v) { return Max(v, zero); });
    case ProgramOp::kClip:
      return ForVectors(n, d, a, [&](V v) { return Clamp(v, x, y); });
    case ProgramOp::kLeaky:
      return ForVectors(n, d, a, [&](V v) { return Max(v, zero) + Min(v, zero) * x; });
    case ProgramOp::kPRelu:
      return ForVectors(n, d, a, b, [&](V v, V w) { return Max(v, zero) + Min(v, zero) * w; });
    case ProgramOp::kHardSigmoid:
      return ForVectors(n, d, a, [&](V v) { return Clamp(Fma(v, x, y), zero, one); });
    case ProgramOp::kHardSwish:
      return ForVectors(n, d, a, [&](V v) {
        return v * Clamp(Fma(v, Broadcast(1.0f / 6.0f), Broadcast(0.5f)), zero, one);
      });
    case ProgramOp::kStep:
      return ForVectors(n, d, a, [&](V v) { return IfLess(x, v, one, zero); });
    case ProgramOp::kGate:
      for (int i = 0; i < n; i += kLanes) d.Put(i, Fma(Load(b + i), Sigmoid(Load(a + i)), Load(c + i)));
      return;
    case ProgramOp::kThresholdedSum:
      return ForVectors(n, d, a, b, [&](V v, V w) {
        const V difference = Sigmoid(v) - Sigmoid(w);
        return IfLess(x, difference, v + v, v) + IfLess(x, zero - difference, w + w, w);
      });
  }
}

// Loads of a map's numbers: floats as they are, bytes decoded; or raw, to be decoded behind sums whose
// weights add up to 1.
struct FloatSource {
  using Element = float;
  const Map& map;
  FRF_INLINE V operator()(const float* p) const { return Load(p); }
  FRF_INLINE V raw(const float* p) const { return Load(p); }
  FRF_INLINE V decoded(V v) const { return v; }
  float one(const float* p) const { return *p; }
};
struct ByteSource {
  using Element = std::uint8_t;
  const ByteMap& map;
  V step, zero;
  explicit ByteSource(const ByteMap& m)
      : map(m), step(Broadcast(m.coding.step)), zero(Broadcast(static_cast<float>(m.coding.zero))) {}
  FRF_INLINE V operator()(const std::uint8_t* p) const { return decoded(raw(p)); }
  FRF_INLINE V raw(const std::uint8_t* p) const { return LoadBytes(p); }
  // Not v * step - zero * step in one: the byte that stands for zero must become zero.
  FRF_INLINE V decoded(V v) const { return (v - zero) * step; }
  float one(const std::uint8_t* p) const {
    return static_cast<float>(*p - map.coding.zero) * map.coding.step;
  }
};

// `vectors` vectors of `pixels` pixels of row y from column x, resized. Blended rows of a source column stay
// in registers while results need them: enlarging by two, each is made once for four results.
template <int kVectors, typename Source>
static void ResizeColumns(const ProgramInput& in, const Source& load, int channels, int y, int x, int pixels,
                          int channel, float* dst) {
  const Tap row = in.rows[y];
  const auto* const top = load.map.data + row.first * load.map.row + channel;
  const auto* const bottom = load.map.data + row.second * load.map.row + channel;
  const V upper = Broadcast(row.first_weight), lower = Broadcast(row.second_weight);
  V left[kVectors] = {}, right[kVectors] = {};
  int at_left = -1, at_right = -1;
  const auto blend = [&](V(&to)[kVectors], int column) {
    const std::ptrdiff_t from = column * load.map.pixel;
    for (int v = 0; v < kVectors; ++v)
      to[v] = Fma(load.raw(bottom + from + v * kLanes), lower, load.raw(top + from + v * kLanes) * upper);
  };
  for (int i = 0; i < pixels; ++i, dst += channels) {
    const Tap column = in.columns[x + i];
    if (column.first != at_left) {
      if (column.first == at_right) {
        for (int v = 0; v < kVectors; ++v) left[v] = right[v];
      } else {
        blend(left, column.first);
      }
      at_left = column.first;
    }
    if (column.second != at_right) blend(right, column.second);
    at_right = column.second;
    const V first = Broadcast(column.first_weight), second = Broadcast(column.second_weight);
    for (int v = 0; v < kVectors; ++v)
      Store(dst + channel + v * kLanes, load.decoded(Fma(right[v], second, left[v] * first)));
  }
}

template <typename Source>
static void ResizeChunk(const ProgramInput& in, const Source& load, int channels, int y, int x, int pixels,
                        float* dst) {
  int c = 0;
  for (; c + 4 * kLanes <= channels; c += 4 * kLanes)
    ResizeColumns<4>(in, load, channels, y, x, pixels, c, dst);
  for (; c < channels; c += kLanes) ResizeColumns<1>(in, load, channels, y, x, pixels, c, dst);
}

// Input `in` at every pixel of the chunk, dense; kVector and kScalar are laid out once for all chunks.
template <typename Source>
static void LayOut(const ProgramInput& in, const Source& load, int channels, int y, int x, int pixels,
                   float* to) {
  const typename Source::Element* from = load.map.data;
  switch (in.kind) {
    case ProgramInput::kResized:
      return ResizeChunk(in, load, channels, y, x, pixels, to);
    case ProgramInput::kVector:
      for (int i = 0; i < pixels; ++i) {
        for (int c = 0; c < channels; c += kLanes) Store(to + i * channels + c, load(from + c));
      }
      return;
    case ProgramInput::kScalar: {
      const V v = Broadcast(load.one(from));
      for (int i = 0; i < pixels * channels; i += kLanes) Store(to + i, v);
      return;
    }
    case ProgramInput::kMap:
      from += y * load.map.row + x * load.map.pixel;
      for (int i = 0; i < pixels; ++i, from += load.map.pixel) {
        for (int c = 0; c < channels; c += kLanes) Store(to + i * channels + c, load(from + c));
      }
      return;
    case ProgramInput::kPixel:
      from += y * load.map.row + x * load.map.pixel;
      for (int i = 0; i < pixels; ++i, from += load.map.pixel) {
        const V v = Broadcast(load.one(from));
        for (int c = 0; c < channels; c += kLanes) Store(to + i * channels + c, v);
      }
  }
}

static void LayOut(const ProgramInput& in, int channels, int y, int x, int pixels, float* to) {
  if (in.bytes.data)
    LayOut(in, ByteSource(in.bytes), channels, y, x, pixels, to);
  else
    LayOut(in, FloatSource{in.map}, channels, y, x, pixels, to);
}

static void StoreOutput(const Program& p, const ProgramOutput& out, int y, int x, int pixels,
                        const float* from) {
  if (out.bytes.data) {
    const V inverse = Broadcast(1.0f / out.bytes.coding.step),
            zero = Broadcast(static_cast<float>(out.bytes.coding.zero));
    const V high = Broadcast(255.0f);
    std::uint8_t* to = out.bytes.data + y * out.bytes.row + x * out.bytes.pixel;
    for (int i = 0; i < pixels; ++i, to += out.bytes.pixel, from += p.channels) {
      for (int c = 0; c < p.channels; c += kLanes)
        StoreBytes(to + c, Clamp(Fma(Load(from + c), inverse, zero), Zero(), high));
    }
    return;
  }
  const Rounder round(out.round);
  float* to = out.map.data + y * out.map.row + x * out.map.pixel;
  for (int i = 0; i < pixels; ++i, to += out.map.pixel, from += p.channels) {
    for (int c = 0; c < p.channels; c += kLanes)
      Store(to + c, round.on ? round(Load(from + c)) : Load(from + c));
    for (int c = p.true_channels; c < p.channels; ++c) to[c] = 0.0f;
  }
}

// Row segment [x0, x1) of row y. `scratch` as ProgramScratch says. Input `replaced` lies at `instead`, where
// that is given.
static void RunProgramSegment(const Program& p, int y, int x0, int x1, float* scratch, int replaced = -1,
                              const Map* instead = nullptr) {
  constexpr int kMaxRegisters = 64;
  const int chunk = ChunkPixels(p), capacity = chunk * p.channels;
  const auto inputs = static_cast<int>(p.inputs.size());
  const float* at[kMaxRegisters];
  for (int r = 0; r < p.registers; ++r) at[r] = scratch + static_cast<std::ptrdiff_t>(r) * capacity;
  const auto buffer = [&](int r) { return scratch + static_cast<std::ptrdiff_t>(r) * capacity; };
  for (int r = 0; r < inputs; ++r) {  // what is the same at every pixel is laid out once
    const ProgramInput& in = p.inputs[r];
    if (in.kind == ProgramInput::kVector || in.kind == ProgramInput::kScalar)
      LayOut(in, p.channels, y, 0, chunk, buffer(r));
  }
  const ProgramOutput& out = p.output;
  // The last instruction may write the map itself.
  const bool in_place = !p.code.empty() && p.code.back().dst == out.reg && out.map.data &&
                        out.map.pixel == p.channels && !(out.round.step > 0) && p.true_channels == p.channels;
  for (int x = x0; x < x1; x += chunk) {
    const int pixels = x1 - x < chunk ? x1 - x : chunk, floats = pixels * p.channels;
    for (int r = 0; r < inputs; ++r) {
      const ProgramInput& in = p.inputs[r];
      if (in.kind == ProgramInput::kVector || in.kind == ProgramInput::kScalar) continue;
      const Map& map = r == replaced ? *instead : in.map;
      const bool floats_there = in.kind == ProgramInput::kMap && (r == replaced || !in.bytes.data);
      if (floats_there && map.pixel == p.channels) {
        at[r] = map.data + y * map.row + x * map.pixel;
      } else if (r == replaced) {
        LayOut(in, FloatSource{map}, p.channels, y, x, pixels, buffer(r));
      } else {
        LayOut(in, p.channels, y, x, pixels, buffer(r));
      }
    }
    for (const ProgramInstruction& code : p.code) {
      const bool last = &code == &p.code.back() && code.dst == out.reg;
      float* const to =
          last && in_place ? out.map.data + y * out.map.row + x * out.map.pixel : buffer(code.dst);
      Execute(code, floats, {to, last && in_place && out.past_caches}, at[code.a], at[code.b], at[code.c]);
      at[code.dst] = to;
    }
    if (!in_place) StoreOutput(p, out, y, x, pixels, at[out.reg]);
  }
}

[[maybe_unused]] static void RunProgram(const Program& p, std::int64_t item, float* scratch) {
  const int begin = static_cast<int>(item) * p.rows_per_item;
  const int end = begin + p.rows_per_item < p.height ? begin + p.rows_per_item : p.height;
  for (int y = begin; y < end; ++y) RunProgramSegment(p, y, 0, p.width, scratch);
}

}  // namespace frf::kernels::FRF_ISA
