// SPDX-License-Identifier: Apache-2.0
// What these threads of this machine do at best, right now. Subtle: a peak is the best of many short tries,
// not their median: whatever else runs on the machine can only make it smaller, and some tries fall between
// its turns.
#include <fmt/format.h>
#include <omp.h>

#include <algorithm>
#include <atomic>
#include <chrono>

#include "cli/bench.h"
#include "engine/kernels/kernels.h"
#include "engine/plan/plan.h"

namespace frf::cli {
namespace {

constexpr int kTries = 40;
constexpr double kTrySeconds = 0.004;
constexpr std::int64_t kCopyFloats = std::int64_t{16} << 20;  // 64 MiB each way: beyond most caches

using Clock = std::chrono::steady_clock;

// Work a second of `threads` threads, each doing `work(thread)`, which returns how much it was.
template <typename Work>
double Rate(int threads, const Work& work) {
  double done = 0;
  Clock::time_point start;
#pragma omp parallel num_threads(threads) reduction(+ : done)
  {
#pragma omp barrier
#pragma omp master
    start = Clock::now();
#pragma omp barrier
    done += work(omp_get_thread_num());
  }
  return done / std::chrono::duration<double>(Clock::now() - start).count();
}

// The best of several tries of a loop that is first made long enough to be timed.
template <typename Loop>
double BestRate(int threads, const Loop& loop) {
  std::int64_t rounds = 1000;
  for (;;) {
    const Clock::time_point start = Clock::now();
    loop(rounds);
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    if (seconds > kTrySeconds / 4) {
      rounds = static_cast<std::int64_t>(static_cast<double>(rounds) * kTrySeconds / seconds);
      break;
    }
    rounds *= 8;
  }
  double best = 0;
  for (int i = 0; i < kTries; ++i) best = std::max(best, Rate(threads, [&](int) { return loop(rounds); }));
  return best;
}

// Nanoseconds from one thread's store to when the other sees it, the best of several tries; 0 where the two
// hardly ever run at the same time.
double Handover() {
  constexpr int kRounds = 5000, kSomeTries = 10;
  constexpr std::chrono::milliseconds kLongest(20);
  double best = 0;
  for (int i = 0; i < kSomeTries; ++i) {
    alignas(64) std::atomic<int> turn{0};
    alignas(64) std::atomic<bool> stopped{false};
    double seconds = 0;
#pragma omp parallel num_threads(2)
    if (omp_get_num_threads() == 2) {
      const int me = omp_get_thread_num();
#pragma omp barrier
      const Clock::time_point start = Clock::now();
      for (int mine = me; mine < 2 * kRounds && !stopped; mine += 2) {
        for (int spins = 1; turn.load(std::memory_order_acquire) != mine && !stopped; ++spins) {
          if (spins % 1024 == 0 && Clock::now() - start > kLongest) stopped = true;
        }
        turn.store(mine + 1, std::memory_order_release);
      }
#pragma omp master
      seconds = std::chrono::duration<double>(Clock::now() - start).count();
    }
    if (seconds == 0 || stopped) continue;
    const double each = 1e9 * seconds / (2 * kRounds);
    best = best == 0 ? each : std::min(best, each);
  }
  return best;
}

}  // namespace

std::string ToText(const Peaks& peaks) {
  std::string text = fmt::format("{:.0f} GFLOP/s float32, {:.0f} GOP/s int8, {:.1f} GB/s copied",
                                 peaks.f32_gflops, peaks.int8_gops, peaks.copy_gbytes);
  if (peaks.handover_ns > 0) text += fmt::format(", {:.0f} ns from thread to thread", peaks.handover_ns);
  return text;
}

Json ToJson(const Peaks& peaks) {
  return {{"f32_gflops", peaks.f32_gflops},
          {"int8_gops", peaks.int8_gops},
          {"copy_gbytes", peaks.copy_gbytes},
          {"handover_ns", peaks.handover_ns}};
}

Peaks MeasurePeaks(int threads) {
  const kernels::Kernels& k = kernels::BestKernels();
  Peaks peaks;
  peaks.threads = threads;
  peaks.f32_gflops = 1e-9 * BestRate(threads, [&](std::int64_t rounds) {
                       float sink[16];
                       return k.peak_fma(rounds, sink);
                     });
  peaks.int8_gops = 1e-9 * BestRate(threads, [&](std::int64_t rounds) {
                      std::int32_t sink[16];
                      return k.peak_dot(rounds, sink);
                    });
  const engine::FloatBuffer src(kCopyFloats), dst(kCopyFloats);
  std::fill_n(src.data(), kCopyFloats,
              1.0f);  // pages that nobody wrote to are all the same one, in the nearest cache
  const std::int64_t part = kCopyFloats / threads / 64 * 64;
  for (int i = 0; i < kTries + 1; ++i) {  // the first one meets the pages
    const double rate = Rate(threads, [&](int thread) {
      k.peak_copy(src.data() + thread * part, dst.data() + thread * part, part);
      return 2.0 * static_cast<double>(part) * sizeof(float);
    });
    if (i > 0) peaks.copy_gbytes = std::max(peaks.copy_gbytes, rate * 1e-9);
  }
  if (threads > 1) peaks.handover_ns = Handover();
  return peaks;
}

}  // namespace frf::cli
