// SPDX-License-Identifier: Apache-2.0
// Runs of frf-train over two processes: they end as one with the whole batch does, torchrun starts them, and
// the loss of one stops the other, which says whom it lost; both go on from the checkpoint to the same bits.
#include <cmath>
#include <cstring>

#include "base/checkpoint.h"
#include "base/files.h"
#include "base/json.h"
#include "data/trees.h"
#include "train/distributed_support.h"

namespace frf {
namespace {

using test::Rank;

constexpr double kPatience = 60;  // seconds for anything, on a busy machine

using Words = std::vector<std::string>;

Words operator+(Words left, const Words& right) {
  left.insert(left.end(), right.begin(), right.end());
  return left;
}

// Drawn scenes, auxiliary heads, dropout, averages, batch norm re-estimated at the end.
Words NewRun(const std::string& run, int epochs) {
  return {"train",
          "-o",
          run,
          "--data",
          "synth:8",
          "--scene-size",
          "64x96",
          "--net",
          "frfnet-slim",
          "--crop",
          "64x96",
          "--batch",
          "4",
          "--recipe",
          "best",
          "--set",
          "batch_norm_batches=1",
          "--set",
          R"(phases=[{"name":"all","epochs":)" + std::to_string(epochs) + "}]"};
}
const Words kHow{"--device", "cpu", "--json", "--dist-timeout", "20"};

std::string HashOf(const std::string& out) { return Json::parse(out).at("weights_hash"); }

struct Pair {
  int port = test::FreePort();
  Rank zero, one;
  Pair(const Words& words, const Words& environment = {})
      : zero(words, test::RankEnvironment(0, 2, port) + environment),
        one(words, test::RankEnvironment(1, 2, port) + environment) {}
};

std::vector<float> Floats(const Checkpoint& checkpoint, const std::string& prefix) {
  std::vector<float> all;
  for (const CheckpointTensor& tensor : checkpoint.tensors()) {
    if (!tensor.name.starts_with(prefix) || tensor.dtype != "float32") continue;
    const std::size_t old = all.size();
    all.resize(old + tensor.bytes / sizeof(float));
    std::memcpy(&all[old], tensor.data, tensor.bytes);
  }
  return all;
}

// |seen - wanted| / |wanted|, Euclidean.
double Distance(const std::vector<float>& seen, const std::vector<float>& wanted) {
  EXPECT_EQ(seen.size(), wanted.size());
  double difference = 0, length = 0;
  for (std::size_t i = 0; i < std::min(seen.size(), wanted.size()); ++i) {
    const double s = seen[i], w = wanted[i];
    difference += (s - w) * (s - w);
    length += w * w;
  }
  return std::sqrt(difference / length);
}

// distributed_test.cpp shows in double precision that gradients and steps agree. In float32 sums in another
// order differ by 1e-7, and batch norm over few pixels, ReLU and max pooling make of that some 1e-3 of a
// newly drawn network's gradient, which grows tenfold with every step of the usual length, between one
// process's own kernels too. So steps are short here, by SGD (Adam's are as long for gradients that are
// nothing but rounding), and FFM's thresholds, where one pixel counts or does not, are off. And the seed is
// one where no pool of the stem changes its mind: others have up to 5e-2 in the first convolution's gradient.
// Measured: weights and running statistics 8e-7, gradients 2e-3; gradients averaged instead of summed, or
// batch norm over half the batch, would show as some 0.5 of a gradient.
//
// `gradients`: one process's, after those of two were compared with them.
void CompareWithOne(const Words& more, double limit, std::vector<float>& gradients) {
  test::TempFolder folder;
  const Words words =
      Words{"--no-val", "--set", "optimizer.kind=sgd", "--lr", "1e-6", "--net-options", "ffm=masks-off",
            "--seed",   "4"} +
      more;
  const Words plain{"FRF_TRAIN_KERNELS=plain"};
  Rank alone(NewRun(folder / "one", 2) + words + kHow + Words{"--threads", "1"}, plain);
  ASSERT_EQ(alone.Wait(kPatience), 0) << alone.err();
  Pair two(NewRun(folder / "two", 2) + words + kHow, plain);
  ASSERT_EQ(two.zero.Wait(kPatience), 0) << two.zero.err();
  ASSERT_EQ(two.one.Wait(kPatience), 0) << two.one.err();
  EXPECT_EQ(two.one.out() + two.one.err(), "");  // rank 0 tells
  const Checkpoint wanted = Checkpoint::Load(folder / "one/last.ckpt"),
                   seen = Checkpoint::Load(folder / "two/last.ckpt");
  EXPECT_EQ(seen.meta().at("state").at("step"), 4);
  gradients = Floats(wanted, "optimizer/");  // momentum: a sum of all
  EXPECT_LT(Distance(Floats(seen, "model/"), Floats(wanted, "model/")), 1e-5);
  EXPECT_LT(Distance(Floats(seen, "optimizer/"), gradients), limit);
}

TEST(DistributedRun, TwoProcessesEndAsOneDoes) {
  FRF_SKIP_WITHOUT_GLOO();
  std::vector<float> plain, sharp;
  CompareWithOne({}, 0.03, plain);
  // Both climb the whole batch's loss. A short way, since what differs on the way up grows too: gradients
  // differ by 8e-3, by 9e-2 from those of steps that do not climb.
  CompareWithOne({"--set", "sharpness=1e-4"}, 0.06, sharp);
  EXPECT_GT(Distance(sharp, plain), 0.06);
}

// Rank 0 reads the teacher, the others get it from there: two processes end as one, and go on without its
// file.
TEST(DistributedRun, ATeacherIsRankZeros) {
  FRF_SKIP_WITHOUT_GLOO();
  test::TempFolder folder;
  const Words plain{"FRF_TRAIN_KERNELS=plain"};
  const Words words{"--no-val",      "--set",  "optimizer.kind=sgd",
                    "--lr",          "1e-6",   "--net-options",
                    "ffm=masks-off", "--seed", "4"};
  const std::string teacher = folder / "teacher";
  Rank first(NewRun(teacher, 1) + Words{"--no-val", "--seed", "1"} + kHow, plain);
  ASSERT_EQ(first.Wait(kPatience), 0) << first.err();
  const Words taught = words + Words{"--teacher", teacher};
  Rank alone(NewRun(folder / "one", 2) + taught + kHow + Words{"--threads", "1"}, plain);
  ASSERT_EQ(alone.Wait(kPatience), 0) << alone.err();
  Rank untaught(NewRun(folder / "other", 2) + words + kHow + Words{"--threads", "1"}, plain);
  ASSERT_EQ(untaught.Wait(kPatience), 0) << untaught.err();
  {
    Pair two(NewRun(folder / "two", 2) + taught + kHow + Words{"--stop-after", "2"}, plain);
    ASSERT_EQ(two.zero.Wait(kPatience), 1) << two.zero.err();
    ASSERT_EQ(two.one.Wait(kPatience), 1) << two.one.err();
  }
  std::filesystem::remove_all(teacher);
  Pair two(Words{"train", "-o", folder / "two", "--resume"} + kHow, plain);
  ASSERT_EQ(two.zero.Wait(kPatience), 0) << two.zero.err();
  ASSERT_EQ(two.one.Wait(kPatience), 0) << two.one.err();
  const Checkpoint wanted = Checkpoint::Load(folder / "one/last.ckpt"),
                   seen = Checkpoint::Load(folder / "two/last.ckpt"),
                   other = Checkpoint::Load(folder / "other/last.ckpt");
  const std::vector<float> gradients = Floats(wanted, "optimizer/");  // momentum: a sum of all gradients
  EXPECT_LT(Distance(Floats(seen, "optimizer/"), gradients), 0.03);
  EXPECT_GT(Distance(Floats(other, "optimizer/"), gradients), 0.1);  // the teacher was heard
}

TEST(DistributedRun, TorchrunStartsIt) {
  FRF_SKIP_WITHOUT_GLOO();
  const std::string torchrun = "/usr/bin/torchrun";
  if (!std::filesystem::exists(torchrun)) GTEST_SKIP() << torchrun << " is not here (Debian: python3-torch)";
  test::TempFolder folder;
  // Debian 12's torchrun fails under its Python 3.11 unless it is told which output to redirect.
  Words words{"--no_python", "--nproc_per_node", "2", "-r", "1:1", "-t", "1:1"};
  words = words + Words{"--log_dir", folder / "logs", "--master_addr", "127.0.0.1"};
  words = words + Words{"--master_port", std::to_string(test::FreePort()), FRF_BINARY_DIR "/bin/frf"};
  words = words + NewRun(folder / "run", 1) + Words{"--init", "frfnet-slim-synth"} + kHow;
  const test::Finished done = test::RunProgram(torchrun, words, "OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive");
  ASSERT_EQ(done.code, 0) << done.err;
  EXPECT_EQ(HashOf(done.out).size(), 16u);  // one result, though two processes ran
  EXPECT_NE(ReadFile(folder / "run/log.jsonl").find("2 processes, gloo"), std::string::npos);
  EXPECT_TRUE(std::filesystem::exists(folder / "run/report.html"));
}

// frf converts what --init names for rank 0; another rank, here one that meets nobody, writes nothing.
TEST(DistributedRun, TheFirstAloneConvertsFiles) {
  FRF_SKIP_WITHOUT_GLOO();
  test::TempFolder folder;
  const Words words = NewRun(folder / "run", 1) + Words{"--init", "frfnet-slim-synth", "--dist-timeout", "1"};
  const std::string port = std::to_string(test::FreePort());
  const test::Finished done = test::RunProgram(
      FRF_BINARY_DIR "/bin/frf", words, "RANK=1 WORLD_SIZE=2 MASTER_ADDR=127.0.0.1 MASTER_PORT=" + port);
  EXPECT_EQ(done.code, 1);
  EXPECT_NE(done.err.find("does rank 0 run there?"), std::string::npos) << done.err;
  EXPECT_FALSE(std::filesystem::exists(folder / "run"));
  // What the environment lacks is said before anything is written.
  const test::Finished half = test::RunProgram(FRF_BINARY_DIR "/bin/frf", words, "WORLD_SIZE=2");
  EXPECT_EQ(half.code, 2);
  EXPECT_NE(half.err.find("RANK is not set"), std::string::npos) << half.err;
  EXPECT_FALSE(std::filesystem::exists(folder / "run"));
  // Alone in spite of it.
  const test::Finished off = test::RunProgram(FRF_BINARY_DIR "/bin/frf",
                                              words + Words{"--dist=off", "--no-val"}, "RANK=1 WORLD_SIZE=2");
  EXPECT_EQ(off.code, 0) << off.err;
  EXPECT_TRUE(std::filesystem::exists(folder / "run/init.ckpt"));
}

bool WaitForStep(const std::string& run, std::int64_t step) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(kPatience);
  while (std::chrono::steady_clock::now() < end) {
    const std::string file = run + "/last.ckpt";
    if (std::filesystem::exists(file) &&
        Checkpoint::Load(file).meta().at("state").at("step").get<std::int64_t>() >= step) {
      return true;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return false;
}

TEST(DistributedRun, ALostProcessIsNamedAndBothGoOn) {
  FRF_SKIP_WITHOUT_GLOO();
  test::TempFolder folder;
  const int epochs = 5;  // of 2 steps
  Words how = kHow + Words{"--checkpoint-every", "0"};
  how[how.size() - 3] = "8";  // --dist-timeout
  Pair whole(NewRun(folder / "whole", epochs) + how);
  ASSERT_EQ(whole.zero.Wait(kPatience), 0) << whole.zero.err();
  const std::string wanted = HashOf(whole.zero.out());

  const std::string run = folder / "run";
  const Words resume = Words{"train", "-o", run, "--resume"} + how;
  {
    Pair both(NewRun(run, epochs) + how);
    ASSERT_TRUE(WaitForStep(run, 2)) << both.zero.err();
    both.one.Kill(SIGTERM);  // Ctrl-C at one: all save and stop
    EXPECT_EQ(both.zero.Wait(kPatience), 1);
    EXPECT_EQ(both.one.Wait(kPatience), 1);
    EXPECT_NE(both.zero.err().find("saved, go on with --resume"), std::string::npos) << both.zero.err();
    EXPECT_NE(both.one.err().find("saved, go on with --resume"), std::string::npos) << both.one.err();
  }
  for (const int killed : {1, 0}) {
    const std::int64_t step = Checkpoint::Load(run + "/last.ckpt").meta().at("state").at("step");
    Pair both(resume);
    ASSERT_TRUE(WaitForStep(run, step + 2)) << both.zero.err();
    Rank &victim = killed == 0 ? both.zero : both.one, &other = killed == 0 ? both.one : both.zero;
    victim.Kill(SIGKILL);
    const auto start = std::chrono::steady_clock::now();
    EXPECT_EQ(other.Wait(kPatience), 1);
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    EXPECT_LT(seconds, 10) << "the timeout is 8 s, telling who is lost takes a quarter of it";
    EXPECT_NE(other.err().find("rank " + std::to_string(killed) + " of 2 is gone"), std::string::npos)
        << other.err();
  }
  Pair both(resume);
  ASSERT_EQ(both.zero.Wait(kPatience), 0) << both.zero.err();
  EXPECT_EQ(HashOf(both.zero.out()), wanted);
}

TEST(DistributedRun, WrongUseIsSaid) {
  FRF_SKIP_WITHOUT_GLOO();
  test::TempFolder folder;
  Words words = NewRun(folder / "run", 1) + kHow;
  words[12] = "3";  // --batch
  Pair pair(words);
  EXPECT_EQ(pair.zero.Wait(kPatience), 2);
  EXPECT_NE(pair.one.Wait(kPatience), 0);
  EXPECT_NE(pair.zero.err().find("a batch of 3"), std::string::npos) << pair.zero.err();
  EXPECT_NE(pair.zero.err().find("2 processes"), std::string::npos) << pair.zero.err();
  Rank half(NewRun(folder / "half", 1) + kHow, {"WORLD_SIZE=2"});
  EXPECT_EQ(half.Wait(kPatience), 2);
  EXPECT_NE(half.err().find("RANK is not set"), std::string::npos) << half.err();
  // Not the port is wrong, which libtorch finds free, but where it is looked for.
  const int port = test::FreePort();
  Rank far(NewRun(folder / "far", 1) + Words{"--dist-timeout", "1"},
           Words{"MASTER_ADDR=no-such-host.invalid"} + test::RankEnvironment(0, 2, port));
  EXPECT_EQ(far.Wait(kPatience), 1);
  EXPECT_NE(far.err().find("cannot meet at no-such-host.invalid:" + std::to_string(port)), std::string::npos)
      << far.err();
  EXPECT_NE(far.err().find("MASTER_ADDR is to name this machine"), std::string::npos) << far.err();
}

// Images are dealt out by number: a rank whose numbers mean other images would train and score on wrong ones.
TEST(DistributedRun, ARankWithOtherDataIsRefused) {
  FRF_SKIP_WITHOUT_GLOO();
  struct Case {
    const char *removed, *added, *classes, *message;  // in rank 1's copy
  };
  const char* const own = R"({"names": ["shelf", "floor"]})";
  for (const Case& c : {Case{"train/b", "train/z", own, "4 images; rank 0 has as many of other names"},
                        Case{"", "val/w", own, "2 images; rank 0 has 1;"},
                        Case{"", "", R"({"names": ["floor", "shelf"]})", "calls class 0 'floor'"}}) {
    test::TempFolder folder;
    const auto make = [&](const std::string& root, const char* classes, const Words& names) {
      test::PutText(root + "/classes.json", classes);
      for (const std::string& name : names) {
        test::PutImage(root + "/images/" + name + ".png", test::Picture(64, 64));
        test::PutLabels(root + "/masks/" + name + ".png", test::Stripes(64, 64, 2));
      }
    };
    Words names{"train/a", "train/b", "train/c", "train/d", "val/v"};
    make(folder / "zero", own, names);
    std::erase(names, c.removed);
    if (*c.added != '\0') names.push_back(c.added);
    make(folder / "one", c.classes, names);
    Words words = NewRun(folder / "run", 1) + kHow;
    words.erase(words.begin() + 5, words.begin() + 7);  // --scene-size
    const int port = test::FreePort();
    words[4] = "folder:" + (folder / "zero");
    Rank zero(words, test::RankEnvironment(0, 2, port));
    words[4] = "folder:" + (folder / "one");
    Rank one(words, test::RankEnvironment(1, 2, port));
    EXPECT_EQ(one.Wait(kPatience), 2);
    EXPECT_EQ(zero.Wait(kPatience), 1);
    EXPECT_NE(one.err().find(c.message), std::string::npos) << one.err();
    EXPECT_NE(zero.err().find("rank 1 of 2 stopped: "), std::string::npos) << zero.err();
    EXPECT_FALSE(std::filesystem::exists(folder / "run")) << "it would refuse the repaired command";
  }
}

}  // namespace
}  // namespace frf
