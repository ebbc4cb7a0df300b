// SPDX-License-Identifier: Apache-2.0
// What these threads of this machine do at best, right now. Subtle: a peak is the best of many short tries,
// not their median: whatever else runs on the machine can only make it smaller, and some tries fall between
// its turns.
#include <omp.h>

#include <algorithm>
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

}  // namespace

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
  return peaks;
}

}  // namespace frf::cli
