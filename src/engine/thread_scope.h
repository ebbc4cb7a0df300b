// SPDX-License-Identifier: Apache-2.0
// OpenMP's thread count of the calling thread, for the length of a scope: what is called inside and asks
// OpenMP how many threads it may use keeps to an option's number.
#pragma once

#include <omp.h>

namespace frf {

class ThreadScope {
 public:
  explicit ThreadScope(int threads) : before_(omp_get_max_threads()) { omp_set_num_threads(threads); }
  ~ThreadScope() { omp_set_num_threads(before_); }
  ThreadScope(const ThreadScope&) = delete;
  ThreadScope& operator=(const ThreadScope&) = delete;

 private:
  int before_;
};

}  // namespace frf
