// SPDX-License-Identifier: Apache-2.0
// SIGKILL at random wall-clock moments, some inside a save: a run that was killed and resumed ends in the
// same bits as one that was left alone, with 1 and with 4 workers. The long form is scripts/kill_resume.sh.
// The process that is killed is this program itself, started anew for one test (a DISABLED_ one).
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <thread>

#include "base/checkpoint.h"
#include "base/files.h"
#include "base/random.h"
#include "support/support.h"
#include "train/trainer.h"

namespace frf {
namespace {

constexpr int kKills = 6;  // for each number of workers

TrainOptions KilledRun(const std::string& run) {
  TrainOptions options;
  options.train = {.spec = "synth:4", .split = "train", .height = 64, .width = 96};
  options.validation.split = "val";
  options.net = "frfnet-slim";
  options.recipe = LoadRecipe("best");
  options.recipe.batch = 2;
  options.recipe.crop_height = options.recipe.crop_width = 48;
  options.recipe.validate_every = 2;
  options.recipe.batch_norm_batches = 1;
  options.recipe.phases = {{.name = "a", .epochs = 2},
                           {.name = "b", .epochs = 2, .rate_share = 0.5, .loss = "ce+lovasz"}};
  options.run = run;
  options.device = "cpu";
  options.threads = 2;
  options.checkpoint_seconds = 0;  // after every step: many moments lie inside a save
  return options;
}

TEST(KillResume, DISABLED_Child) {
  const char* run = std::getenv("FRF_KILLED_RUN");
  ASSERT_NE(run, nullptr) << "started by KillResume.EndsInTheSameBits only";
  TrainOptions options = KilledRun(run);
  options.workers = std::atoi(std::getenv("FRF_KILLED_WORKERS"));
  options.resume = std::filesystem::exists(std::string(run) + "/config.json");
  WriteFileAtomically(std::string(run) + ".hash", Train(options).weights_hash);
}

pid_t StartChild(const std::string& run, int workers) {
  const std::string run_variable = "FRF_KILLED_RUN=" + run,
                    workers_variable = "FRF_KILLED_WORKERS=" + std::to_string(workers);
  std::vector<std::string> words{"frf_test_train", "--gtest_filter=KillResume.DISABLED_Child",
                                 "--gtest_also_run_disabled_tests"};
  std::vector<char*> argv, envp;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  for (char** entry = environ; *entry != nullptr; ++entry) envp.push_back(*entry);
  envp.push_back(const_cast<char*>(run_variable.c_str()));
  envp.push_back(const_cast<char*>(workers_variable.c_str()));
  envp.push_back(nullptr);
  const pid_t pid = ::fork();
  if (pid == 0) {
    const int null = ::open("/dev/null", O_RDWR);
    ::dup2(null, 1);
    ::dup2(null, 2);
    ::execve("/proc/self/exe", argv.data(), envp.data());
    ::_exit(127);
  }
  return pid;
}

// Kills after `seconds`; false when the child was done before (and then it must have ended well).
bool KillAfter(pid_t pid, double seconds) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  int status = 0;
  while (std::chrono::steady_clock::now() < end) {
    if (::waitpid(pid, &status, WNOHANG) == pid) {
      EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0)
          << "the run failed by itself, status " << status;
      return false;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  ::kill(pid, SIGKILL);
  ::waitpid(pid, &status, 0);
  return true;
}

void CheckCheckpoints(const std::string& run) {
  for (const char* name : {"/last.ckpt", "/best.ckpt"}) {
    if (!std::filesystem::exists(run + name)) continue;
    EXPECT_GT(Checkpoint::Load(run + name).tensors().size(), 100u) << name;
  }
}

TEST(KillResume, EndsInTheSameBits) {
  test::TempFolder folder;
  const auto start = std::chrono::steady_clock::now();
  ASSERT_FALSE(KillAfter(StartChild(folder / "whole", 1), 300));
  const double whole = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  const std::string wanted = ReadFile(folder / "whole.hash");

  Random random(static_cast<std::uint64_t>(std::chrono::system_clock::now().time_since_epoch().count()));
  for (const int workers : {1, 4}) {
    int kills = 0, round = 0;
    while (kills < kKills) {
      const std::string run = folder / ("run" + std::to_string(workers) + "-" + std::to_string(round++));
      while (KillAfter(StartChild(run, workers), kills < kKills ? random.Uniform(0, whole * 0.8) : 300)) {
        ++kills;
        CheckCheckpoints(run);
      }
      EXPECT_EQ(ReadFile(run + ".hash"), wanted) << workers << " workers, " << kills << " kills so far";
      std::filesystem::remove_all(run);
    }
  }
}

}  // namespace
}  // namespace frf
