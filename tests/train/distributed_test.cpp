// SPDX-License-Identifier: Apache-2.0
// Two ranks as threads: what they compute together equals what one computes with the whole batch. In double
// precision, where nothing but the arithmetic's order differs, to 1e-9 of the largest value.
#include "train/distributed.h"

#include "data/dataset.h"
#include "frf/image.h"
#include "nets/nets.h"
#include "train/average.h"
#include "train/blocked.h"
#include "train/distributed_support.h"
#include "train/gradient_buckets.h"
#include "train/losses.h"
#include "train/module.h"
#include "train/optimizer.h"
#include "train/sharpness.h"
#include "train/sync_batch_norm.h"

namespace frf {
namespace {

using test::AsRanks;

const std::vector<std::string> kNoErrors{"", ""};

double RelativeDifference(const torch::Tensor& seen, const torch::Tensor& wanted) {
  const double scale = wanted.abs().max().item<double>();
  return (seen.to(torch::kFloat64) - wanted.to(torch::kFloat64)).abs().max().item<double>() /
         std::max(scale, 1e-30);
}

// Rank's half of a batch.
torch::Tensor Half(const torch::Tensor& batch, int rank) {
  return batch.narrow(0, rank * batch.size(0) / 2, batch.size(0) / 2);
}

TEST(Distributed, SumsAndBroadcasts) {
  FRF_SKIP_WITHOUT_GLOO();
  const auto errors = AsRanks(2, 20, [](Distributed& d) {
    EXPECT_EQ(d.size(), 2);
    EXPECT_EQ(d.Sum(d.rank() + 1.0), 3.0);
    torch::Tensor counts = torch::full({3, 2}, d.rank() + 1, torch::kInt64);
    d.Sum(counts);
    EXPECT_EQ(counts.sum().item<std::int64_t>(), 18);
    EXPECT_EQ(d.Broadcast(d.rank() == 0 ? std::string("plan") : std::string()), "plan");
    // Channels last, as weights lie in a module.
    const torch::Tensor source = torch::arange(2 * 3 * 4 * 5, torch::kFloat32).reshape({2, 3, 4, 5});
    torch::Tensor weights = torch::zeros_like(source).contiguous(torch::MemoryFormat::ChannelsLast);
    if (d.rank() == 0) weights.copy_(source);
    d.Broadcast({weights});
    EXPECT_TRUE(weights.equal(source));
    // Buckets may overtake sums.
    torch::Tensor bucket = torch::full({1 << 20}, static_cast<float>(d.rank()));
    const auto wait = d.StartSum(bucket);
    EXPECT_EQ(d.Sum(1.0), 2.0);
    wait();
    EXPECT_EQ(bucket.min().item<float>(), 1.0f);
  });
  EXPECT_EQ(errors, kNoErrors);
}

TEST(Distributed, AnErrorOfOneRankReachesTheOther) {
  FRF_SKIP_WITHOUT_GLOO();
  const auto errors = AsRanks(2, 20, [](Distributed& d) {
    if (d.rank() == 1) throw Error(ErrorCode::kCorruptFile, "b.png: cut short");
    d.Sum(1.0);
  });
  EXPECT_EQ(errors[0], "rank 1 of 2 stopped: b.png: cut short");
  EXPECT_EQ(errors[1], "b.png: cut short");
}

TEST(Distributed, ARankThatDoesNotComeIsNamed) {
  FRF_SKIP_WITHOUT_GLOO();
  const World world{.rank = 0, .size = 3, .address = "127.0.0.1", .port = test::FreePort()};
  EXPECT_FRF_ERROR(Distributed::Join(world, {.timeout_seconds = 1}), ErrorCode::kInterrupted,
                   "rank 1, 2 of 3 did not come within 1 s");
  World other = world;
  other.rank = 2;
  EXPECT_FRF_ERROR(Distributed::Join(other, {.timeout_seconds = 1}), ErrorCode::kIo,
                   "does rank 0 run there?");
  EXPECT_FRF_ERROR(Distributed::Join(world, {.backend = "nccl"}), ErrorCode::kUsage, "--device cuda");
  EXPECT_EQ(Distributed::Join(world, {.backend = "off"}), nullptr);
}

// Batch norm over two halves, one further from 0 than the other, against torch's over the whole.
TEST(Distributed, SyncBatchNormIsThatOfTheWholeBatch) {
  FRF_SKIP_WITHOUT_GLOO();
  torch::manual_seed(3);
  const auto options = torch::kFloat64;
  const torch::Tensor x = torch::randn({4, 16, 5, 7}, options) * 2 + 1,
                      dy = torch::randn({4, 16, 5, 7}, options), gamma = torch::rand({16}, options) + 0.5,
                      beta = torch::randn({16}, options);
  Half(x, 1).add_(3);
  torch::Tensor mean = torch::zeros({16}, options), variance = torch::ones({16}, options);
  torch::Tensor xw = x.clone().requires_grad_(), gw = gamma.clone().requires_grad_(),
                bw = beta.clone().requires_grad_();
  const torch::Tensor yw = at::batch_norm(xw, gw, bw, mean, variance, true, 0.1, 1e-5, false);
  yw.backward(dy);
  for (const bool blocked : {false, true}) {
    const double limit = blocked ? 1e-5 : 1e-9;  // the kernels work in float32
    const auto errors = AsRanks(2, 20, [&](Distributed& d) {
      const auto type = blocked ? torch::kFloat32 : torch::kFloat64;
      const auto own = [&](const torch::Tensor& t) { return t.to(type).clone(); };
      torch::Tensor xs = own(Half(x, d.rank())).requires_grad_(), g = own(gamma).requires_grad_(),
                    b = own(beta).requires_grad_(), m = own(torch::zeros({16})), v = own(torch::ones({16})),
                    y;
      if (blocked) {
        y = FromBlocked(BlockedBatchNorm({.x = ToBlocked(xs),
                                          .gamma = g,
                                          .beta = b,
                                          .running_mean = m,
                                          .running_variance = v,
                                          .training = true,
                                          .distributed = &d}));
      } else {
        y = SyncBatchNorm(
            {.x = xs, .gamma = g, .beta = b, .running_mean = m, .running_variance = v, .distributed = &d});
      }
      y.backward(own(Half(dy, d.rank())));
      torch::Tensor dg = g.grad().clone(), db = b.grad().clone();
      d.Sum(dg);
      d.Sum(db);
      EXPECT_LT(RelativeDifference(y, Half(yw, d.rank())), limit);
      EXPECT_LT(RelativeDifference(xs.grad(), Half(xw.grad(), d.rank())), limit);
      EXPECT_LT(RelativeDifference(dg, gw.grad()), limit);
      EXPECT_LT(RelativeDifference(db, bw.grad()), limit);
      EXPECT_LT(RelativeDifference(m, mean), limit);
      EXPECT_LT(RelativeDifference(v, variance), limit);
    });
    EXPECT_EQ(errors, kNoErrors) << (blocked ? "blocked" : "plain");
  }
}

struct Problem {
  Graph graph;
  torch::Tensor images, labels;
};

Problem SmallProblem() {
  Graph graph = BuildNet("frfnet-slim", {{"classes", 5}, {"aux", true}, {"dropout", 0.2}});
  InitializeWeights(graph, 7);
  torch::manual_seed(5);
  torch::Tensor labels = torch::randint(0, 5, {4, 32, 48}, torch::kUInt8);
  labels.narrow(0, 0, 1).fill_(kVoidLabel);  // slices differ in how many pixels count
  labels.narrow(0, 3, 1).narrow(1, 0, 20).fill_(kVoidLabel);
  return {std::move(graph), torch::randn({4, 3, 32, 48}, torch::kFloat64), labels};
}

// Weights whose sums float32 holds exactly: one process adds them up in it, several in double.
LossSpec WeightedLoss(LossKind kind) {
  return {.kind = kind, .class_weights = {1.5f, 0.5f, 1.0f, 0.75f, 1.25f}};
}

// rank -1: the whole batch.
double Backward(GraphModule& module, const Problem& problem, const Loss& loss, int rank, int step = 4) {
  const bool whole = rank < 0;
  module.train();
  module.SetChance(9, static_cast<std::uint64_t>(step));
  const torch::Tensor targets = at::softmax(problem.images.narrow(1, 0, 1).repeat({1, 5, 1, 1}) *
                                                torch::arange(5, torch::kFloat64).reshape({1, 5, 1, 1}),
                                            1);  // a teacher's
  const torch::Tensor value =
      loss(module.ForwardForLoss(whole ? problem.images : Half(problem.images, rank)),
           whole ? problem.labels : Half(problem.labels, rank), whole ? targets : Half(targets, rank));
  value.backward();
  return value.item<double>();
}

void ExpectSameGradients(LossKind kind, double limit) {
  const Problem problem = SmallProblem();
  GraphModule one(problem.graph);
  one.SetKernels(Kernels::kPlain);
  one.To(torch::kFloat64);
  const double wanted = Backward(one, problem, Loss(WeightedLoss(kind), one.graph()), -1);
  const auto errors = AsRanks(2, 60, [&](Distributed& d) {
    GraphModule module(problem.graph);
    module.SetKernels(Kernels::kPlain);
    module.To(torch::kFloat64);
    module.SetDistributed(&d, 2 * d.rank());
    GradientBuckets buckets(module, d, 64 << 10);
    const double own = Backward(module, problem, Loss(WeightedLoss(kind), module.graph(), &d), d.rank());
    buckets.Finish();
    EXPECT_NEAR(d.Sum(own), wanted, 1e-9 * std::abs(wanted));
    EXPECT_GT(buckets.count(), 4);
    EXPECT_GT(buckets.overlapped(), buckets.count() / 2) << "of " << buckets.count();
    for (std::size_t i = 0; i < module.tensors().size(); ++i) {
      const auto &seen = module.tensors()[i], &whole = one.tensors()[i];
      if (seen.role == Role::kState) {
        EXPECT_LT(RelativeDifference(seen.tensor, whole.tensor), 1e-9) << seen.name;
      } else {
        ASSERT_EQ(seen.tensor.grad().defined(), whole.tensor.grad().defined()) << seen.name;
        if (!seen.tensor.grad().defined()) continue;
        EXPECT_LT((seen.tensor.grad() - whole.tensor.grad()).abs().max().item<double>(), limit) << seen.name;
      }
    }
  });
  EXPECT_EQ(errors, kNoErrors);
}

// Class weights, void, a teacher, auxiliary heads, dropout, batch norm: all at once. Gradients are of
// order 1.
TEST(Distributed, GradientsAreThoseOfTheWholeBatch) {
  FRF_SKIP_WITHOUT_GLOO();
  ExpectSameGradients(LossKind::kCrossEntropy, 1e-9);
}
TEST(Distributed, OhemsGradientsToo) {
  FRF_SKIP_WITHOUT_GLOO();
  ExpectSameGradients(LossKind::kOhem, 1e-9);
}

// A few steps of AdamW, clipped, with averages. From one step to the next a newly drawn network makes of a
// rounding error some hundred times as much, so 1e-16 is not what is left; in float32 as little is left of
// agreement between one process's own kernels.
void ExpectSameWeights(double rho) {
  const Problem problem = SmallProblem();
  const auto train = [&](GraphModule& module, Average& average, Distributed* distributed) {
    Optimizer optimizer(module, {.weight_decay = 0.02, .clip_norm = 5});
    const Loss loss(WeightedLoss(LossKind::kCrossEntropy), module.graph(), distributed);
    std::optional<GradientBuckets> buckets;
    if (distributed != nullptr) {
      module.SetDistributed(distributed, 2 * distributed->rank());
      buckets.emplace(module, *distributed);
    }
    SharpnessStep sharpness(module);
    for (int step = 0; step < 4; ++step) {
      const auto pass = [&] {
        Backward(module, problem, loss, distributed == nullptr ? -1 : distributed->rank(), step);
        if (buckets) buckets->Finish();
      };
      pass();
      if (rho > 0) {
        ASSERT_TRUE(sharpness.Climb(rho));
        pass();
        sharpness.Return();
      }
      optimizer.Step({.rate = 1e-3}, &average);
      optimizer.ZeroGrad();
    }
  };
  const auto made = [&] {
    auto module = std::make_unique<GraphModule>(problem.graph);
    module->SetKernels(Kernels::kPlain);
    module->To(torch::kFloat64);
    return module;
  };
  const auto one = made();
  Average whole(*one, 0.9);
  train(*one, whole, nullptr);
  const auto errors = AsRanks(2, 60, [&](Distributed& d) {
    const auto module = made();
    Average average(*module, 0.9);
    train(*module, average, &d);
    for (std::size_t i = 0; i < module->tensors().size(); ++i) {
      const std::string& name = module->tensors()[i].name;
      EXPECT_LT(RelativeDifference(module->tensors()[i].tensor, one->tensors()[i].tensor), 1e-6) << name;
      EXPECT_LT(RelativeDifference(average.tensors()[i], whole.tensors()[i]), 1e-6) << name;
    }
    // Every rank holds the same bits.
    torch::Tensor sum = module->tensors()[0].tensor.detach().clone();
    d.Sum(sum);
    EXPECT_TRUE(sum.equal(module->tensors()[0].tensor * 2));
  });
  EXPECT_EQ(errors, kNoErrors);
}

TEST(Distributed, StepsLeadToTheWeightsOfTheWholeBatch) {
  FRF_SKIP_WITHOUT_GLOO();
  ExpectSameWeights(0);
}
TEST(Distributed, SharpnessAwareStepsToo) {
  FRF_SKIP_WITHOUT_GLOO();
  ExpectSameWeights(0.05);
}

}  // namespace
}  // namespace frf
