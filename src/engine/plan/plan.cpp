// SPDX-License-Identifier: Apache-2.0
// Plan: construction, and the loop that runs steps.
#include "engine/plan/plan.h"

#include <omp.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>

#include "engine/plain_op.h"
#include "engine/plan/step_builder.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace frf::engine {
namespace {

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

// What kernels stored past the caches is there before what is stored next: a release store alone does not
// order it.
void FinishStores() {
#if defined(__x86_64__)
  _mm_sfence();
#endif
}

// Lets others have the core after a while.
template <typename Done>
void WaitUntil(const Done& done) {
  for (int spins = 0; !done(); ++spins) spins < 1000 ? Relax() : static_cast<void>(sched_yield());
}

}  // namespace

Plan::Plan(Lowered lowered, WeightStore& weights, const PlanOptions& options) : options_(options) {
  options_.threads = std::clamp(options_.threads, 1, kMaxThreads);
  if (!options_.kernels) options_.kernels = &kernels::BestKernels();
  StepBuilder(*this, lowered, weights).Build();
  for (const Step& step : steps_) scratch_stride_ = std::max(scratch_stride_, step.scratch);
  scratch_stride_ =
      (scratch_stride_ + 63) / 32 * 32 + 32;  // not a power of two: threads' buffers in other cache sets
  memory_->Reserve(scratch_stride_ * options_.threads * sizeof(float), "scratch");
  scratch_ = FloatBuffer(scratch_stride_ * options_.threads);
  taken_ = std::vector<Counter>(steps_.size() * options_.threads);
  done_ = std::vector<Counter>(steps_.size());
  table_ = std::move(lowered.table);
  if (picture_coding_.step > 0) {
    byte_table_.resize(3 * 256);
  }
}

Plan::~Plan() = default;

std::uint64_t Plan::scratch_bytes() const { return scratch_.size() * sizeof(float); }

void Plan::Run(const PlanInput& input, const PlanOutput& output, bool timed) {
  input_ = input;
  output_ = output;
  // What the run before left, also where it ended in an error.
  for (const int id : made_plainly_) {
    memory_->Drop(plain_[id]);
    plain_[id] = Tensor();
  }
  memory_->ReleaseTemporaries();
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
  for (int c = 0; c < 3; ++c) {
    for (int v = 0; v < 256; ++v) {
      const float byte =
          std::clamp(std::nearbyint(input_.table->values[c][v] / picture_coding_.step) + zero, 0.0f, 255.0f);
      byte_table_[c * 256 + v] = static_cast<std::uint8_t>(byte);
      rounded_table_.values[c][v] = (byte - zero) * picture_coding_.step;
    }
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
  // Every thread takes the items of its own part of a step one after the other, which keeps what neighbours
  // share in its cache, and helps with the others' when it is done.
  for (std::size_t i = begin * options_.threads; i < end * options_.threads; ++i) taken_[i].value.store(0);
  for (std::size_t s = begin; s < end; ++s) done_[s].value.store(0);
  std::atomic<std::size_t> current{begin};
  Clock::time_point start = Clock::now();  // of the step; the thread that ends one begins the next
  const auto work = [&](int thread, int team) {
    const FlushDenormals flush;
    float* const scratch = scratch_.data() + scratch_stride_ * thread;
    for (std::size_t s; (s = current.load(std::memory_order_acquire)) < end;) {
      Step& step = steps_[s];
      std::int64_t mine = 0;
      for (int turn = 0; turn < team; ++turn) {
        const int owner = (thread + turn) % team;
        const std::int64_t first = step.items * owner / team, last = step.items * (owner + 1) / team;
        std::atomic<std::int64_t>& next = taken_[s * options_.threads + owner].value;
        for (std::int64_t item; (item = first + next.fetch_add(1, std::memory_order_relaxed)) < last;
             ++mine) {
          step.run(step.backwards ? first + last - 1 - item : item, scratch);
        }
      }
      FinishStores();
      // A thread without items, late or never here, is not waited for.
      if (mine > 0 && done_[s].value.fetch_add(mine, std::memory_order_acq_rel) + mine == step.items) {
        if (timed) {
          const Clock::time_point end_of_step = Clock::now();
          step.seconds = std::chrono::duration<double>(end_of_step - start).count();
          start = end_of_step;
        }
        current.store(s + 1, std::memory_order_release);
      } else {
        WaitUntil([&] { return current.load(std::memory_order_acquire) > s; });
      }
    }
  };
  // A region of one thread would cost libgomp an allocation each time: it keeps no team of one.
  if (options_.threads == 1) return work(0, 1);
#pragma omp parallel num_threads(options_.threads)
  // The team may be smaller than asked for: inside a caller's own region, or under OMP_THREAD_LIMIT.
  work(omp_get_thread_num(), omp_get_num_threads());
}

}  // namespace frf::engine
