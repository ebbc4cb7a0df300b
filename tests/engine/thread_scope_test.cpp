// SPDX-License-Identifier: Apache-2.0
// Where OpenMP's teams are smaller than asked for (OMP_DYNAMIC, OMP_THREAD_LIMIT) numbers stay the same:
// oneDNN leaves out the parts of threads that do not come.
#include "engine/thread_scope.h"

#include "engine/helpers.h"

namespace frf::test {
namespace {

// A convolution and a product of matrices, by oneDNN on so many threads.
void ExpectSameNumbers(int threads) {
  const std::vector<Tensor> conv{RandomTensor({1, 64, 20, 24}, 1), RandomTensor({64, 64, 3, 3}, 2)};
  const Attributes pads{{"pads", Ints{1, 1, 1, 1}}};
  const std::vector<Tensor> product{RandomTensor({1, 64, 3000}, 3), RandomTensor({1, 3000, 64}, 4)};
  const auto run = [&](const Node& node, const std::vector<Tensor>& inputs, int on) {
    return RunNode(node, inputs, 17, {.threads = on}).at(0);
  };
  const Node conv_node = MakeNode("Conv", 2, pads), product_node = MakeNode("MatMul", 2);
  ExpectTensor(run(conv_node, conv, threads), run(conv_node, conv, 1), 1e-3);
  ExpectTensor(run(product_node, product, threads), run(product_node, product, 1), 1e-3);
}

TEST(ThreadScope, KeepsToANumberAndPutsBackWhatWasSet) {
  const int before = omp_get_max_threads();
  {
    const ThreadScope threads(3);
    EXPECT_EQ(omp_get_max_threads(), 3);
  }
  EXPECT_EQ(omp_get_max_threads(), before);
}

TEST(ThreadScope, TeamsAreNotMadeSmaller) {
  const int before = omp_get_dynamic();
  omp_set_dynamic(1);
  ExpectSameNumbers(2 * omp_get_num_procs());  // more than a team that may be smaller has
  EXPECT_TRUE(omp_get_dynamic());
  omp_set_dynamic(before);
}

void ExpectOneThread() {
  ExpectSameNumbers(4);
  const ThreadScope threads(4);
  EXPECT_EQ(omp_get_max_threads(), 1);
}

TEST(ThreadScope, NoMoreThreadsArePromisedThanATeamMayHave) {
#pragma omp teams num_teams(1) thread_limit(1)
  ExpectOneThread();
}

}  // namespace
}  // namespace frf::test
