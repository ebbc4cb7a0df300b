// SPDX-License-Identifier: Apache-2.0
// A network compiled for one input size: steps over one arena. Planning allocates, packs and chooses; Run
// only executes.
//
//   Plan plan(Lower(Prepare(graph, {1, 3, 512, 1024})), weights, {.threads = 2});
//   plan.Run({.pixels = rgb, .row_stride = 3 * 1024, .labels = labels, .label_stride = 1024, ...});
//
// Subtle: consecutive steps of own kernels run inside one OpenMP region; items are handed out by counters,
// and a step is over when its items are done, wherever threads are: one that others keep from its core does
// less and is waited for only where it holds an item. Results do not depend on who did what.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "engine/kernels/kernels.h"
#include "engine/plan/ir.h"

namespace frf::plain {
class MemoryMeter;
}

namespace frf::engine {

// 64-byte aligned floats.
class FloatBuffer {
 public:
  FloatBuffer() = default;
  explicit FloatBuffer(std::size_t floats);  // zeroed; throws kOutOfMemory
  float* data() const { return data_.get(); }
  std::size_t size() const { return size_; }
  FloatBuffer Part(std::size_t offset, std::size_t floats) const;  // keeps the whole alive

 private:
  std::shared_ptr<float> data_;
  std::size_t size_ = 0;
};

inline constexpr int kMaxThreads = 256;  // of a plan; more are as good as that many

// Packed weights, shared by all plans of a model: sizes, sessions, threads. A size may want a form of its own
// (direct, two Winograds), so there are several of each; they stay.
class WeightStore {
 public:
  // Holds at most so many floats. What comes beyond is its plan's alone and goes with it: where weights
  // follow from the picture's size, every size brings other ones.
  void SetLimit(std::size_t floats) { limit_ = floats; }
  // The buffer of that key; `fill` is called once for it.
  FloatBuffer Get(const std::string& key, std::size_t floats, const std::function<void(float*)>& fill);
  std::size_t bytes() const;

 private:
  mutable std::mutex mutex_;
  std::unordered_map<std::string, FloatBuffer> buffers_;
  FloatBuffer slab_;      // what is being filled
  std::size_t used_ = 0;  // of it
  std::size_t total_ = 0, limit_ = std::numeric_limits<std::size_t>::max();
};

// How a 3x3 convolution is computed.
enum class ConvChoice : std::uint8_t {
  kAuto,
  kDirect,
  kWinograd4,
  kWinograd6,
  kWinograd2
};  // 2: with stride 2 alone, where 6 means 2

// Whether seven products of eight (kernels/strassen.inl.h) save time on this CPU: not on Intel's, which bring
// what they add from L2 more slowly than they multiply (measured, docs/performance.md).
inline bool StrassenGains() { return !__builtin_cpu_is("intel"); }

struct PlanOptions {
  int threads = 1;
  const kernels::Kernels* kernels = nullptr;  // null: BestKernels()
  // Of convolutions' products; where the file rounds to 8 bits, that counts. kUnsupported where the CPU
  // cannot.
  Precision precision = Precision::kFloat32;
  std::uint64_t max_memory = 0;  // arena, scratch, plain values; 0: DefaultMaxMemory(). Above: kOutOfMemory
  // Of a network that ends in labels: how many classes they are held to (0: what a byte holds), and the file
  // that an error names.
  int classes = 0;
  std::string file = "the network";
  std::unordered_map<std::string, ConvChoice> choices;  // by operation name; the rest by rule
  bool strassen = StrassenGains();                      // large 1x1 convolutions
  // Maps of at least so many bytes are kept out of memory where they can be (band.h): what leaves L2.
  // Maximum: none is.
  std::size_t band_bytes = std::size_t{1} << 20;
  // Maps of at least so many bytes are stored past the caches where a kernel can: in them they would be read
  // before they are written, and push out what is read next (measured, docs/performance.md).
  std::size_t past_caches_bytes = std::size_t{5} << 19;
};

struct PlanInput {                       // one of the two
  const std::uint8_t* pixels = nullptr;  // HWC, 3 interleaved channels at the plan's size
  std::ptrdiff_t row_stride = 0;
  bool bgr = false;
  const kernels::PictureTable* table = nullptr;
  const float* planes = nullptr;  // 1 x C x H x W
};

struct PlanOutput {  // one of the two
  std::uint8_t* labels = nullptr;
  std::ptrdiff_t label_stride = 0;
  float* scores = nullptr;  // classes x height x width of the graph's output
  // Labels at another size than the plan's own: how each of their rows and columns comes from the map that
  // the plan's own taps speak of (output_rows, output_columns). Null: the plan's own.
  const std::vector<kernels::WideTap>*rows = nullptr, *columns = nullptr;
};

struct Step {
  std::string name, kernel;
  std::int64_t items = 1;
  std::size_t scratch = 0;  // floats a thread
  bool serial = false;      // not in the parallel region: it brings its own threads
  double macs = 0, bytes = 0;
  bool integers = false;   // the macs are of 8-bit integers
  bool backwards = false;  // items are taken from last to first
  std::function<void(std::int64_t item, float* scratch)> run;
  double seconds = 0;  // of the last timed run
};

class Plan {
 public:
  Plan(Lowered lowered, WeightStore& weights, const PlanOptions& options);
  ~Plan();
  Plan(const Plan&) = delete;

