// SPDX-License-Identifier: Apache-2.0
// The engine's own kernels, compiled once per instruction set and chosen once at run time.
//
//   const Kernels& k = BestKernels();            // FRF_FORCE_ISA=baseline|avx2|avx512 forces one
//   for (int i = 0; i < conv.items; ++i) k.direct_conv(conv, i, scratch);
//
// Layout of every map: HWC, float32 (or bytes, see ByteMap), `pixel` floats from one pixel to the next, so
// that a kernel reads and writes a slice of a concatenation in place. Channels are stored in multiples of 16
// (kBlock); the lanes above the true count hold finite numbers that no weight looks at. Work is cut into
// items that write disjoint data: any thread may take any item, and the result does not depend on which.
// Kernels allocate nothing; scratch is one region a thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "frf/precision.h"

namespace frf::kernels {

inline constexpr int kBlock = 16;    // channels are padded to multiples of this
inline constexpr int kMaxPanel = 8;  // widest weight panel, in vectors

inline constexpr int PaddedChannels(int channels) { return (channels + kBlock - 1) / kBlock * kBlock; }

struct Map {  // a view: `channels` of them, padded, at every pixel
  float* data = nullptr;
  int height = 0, width = 0, channels = 0;
  std::ptrdiff_t pixel = 0;  // floats from one pixel to the next
  std::ptrdiff_t row = 0;    // floats from one row to the next; width * pixel unless there is a border
};

// A map in 8 bits, as an ONNX file with QuantizeLinear and DequantizeLinear means it: value = (byte - zero) *
// step.
struct Coding {
  float step = 1;
  int zero = 0;
  bool operator==(const Coding&) const = default;
};

struct ByteMap {  // as Map, in bytes; the lanes above the true count hold whatever no weight looks at
  std::uint8_t* data = nullptr;
  int height = 0, width = 0, channels = 0;
  std::ptrdiff_t pixel = 0, row = 0;  // bytes
  Coding coding;
};

enum class Act : std::uint8_t { kNone, kRelu, kClip, kLeaky, kSigmoid, kHardSigmoid, kHardSwish, kSilu };

// What happens to a convolution's sum before it is stored: act(sum + bias [+ add]) [+ add].
struct Epilogue {
  const float* bias = nullptr;  // padded channels; null: none
  Act act = Act::kNone;
  float alpha = 0,
        beta = 0;          // kClip: bounds; kLeaky: slope of the negative side; kHardSigmoid: slope, offset
  Map add;                 // data null: none
  bool add_first = false;  // added before the activation instead of after it
  Map sum;                 // with `add` after: where value + add goes; the plain value still goes to dst
  // Results go past the caches where a kernel can (Winograd's, in whole lines of 64 bytes, at which both
  // maps' pixels begin). The caller orders them before what others read: a release store alone does not.
  bool past_caches = false;
  // Where the file rounds a map to 8 bits and the CPU has no dot product for them: floats are stored that
  // such bytes stand for. Steps of 0: nothing is rounded.
  Coding round{0, 0}, round_sum{0, 0};
};

// Weights as the kernels read them: panels of `vectors` x lanes output channels, depth-major inside. In 16
// bits each float here holds a pair of neighbouring depths (operands.inl.h).
struct PackedWeights {
  const float* data = nullptr;
  int out_blocks = 0;  // output channels / 16, padded
  std::int64_t depth = 0;
};

struct Program;

// Any ungrouped convolution as a product over pixels: for every tap a row of `depth` floats. 1x1 is one tap.
// A source with a border of its own and no gaps between pixels (the image) may count a kernel row as one tap:
// kernel_w = 1, depth = true kernel width x channels; the packed weights are the same.
struct DirectConv {
  Map src, dst;
  int kernel_h = 1, kernel_w = 1, stride_h = 1, stride_w = 1, dilation_h = 1, dilation_w = 1;
  int pad_top = 0, pad_left = 0;
  int depth = 0;                 // floats read per tap
  const float* zeros = nullptr;  // `depth` zeros: what a tap outside the source reads
  PackedWeights weights;
  Epilogue epilogue;
  // An element-wise program over the result (program.h), item by item: the result then lies in scratch alone,
  // as the program's input `after_input`, and dst tells its size only.
  const Program* after = nullptr;
  int after_input = 0;
  int pixels_per_item = 0, panels_per_item = 0;
  std::int64_t items = 0;
};

// 3x3 by Winograd's minimal filtering (Lavin and Gray 2016): F(tile x tile, 3x3), tile 4 or 6, with stride 1;
// with stride 2 the forms of winograd_tiles.inl.h, tile 2 or 4, no dilation. Dilation d makes d x d
// interleaved convolutions of it; their tiles are one list, phase after phase.
struct WinogradConv {
  Map src, dst;
  int pad_top = 1, pad_left = 1;
  int dilation_h = 1, dilation_w = 1;
  int depth = 0;                 // padded source channels
  int tile = 4, stride = 1;      // outputs of a tile along one axis
  const float* zeros = nullptr;  // `depth` zeros: what lies outside the source
  PackedWeights weights;  // a matrix of depth x out for each product of a tile, one panel after the other
  Epilogue epilogue;
  // Where weights are large and tiles few, all tiles are transformed first, into memory that the items share,
  // and an item is some panels of many tiles: weights then pass by once, not once for every few tiles.
  bool share = false;       // set by planning
  float* shared = nullptr;  // then the caller puts winograd_shared floats here
  int tiles_per_item = 0, panels_per_item = 0;
  bool stream = false;  // set by planning: weights are fetched ahead, since no cache holds them
  std::int64_t items = 0, transform_items = 0;
  bool backwards = false;  // items are taken from last to first
};

// A convolution of bytes by signed weights, summed in 32 bits: DirectConv's geometry, one dot product for
// four channels.
struct ByteConv {
  ByteMap src;
  ByteMap dst;  // bytes out: round(sum * scale + offset), clamped to [low, high]; data null: none are stored
  Map floats;   // or floats out: act(sum * scale + offset); its size counts in either case
  int kernel_h = 1, kernel_w = 1, stride_h = 1, stride_w = 1, dilation_h = 1, dilation_w = 1;
  int pad_top = 0, pad_left = 0;
  int depth = 0;  // bytes read per tap, a multiple of 4
  const std::uint8_t* zeros =
      nullptr;  // `depth` bytes of the source's zero point: what a tap outside the source reads
  const std::int8_t* weights = nullptr;
  int out_blocks = 0;                               // output channels / 16, padded
  const float *scale = nullptr, *offset = nullptr;  // padded channels
  int low = 0, high = 255;
  Act act = Act::kNone;  // of floats; that of bytes is in low
  float alpha = 0, beta = 0;
  ByteMap add, sum;  // sum = round(dst + add), each in its own coding; the running sums of a DAM
  const Program* after = nullptr;  // over the floats, as in DirectConv
  int after_input = 0;
  int pixels_per_item = 0, panels_per_item = 0;
  std::int64_t items = 0;
};

// The same for 3x3 with stride 1 by F(4x4, 3x3) in whole numbers (byte_winograd.inl.h): the same sums to the
// last bit, if they lie within +-kMostByteWinogradSum. Of `conv`, what is about kernel, weights and items
// goes unused; no program follows.
struct ByteWinograd {
  ByteConv conv;
  const std::int16_t* weights = nullptr;
  int tiles_per_item = 0, panels_per_item = 0;
  std::int64_t items = 0;
};
inline constexpr std::int64_t kMostByteWinogradSum = (std::int64_t{1} << 25) - 1;

// One filter a channel; channels of source and destination are the same.
struct DepthwiseConv {
  Map src, dst;
  int kernel_h = 1, kernel_w = 1, stride_h = 1, stride_w = 1, dilation_h = 1, dilation_w = 1;
  int pad_top = 0, pad_left = 0;
  const float* weights = nullptr;  // taps x padded channels
  Epilogue epilogue;
  int rows_per_item = 1;
  std::int64_t items = 0;
};

struct Pool;
struct WeightedPool;
struct PictureIn;
struct PlanesIn;
struct PlanesOut;
struct Labels;
struct Scores;

// Convolutions whose products are of one precision. Sources, destinations and everything else are float32.
struct ConvKernels {
  const char* isa;  // names the form of packed weights too
  Precision precision;

