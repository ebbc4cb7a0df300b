// SPDX-License-Identifier: Apache-2.0
// OpenMP's thread count of the calling thread, for the length of a scope: what is called inside and asks
// OpenMP how many threads it may use keeps to an option's number. Subtle: oneDNN splits its work for the
// number that it is told and computes only the parts whose threads come, so no more are promised than
// OMP_THREAD_LIMIT lets a team have, and OMP_DYNAMIC makes none smaller.
#pragma once

#include <omp.h>

#include <algorithm>

namespace frf {

class ThreadScope {
 public:
  explicit ThreadScope(int threads) : before_(omp_get_max_threads()), dynamic_(omp_get_dynamic()) {
    omp_set_dynamic(0);
    omp_set_num_threads(omp_get_max_active_levels() == 0 ? 1 : std::min(threads, omp_get_thread_limit()));
  }
  ~ThreadScope() {
    omp_set_num_threads(before_);
    omp_set_dynamic(dynamic_);
  }
  ThreadScope(const ThreadScope&) = delete;
  ThreadScope& operator=(const ThreadScope&) = delete;

 private:
  int before_, dynamic_;
};

}  // namespace frf