  void Run(const PlanInput& input, const PlanOutput& output, bool timed = false);

  const std::vector<Step>& steps() const { return steps_; }
  std::uint64_t arena_bytes() const { return arena_.size() * sizeof(float); }
  std::uint64_t scratch_bytes() const;
  int output_height() const { return output_height_; }
  int output_width() const { return output_width_; }
  int classes() const { return classes_; }
  // How the graph's output comes from the map that labels are taken of; empty where labels cannot be had at
  // any size.
  const std::vector<kernels::WideTap>& output_rows() const { return output_rows_; }
  const std::vector<kernels::WideTap>& output_columns() const { return output_columns_; }
  bool gives_labels() const { return gives_labels_; }  // the graph's output is labels, not scores
  // Of an 8-bit input; null: the input is float.
  const kernels::PictureTable* table() const { return table_ ? &*table_ : nullptr; }
  int threads() const { return options_.threads; }

 private:
  friend class StepBuilder;
  struct alignas(64) Counter {  // in a cache line of its own
    std::atomic<std::int64_t> value{0};
  };
  void RunSteps(std::size_t begin, std::size_t end, bool timed);
  void RoundTable();

  PlanOptions options_;
  std::shared_ptr<plain::MemoryMeter> memory_;  // of all below but kept_
  std::vector<Tensor> plain_;                   // plain values as they are made
  std::vector<int> made_plainly_;               // those that plain nodes make anew in every run
  FloatBuffer arena_, scratch_;
  std::size_t scratch_stride_ = 0;
  std::vector<FloatBuffer> kept_;  // packed weights, constants, tables
  std::vector<Step> steps_;
  // Items handed out of each thread's part of each step, and items of each step that are done.
  std::vector<Counter> taken_, done_;
  PlanInput input_;
  PlanOutput output_;
  int output_height_ = 0, output_width_ = 0, classes_ = 0;
  bool gives_labels_ = false;
  std::vector<kernels::WideTap> output_rows_, output_columns_;
  std::optional<kernels::PictureTable> table_;
  // A picture that is rounded to 8 bits: what each byte of each channel becomes, of the table that Run was
  // given.
  kernels::Coding picture_coding_{0, 0};
  std::vector<std::uint8_t> byte_table_;
  kernels::PictureTable rounded_table_{};
};

// Offsets in one arena for buffers that live from one operation to another; buffers that overlap in time
// never overlap in place. Largest first, each at the lowest place that is free (Pisarchyk and Lee 2020,
// "greedy by size").
struct Lifetime {
  std::size_t floats = 0;
  int first = 0, last = 0;  // operations
};
std::vector<std::size_t> PlaceBuffers(const std::vector<Lifetime>& buffers, std::size_t& total);

}  // namespace frf::engine