  // `weights`: out x in x kh x kw. Sizes in floats. `in` channels are read as `depth_channels` (>= in, zeros
  // between; an even number in 16 bits).
  std::size_t (*direct_packed_size)(int out, std::int64_t taps, int depth);
  void (*pack_direct)(const float* weights, int out, int in, int kh, int kw, int depth, float* packed);
  void (*plan_direct)(DirectConv& conv, int threads, std::size_t l2_bytes);  // fills pixels_per_item .. items
  std::size_t (*direct_scratch)(const DirectConv& conv);                     // floats a thread
  void (*direct_conv)(const DirectConv& conv, std::int64_t item, float* scratch);

  std::size_t (*winograd_packed_size)(int tile, int stride, int out, int depth);
  void (*pack_winograd)(const float* weights, int out, int in, int depth, int tile, int stride,
                        float* packed);
  void (*plan_winograd)(WinogradConv& conv, int threads, std::size_t l2_bytes);
  std::size_t (*winograd_shared)(const WinogradConv& conv);  // floats that it wants to share; 0: none
  void (*winograd_transform)(const WinogradConv& conv,
                             std::int64_t item);  // of transform_items, where shared
  std::size_t (*winograd_scratch)(const WinogradConv& conv);
  void (*winograd_conv)(const WinogradConv& conv, std::int64_t item, float* scratch);
};

struct Kernels : ConvKernels {
  int lanes;

