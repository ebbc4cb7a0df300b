// SPDX-License-Identifier: Apache-2.0
// Losses: cases worked out by hand, the fused cross-entropy against torch's operators (values and gradients),
// Lovasz against its definition by counting.
#include "train/losses.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/random.h"
#include "support/support.h"

namespace frf {
namespace {

torch::Tensor RandomScores(std::vector<std::int64_t> shape, std::uint64_t seed, double scale = 2) {
  torch::Tensor scores = torch::empty(shape);
  Random random(seed);
  for (std::int64_t i = 0; i < scores.numel(); ++i)
    scores.data_ptr<float>()[i] = static_cast<float>(scale * random.Normal());
  return scores;
}

torch::Tensor RandomLabels(std::vector<std::int64_t> shape, int classes, std::uint64_t seed) {
  torch::Tensor labels = torch::empty(shape, torch::kUInt8);
  Random random(seed, 1);
  for (std::int64_t i = 0; i < labels.numel(); ++i) {
    labels.data_ptr<std::uint8_t>()[i] =
        random.Chance(0.1) ? 255 : static_cast<std::uint8_t>(random.Below(classes));
  }
  return labels;
}

TEST(Losses, ClassWeightsByHand) {
  const std::vector<float> weights = ClassWeights({0.9, 0.1}, 1.1);
  const double a = 1 / std::log(2.0), b = 1 / std::log(1.2);
  EXPECT_NEAR(weights[0], 2 * a / (a + b), 1e-6);
  EXPECT_NEAR(weights[1], 2 * b / (a + b), 1e-6);
  EXPECT_FRF_ERROR(ClassWeights({0.5}, 1.0), ErrorCode::kUsage, "c = 1");
}

TEST(Losses, CrossEntropyByHand) {
  // Two classes, three pixels: scores 0/0 (label 0), 0/ln 3 (label 1), void. Losses ln 2 and ln(4/3), weights
  // 1 and 3.
  torch::Tensor scores = torch::zeros({1, 2, 1, 3});
  scores[0][1][0][1] = std::log(3.0);
  const torch::Tensor labels = torch::tensor({0, 1, 255}, torch::kInt32).to(torch::kUInt8).reshape({1, 1, 3});
  const double wanted = (std::log(2.0) + 3 * std::log(4.0 / 3)) / 4;
  EXPECT_NEAR(CrossEntropy(scores, labels, torch::tensor({1.0f, 3.0f})).item<double>(), wanted, 1e-6);
  EXPECT_NEAR(CrossEntropyPlain(scores, labels, torch::tensor({1.0f, 3.0f})).item<double>(), wanted, 1e-6);
}

TEST(Losses, PlainEqualsTorchCrossEntropy) {
  const torch::Tensor scores = RandomScores({2, 5, 6, 7}, 3), labels = RandomLabels({2, 6, 7}, 5, 4);
  const torch::Tensor weights = torch::tensor({0.5f, 1.0f, 2.0f, 0.1f, 3.0f});
  const auto options = torch::nn::functional::CrossEntropyFuncOptions().weight(weights).ignore_index(255);
  const double wanted =
      torch::nn::functional::cross_entropy(scores, labels.to(torch::kInt64), options).item<double>();
  EXPECT_NEAR(CrossEntropyPlain(scores, labels, weights).item<double>(), wanted, 1e-6);
}

struct FusedCase {
  std::vector<std::int64_t> scores, labels;
  bool channels_last;
};

class Fused : public testing::TestWithParam<FusedCase> {};

TEST_P(Fused, EqualsTorch) {
  const FusedCase& shape = GetParam();
  const int classes = static_cast<int>(shape.scores[1]);
  torch::Tensor first = RandomScores(shape.scores, 11, 4);
  if (shape.channels_last) first = first.contiguous(torch::MemoryFormat::ChannelsLast);
  torch::Tensor second = first.clone();
  first.set_requires_grad(true);
  second.set_requires_grad(true);
  const torch::Tensor labels = RandomLabels(shape.labels, classes, 12);
  const torch::Tensor weights = RandomScores({classes}, 13).abs() + 0.1;
  const torch::Tensor fused = CrossEntropy(first, labels, weights),
                      plain = CrossEntropyPlain(second, labels, weights);
  EXPECT_NEAR(fused.item<double>(), plain.item<double>(), 2e-6 * std::abs(plain.item<double>()));
  (fused * 3).backward();
  (plain * 3).backward();
  const double largest = second.grad().abs().max().item<double>();
  EXPECT_LE((first.grad() - second.grad()).abs().max().item<double>(), 1e-5 * largest);
  const torch::NoGradGuard guard;
  EXPECT_EQ(CrossEntropy(first, labels, weights).item<float>(), fused.item<float>());
}

INSTANTIATE_TEST_SUITE_P(Shapes, Fused,
                         testing::Values(FusedCase{{1, 1, 1, 1}, {1, 1, 1}, false},
                                         FusedCase{{2, 11, 9, 13}, {2, 36, 52}, true},
                                         FusedCase{{1, 19, 13, 127}, {1, 50, 127}, false},
                                         FusedCase{{3, 2, 1, 7}, {3, 127, 13}, true},
                                         FusedCase{{1, 3, 40, 20}, {1, 20, 10}, false},
                                         FusedCase{{2, 5, 33, 17}, {2, 33, 17}, true},
                                         FusedCase{{1, 254, 3, 3}, {1, 7, 5}, false}));

TEST(Losses, VoidAloneGivesZero) {
  torch::Tensor scores = RandomScores({1, 3, 4, 4}, 5);
  scores.set_requires_grad(true);
  const torch::Tensor labels = torch::full({1, 8, 8}, 255, torch::kUInt8);
  for (const LossKind kind :
       {LossKind::kCrossEntropy, LossKind::kOhem, LossKind::kLovasz, LossKind::kCrossEntropyLovasz}) {
    Graph graph;
    graph.outputs.push_back({.name = "scores"});
    const torch::Tensor loss = Loss({.kind = kind}, graph)({{"scores", scores}}, labels);
    EXPECT_EQ(loss.item<float>(), 0.0f) << Name(kind);
    loss.backward();
    EXPECT_EQ(scores.grad().abs().sum().item<float>(), 0.0f) << Name(kind);
  }
}

TEST(Losses, OhemKeepsTheHardOnes) {
  // Probabilities of the true class: 0.9, 0.8, 0.6, 0.2; threshold 0.7 keeps the last two.
  torch::Tensor scores = torch::zeros({1, 2, 1, 4});
  const double p[] = {0.9, 0.8, 0.6, 0.2};
  for (int i = 0; i < 4; ++i) scores[0][0][0][i] = std::log(p[i] / (1 - p[i]));
  const torch::Tensor labels = torch::zeros({1, 1, 4}, torch::kUInt8), weights = torch::ones({2});
  LossSpec spec{.kind = LossKind::kOhem, .ohem_threshold = 0.7, .ohem_share = 0.25};
  EXPECT_NEAR(Ohem(scores, labels, spec, weights).item<double>(), -(std::log(0.6) + std::log(0.2)) / 2, 1e-6);
  spec.ohem_share = 0.75;  // three must stay
  EXPECT_NEAR(Ohem(scores, labels, spec, weights).item<double>(),
              -(std::log(0.8) + std::log(0.6) + std::log(0.2)) / 3, 1e-6);
}

// Lovasz extension by its definition: errors in falling order, each times the increase of the Jaccard loss.
double LovaszByCounting(const std::vector<double>& errors, const std::vector<int>& truth) {
  std::vector<std::size_t> order(errors.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return errors[a] > errors[b]; });
  double total = 0, missed = 0, wrong = 0, previous = 0, loss = 0;
  for (const int t : truth) total += t;
  for (const std::size_t i : order) {
    (truth[i] != 0 ? missed : wrong) += 1;
    const double now = 1 - (total - missed) / (total + wrong);
    loss += errors[i] * (now - previous);
    previous = now;
  }
  return loss;
}

TEST(Losses, LovaszEqualsItsDefinition) {
  const torch::Tensor scores = RandomScores({2, 3, 5, 5}, 21),
                      labels = RandomLabels({2, 5, 5}, 2, 22);  // class 2 is absent
  const torch::Tensor shares = at::softmax(scores, 1);
  double wanted = 0;
  for (int c = 0; c < 2; ++c) {
    std::vector<double> errors;
    std::vector<int> truth;
    for (int n = 0; n < 2; ++n) {
      for (int y = 0; y < 5; ++y) {
        for (int x = 0; x < 5; ++x) {
          const int label = labels[n][y][x].item<int>();
          if (label == 255) continue;
          truth.push_back(label == c ? 1 : 0);
          errors.push_back(std::abs(truth.back() - shares[n][c][y][x].item<double>()));
        }
      }
    }
    wanted += LovaszByCounting(errors, truth) / 2;
  }
  EXPECT_NEAR(LovaszSoftmax(scores, labels).item<double>(), wanted, 1e-5);
}

// The kernel (float32) against libtorch's operators (double), full-size labels with void and an absent class
// among them.
TEST(Losses, LovaszKernelHasTheOperatorsGradient) {
  const torch::Tensor start = RandomScores({3, 5, 24, 31}, 23), labels = RandomLabels({3, 48, 62}, 4, 24);
  torch::Tensor single = start.clone().requires_grad_(), precise = start.to(torch::kFloat64).requires_grad_();
  const torch::Tensor a = LovaszSoftmax(single, labels), b = LovaszSoftmax(precise, labels);
  EXPECT_NEAR(a.item<double>(), b.item<double>(), 1e-5);
  (2 * a).backward();
  (2 * b).backward();
  const torch::Tensor wanted = precise.grad(), got = single.grad().to(torch::kFloat64);
  EXPECT_LT((got - wanted).abs().max().item<double>(), 1e-4 * wanted.abs().max().item<double>());
  const torch::Tensor nothing = torch::full_like(labels, 255);
  torch::Tensor idle = start.clone().requires_grad_();
  const torch::Tensor none = LovaszSoftmax(idle, nothing);
  EXPECT_EQ(none.item<double>(), 0);
  none.backward();
  EXPECT_EQ(idle.grad().abs().max().item<double>(), 0);
}

TEST(Losses, HeadsCountWithTheirWeight) {
  Graph graph;
  graph.outputs.push_back({.name = "scores"});
  graph.outputs.push_back({.name = "aux8", .role = OutputRole::kAuxiliary});
  const torch::Tensor a = RandomScores({1, 3, 4, 4}, 1), b = RandomScores({1, 3, 2, 2}, 2),
                      labels = RandomLabels({1, 8, 8}, 3, 3);
  const torch::Tensor ones = torch::ones({3});
  const double wanted =
      CrossEntropy(a, labels, ones).item<double>() + 0.4 * CrossEntropy(b, labels, ones).item<double>();
  EXPECT_NEAR(Loss({}, graph)({{"scores", a}, {"aux8", b}}, labels).item<double>(), wanted, 1e-6);
  EXPECT_FRF_ERROR(Loss({.class_weights = {1, 2}}, graph)({{"scores", a}}, labels),
                   ErrorCode::kInvalidArgument, "2 class weights");
}

// Scores that lack a share of ln(weight) cost what the whole ones cost without adjustment, whatever the loss.
TEST(Losses, LogitAdjustmentTakesTheWeightsOutOfTheScores) {
  Graph graph;
  graph.outputs.push_back({.name = "scores"});
  graph.outputs.push_back({.name = "aux8", .role = OutputRole::kAuxiliary});
  const torch::Tensor a = RandomScores({2, 3, 4, 5}, 1), b = RandomScores({2, 3, 2, 3}, 2),
                      labels = RandomLabels({2, 8, 10}, 3, 3);
  const std::vector<float> weights{0.25f, 0.75f, 2.0f};
  const torch::Tensor offsets = 0.8 * torch::tensor(weights).log().reshape({1, 3, 1, 1});
  for (const LossKind kind : {LossKind::kCrossEntropy, LossKind::kOhem, LossKind::kCrossEntropyLovasz}) {
    SCOPED_TRACE(Name(kind));
    const Loss whole({.kind = kind, .class_weights = weights}, graph),
        adjusted({.kind = kind, .class_weights = weights, .logit_adjustment = 0.8}, graph);
    const double wanted = whole({{"scores", a}, {"aux8", b}}, labels).item<double>();
    EXPECT_NEAR(adjusted({{"scores", a - offsets}, {"aux8", b - offsets}}, labels).item<double>(), wanted,
                1e-5);
    EXPECT_GT(std::abs(adjusted({{"scores", a}, {"aux8", b}}, labels).item<double>() - wanted), 1e-3);
  }
  // Without weights there is nothing to adjust.
  const Loss plain({}, graph), nothing({.logit_adjustment = 0.8}, graph);
  EXPECT_EQ(nothing({{"scores", a}}, labels).item<double>(), plain({{"scores", a}}, labels).item<double>());
}

TEST(Losses, DivergenceByHand) {
  // One pixel, two classes, probabilities 1/4 and 3/4 where 1/2 and 1/2, or 0 and 1, are wanted.
  const torch::Tensor scores = torch::tensor({0.0f, std::log(3.0f)}).reshape({1, 2, 1, 1}).requires_grad_();
  const torch::Tensor even = torch::full({1, 2, 1, 1}, 0.5),
                      sure = torch::tensor({0.0f, 1.0f}).reshape({1, 2, 1, 1});
  const torch::Tensor ones = torch::ones({2}), weights = torch::tensor({3.0f, 1.0f});
  const auto mean = [](const Divergence& divergence) {
    return (divergence.sum / divergence.weight).item<double>();
  };
  const double evenly = 0.5 * std::log(2.0) + 0.5 * std::log(2.0 / 3);
  EXPECT_NEAR(mean(DivergenceFrom(even, scores, ones)), evenly, 1e-6);
  EXPECT_NEAR(mean(DivergenceFrom(sure, scores, ones)), std::log(4.0 / 3), 1e-6);
  EXPECT_NEAR(mean(DivergenceFrom(at::softmax(scores.detach(), 1), scores, ones)), 0, 1e-7);
  DivergenceFrom(even, scores, ones).sum.backward();  // probabilities less targets
  EXPECT_NEAR(scores.grad()[0][0][0][0].item<double>(), -0.25, 1e-6);
  EXPECT_NEAR(scores.grad()[0][1][0][0].item<double>(), 0.25, 1e-6);
  // Targets of another size are brought to the scores', and a mean does not depend on how many pixels.
  EXPECT_NEAR(mean(DivergenceFrom(even.expand({2, 2, 2, 3}), scores.expand({2, 2, 4, 6}), ones)), evenly,
              1e-6);
  // Weights 3 and 1 make 3/4 and 1/4 of what was even, and 2 of the pixel.
  EXPECT_NEAR(DivergenceFrom(even, scores, weights).sum.item<double>(),
              2 * (0.75 * std::log(3.0) + 0.25 * std::log(1.0 / 3)), 1e-6);
  EXPECT_NEAR(DivergenceFrom(even, scores, weights).weight.item<double>(), 2, 1e-6);
}

// Sure teachers: probabilities of 0 and such as only denormal numbers hold, which CPUs flush to 0 where they
// are told to and torch's threads are not all told.
TEST(Losses, DivergenceFromVerySureTeachersIsFinite) {
  const torch::Tensor scores = RandomScores({1, 4, 1, 1}, 2).expand({1, 4, 8, 16});
  torch::Tensor targets = torch::zeros({1, 4, 8, 16});
  targets.select(1, 0).fill_(1);
  const torch::Tensor weights = torch::tensor({4.0f, 0.5f, 2.0f, 1.0f});
  const auto value = [&] {
    const auto [sum, weight] = DivergenceFrom(targets, scores, weights);
    return (sum / weight).item<double>();
  };
  const double wanted = value();
  EXPECT_NEAR(wanted, -at::log_softmax(scores, 1)[0][0][0][0].item<double>(), 1e-5);
  for (const bool flush : {false, true}) {
    at::globalContext().setFlushDenormal(flush);
    for (const double small : {1e-37, 3e-39, 1e-40, 1e-44, 1.4e-45}) {
      targets.narrow(1, 1, 3).fill_(small);
      EXPECT_NEAR(value(), wanted, 1e-5) << small;
    }
  }
  at::globalContext().setFlushDenormal(true);  // as ConfigureCpu does
}

// A sure teacher is a label.
TEST(Losses, DivergenceFromLabelsIsCrossEntropy) {
  const torch::Tensor scores = RandomScores({2, 3, 4, 5}, 1),
                      labels = torch::randint(0, 3, {2, 4, 5}, torch::kUInt8),
                      weights = torch::tensor({0.25f, 0.75f, 2.0f});
  const torch::Tensor targets =
      at::one_hot(labels.to(torch::kInt64), 3).permute({0, 3, 1, 2}).to(torch::kFloat32);
  const auto [sum, weight] = DivergenceFrom(targets, scores, weights);
  EXPECT_NEAR((sum / weight).item<double>(), CrossEntropy(scores, labels, weights).item<double>(), 1e-6);
}

TEST(Losses, TeachersShareTheMainOutputsLossWithTheLabels) {
  Graph graph;
  graph.outputs.push_back({.name = "scores"});
  graph.outputs.push_back({.name = "aux8", .role = OutputRole::kAuxiliary});
  const torch::Tensor a = RandomScores({2, 3, 4, 5}, 1), b = RandomScores({2, 3, 2, 3}, 2),
                      labels = RandomLabels({2, 8, 10}, 3, 3),
                      targets = at::softmax(RandomScores({2, 3, 4, 5}, 4), 1);
  const LossSpec spec{.kind = LossKind::kCrossEntropyLovasz,
                      .class_weights = {0.25f, 0.75f, 2.0f},
                      .logit_adjustment = 0.8,
                      .distillation = 0.3};
  const Loss loss(spec, graph);
  const double main = loss({{"scores", a}}, labels).item<double>(),
               both = loss({{"scores", a}, {"aux8", b}}, labels).item<double>(), taught = [&] {
                 const torch::Tensor weights = torch::tensor(spec.class_weights);
                 const auto [sum, weight] =
                     DivergenceFrom(targets, a + 0.8 * weights.log().reshape({1, 3, 1, 1}), weights);
                 return (sum / weight).item<double>();
               }();
  EXPECT_GT(taught, 0.1);
  EXPECT_NEAR(loss({{"scores", a}, {"aux8", b}}, labels, targets).item<double>(),
              0.7 * main + 0.3 * taught + (both - main), 1e-5);
}

TEST(Losses, JsonKeepsEveryField) {
  const LossSpec spec{.kind = LossKind::kCrossEntropyLovasz,
                      .class_weights = {1, 2},
                      .auxiliary_weight = 0.1,
                      .ohem_threshold = 0.2,
                      .ohem_share = 0.3,
                      .lovasz_weight = 0.5,
                      .logit_adjustment = 0.7,
                      .distillation = 0.9};
  EXPECT_EQ(ToJson(LossSpecFromJson(ToJson(spec), "x")).dump(), ToJson(spec).dump());
  EXPECT_FRF_ERROR(LossKindFromName("dice"), ErrorCode::kUsage, "dice");
}

}  // namespace
}  // namespace frf
