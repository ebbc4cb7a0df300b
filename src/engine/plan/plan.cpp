// SPDX-License-Identifier: Apache-2.0
// Plan: construction, and the loop that runs steps.
#include "engine/plan/plan.h"

#include <omp.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>

#include "engine/plan/step_builder.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace frf::engine {
namespace {

constexpr int kMaxThreads = 256;

// Denormals cost a hundred times a normal number; they are flushed while steps run, and only then.
class FlushDenormals {
 public:
#if defined(__x86_64__)
  FlushDenormals() : before_(_mm_getcsr()) { _mm_setcsr(before_ | 0x8040); }
  ~FlushDenormals() { _mm_setcsr(before_); }

 private:
  unsigned before_;
#endif
};

void Relax() {
#if defined(__x86_64__)
  _mm_pause();
#endif
}

// All threads of a region meet; those that wait long let others have the core.
class Barrier {
 public:
  // `last` runs on the thread that arrives last, before any goes on.
  template <typename Last>
  void Wait(int threads, const Last& last) {
    const int round = round_.load(std::memory_order_relaxed);
    if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == threads) {
      last();
      arrived_.store(0, std::memory_order_relaxed);
      round_.store(round + 1, std::memory_order_release);
      return;
    }
    for (int spins = 0; round_.load(std::memory_order_acquire) == round; ++spins) {
      spins < 20000 ? Relax() : static_cast<void>(sched_yield());
    }
  }

 private:
  std::atomic<int> arrived_{0}, round_{0};
};

}  // namespace

Plan::Plan(Lowered lowered, WeightStore& weights, const PlanOptions& options) : options_(options) {
  options_.threads = std::clamp(options_.threads, 1, kMaxThreads);
  if (!options_.kernels) options_.kernels = &kernels::BestKernels();
  StepBuilder(*this, lowered, weights).Build();
  for (const Step& step : steps_) scratch_stride_ = std::max(scratch_stride_, step.scratch);
  scratch_stride_ =
      (scratch_stride_ + 63) / 32 * 32 + 32;  // not a power of two: threads' buffers in other cache sets
  scratch_ = FloatBuffer(scratch_stride_ * options_.threads);
  table_ = std::move(lowered.table);
  if (picture_coding_.step > 0) {
    byte_table_.resize(3 * 256);
    rounded_table_.resize(3 * 256);
  }
}

Plan::~Plan() = default;

std::uint64_t Plan::scratch_bytes() const { return scratch_.size() * sizeof(float); }

void Plan::Run(const PlanInput& input, const PlanOutput& output, bool timed) {
  input_ = input;
  output_ = output;
  if (picture_coding_.step > 0 && input.pixels) RoundTable();
  for (std::size_t begin = 0; begin < steps_.size();) {
    std::size_t end = begin + 1;
    if (!steps_[begin].serial) {
      while (end < steps_.size() && !steps_[end].serial) ++end;
    }
    RunSteps(begin, end, timed);
    begin = end;
  }
}

void Plan::RoundTable() {
  const auto zero = static_cast<float>(picture_coding_.zero);
  for (std::size_t i = 0; i < rounded_table_.size(); ++i) {
    const float byte =
        std::clamp(std::nearbyint(input_.table[i] / picture_coding_.step) + zero, 0.0f, 255.0f);
    byte_table_[i] = static_cast<std::uint8_t>(byte);
    rounded_table_[i] = (byte - zero) * picture_coding_.step;
  }
}

void Plan::RunSteps(std::size_t begin, std::size_t end, bool timed) {
  using Clock = std::chrono::steady_clock;
  if (steps_[begin].serial) {
    const Clock::time_point start = Clock::now();
    steps_[begin].run(0, nullptr);
    steps_[begin].seconds = std::chrono::duration<double>(Clock::now() - start).count();
    return;
  }
  struct alignas(64) Counter {
    std::atomic<std::int64_t> next{0};
  };
  // Of two steps in turn, one a thread: every thread takes the items of its own range one after the other,
  // which keeps what neighbours share in its cache, and helps with the others' when it is done.
  Counter counters[2][kMaxThreads];
  Barrier barrier;
  Clock::time_point start = Clock::now();  // of the step; the last thread to finish one begins the next
  const auto work = [&](int thread, int team) {
    const FlushDenormals flush;
    float* const scratch = scratch_.data() + scratch_stride_ * thread;
    for (std::size_t s = begin; s < end; ++s) {
      Step& step = steps_[s];
      for (int turn = 0; turn < team; ++turn) {
        const int owner = (thread + turn) % team;
        const std::int64_t first = step.items * owner / team, last = step.items * (owner + 1) / team;
        std::atomic<std::int64_t>& next = counters[s % 2][owner].next;
        for (std::int64_t item; (item = first + next.fetch_add(1, std::memory_order_relaxed)) < last;) {
          step.run(step.backwards ? first + last - 1 - item : item, scratch);
        }
      }
      // The other counters are idle now: nobody reaches the next step before the barrier, none is in the one
      // before.
      counters[(s + 1) % 2][thread].next.store(0, std::memory_order_relaxed);
      barrier.Wait(team, [&] {
        if (!timed) return;
        const Clock::time_point end_of_step = Clock::now();
        step.seconds = std::chrono::duration<double>(end_of_step - start).count();
        start = end_of_step;
      });
    }
  };
  // A region of one thread would cost libgomp an allocation each time: it keeps no team of one.
  if (options_.threads == 1) return work(0, 1);
#pragma omp parallel num_threads(options_.threads)
  // The team may be smaller than asked for: inside a caller's own region, or under OMP_THREAD_LIMIT.
  work(omp_get_thread_num(), omp_get_num_threads());
}

}  // namespace frf::engine