  // 1x1 of stride 1 with seven products of quarters instead of eight (strassen.inl.h), on a DirectConv whose
  // weights (out x in) are packed by this. `depth`: channels read, as in pack_direct.
  bool (*fits_strassen)(int out, int depth);
  std::size_t (*strassen_packed_size)(int out, int depth);
  void (*pack_strassen)(const float* weights, int out, int in, int depth, float* packed);
  void (*plan_strassen)(DirectConv& conv, int threads, std::size_t l2_bytes);
  std::size_t (*strassen_scratch)(const DirectConv& conv);
  void (*strassen_conv)(const DirectConv& conv, std::int64_t item, float* scratch);

  void (*depthwise_conv)(const DepthwiseConv& conv, std::int64_t item);

  // Weights: out x in x kh x kw, of which `tap_w` kernel columns at a time are one tap.
  bool (*has_dot)();  // the CPU has the instruction; else nothing of ByteConv may be called
  std::size_t (*bytes_packed_size)(int out, std::int64_t taps, int depth);
  void (*pack_bytes)(const std::int8_t* weights, int out, int in, int kh, int kw, int tap_w, int depth,
                     std::int8_t* packed);
  void (*plan_byte_conv)(ByteConv& conv, int threads, std::size_t l2_bytes);
  std::size_t (*byte_conv_scratch)(const ByteConv& conv);
  void (*byte_conv)(const ByteConv& conv, std::int64_t item, float* scratch);

  // `weights`: out x in x 3 x 3; the size in words of 16 bits.
  std::size_t (*byte_winograd_packed_size)(int out, int depth);
  void (*pack_byte_winograd)(const std::int8_t* weights, int out, int in, int depth, std::int16_t* packed);
  void (*plan_byte_winograd)(ByteWinograd& winograd, int threads, std::size_t l2_bytes);
  std::size_t (*byte_winograd_scratch)(const ByteWinograd& winograd);
  void (*byte_winograd)(const ByteWinograd& winograd, std::int64_t item, float* scratch);

  // program.h
  void (*plan_program)(Program& program, int threads);  // fills registers, rows_per_item, items
  std::size_t (*program_scratch)(const Program& program);
  void (*program)(const Program& program, std::int64_t item, float* scratch);

  // maps.h; where there is no item, the number is that of a row
  void (*pool)(const Pool& pool, std::int64_t item);
  void (*weighted_pool)(const WeightedPool& pool, std::int64_t part);
  void (*finish_weighted_pool)(const WeightedPool& pool);
  void (*picture_in)(const PictureIn& in, std::int64_t row);
  void (*planes_in)(const PlanesIn& in, std::int64_t row);
  void (*planes_out)(const PlanesOut& out, std::int64_t row);
  void (*plan_labels)(Labels& labels, int threads);  // fills rows_per_item, items
  std::size_t (*labels_scratch)(const Labels& labels);
  void (*labels)(const Labels& labels, std::int64_t item, float* scratch);
  void (*scores)(const Scores& scores, std::int64_t item, float* scratch);

  // peak.inl.h: yardsticks. Operations done by `rounds` rounds, two a multiply-accumulate; sinks of 16.
  double (*peak_fma)(std::int64_t rounds, float* sink);
  double (*peak_dot)(std::int64_t rounds, std::int32_t* sink);
  void (*peak_copy)(const float* src, float* dst,
                    std::int64_t count);  // dst 64-byte aligned, count a multiple of 64
};

// Null where the CPU lacks the instruction set or the build left it out.
const Kernels* BaselineKernels();
const Kernels* Avx2Kernels();
const Kernels* Avx512Kernels();

// Convolutions in that precision beside `kernels`; throws kUnsupported where the CPU lacks the instructions.
// FRF_EMULATE_F16=1 computes float16's products without them, in some four times float32's time.
const ConvKernels& ConvKernelsFor(const Kernels& kernels, Precision precision);
std::vector<const ConvKernels*> AllConvKernels();  // those that run here, emulated ones too, for tests

// The best that this CPU runs, or what FRF_FORCE_ISA names. Throws kInvalidArgument where that is unknown or
// cannot run here.
const Kernels& BestKernels();
const char* ForcedIsa();  // what FRF_FORCE_ISA names; null where it is empty or not set
const Kernels& KernelsNamed(const std::string& isa);
std::vector<const Kernels*> AllKernels();  // those that run here, for tests

}  // namespace frf::kernels
