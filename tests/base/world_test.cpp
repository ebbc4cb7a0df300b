// SPDX-License-Identifier: Apache-2.0
// What launchers put into the environment: torchrun, Kubeflow, Slurm; and what is half set.
#include "base/world.h"

#include <map>

#include "support/support.h"

namespace frf {
namespace {

World From(const std::map<std::string, std::string>& variables) {
  return WorldFromEnvironment([&](const char* name) -> const char* {
    const auto found = variables.find(name);
    return found == variables.end() ? nullptr : found->second.c_str();
  });
}

TEST(World, NothingSetIsOneProcess) {
  const World world = From({});
  EXPECT_EQ(world.size, 1);
  EXPECT_EQ(world.rank, 0);
  EXPECT_EQ(From({{"RANK", ""}, {"WORLD_SIZE", ""}}).size, 1);  // passed on without a value
}

TEST(World, Torchrun) {
  const World world = From({{"RANK", "5"},
                            {"WORLD_SIZE", "8"},
                            {"LOCAL_RANK", "1"},
                            {"LOCAL_WORLD_SIZE", "4"},
                            {"MASTER_ADDR", "10.0.0.7"},
                            {"MASTER_PORT", "2345"},
                            {"TORCHELASTIC_USE_AGENT_STORE", "True"},
                            {"TORCHELASTIC_RESTART_COUNT", "2"}});
  EXPECT_EQ(world.rank, 5);
  EXPECT_EQ(world.size, 8);
  EXPECT_EQ(world.local_rank, 1);
  EXPECT_EQ(world.local_size, 4);
  EXPECT_EQ(world.address, "10.0.0.7");
  EXPECT_EQ(world.port, 2345);
  EXPECT_TRUE(world.agent_store);
  EXPECT_EQ(world.attempt, 2);
}

TEST(World, Kubeflow) {
  const World world =
      From({{"RANK", "1"}, {"WORLD_SIZE", "3"}, {"MASTER_ADDR", "job-master-0"}, {"MASTER_PORT", "23456"}});
  EXPECT_EQ(world.rank, 1);
  EXPECT_EQ(world.local_rank, 0);
  EXPECT_EQ(world.local_size, 1);
  EXPECT_EQ(world.address, "job-master-0");
  EXPECT_FALSE(world.agent_store);
}

TEST(World, Slurm) {
  std::map<std::string, std::string> slurm{{"SLURM_PROCID", "3"},
                                           {"SLURM_NTASKS", "4"},
                                           {"SLURM_LOCALID", "1"},
                                           {"SLURM_JOB_NODELIST", "node[003-004,9],gpu1"}};
  World world = From(slurm);
  EXPECT_EQ(world.rank, 3);
  EXPECT_EQ(world.size, 4);
  EXPECT_EQ(world.local_rank, 1);
  EXPECT_EQ(world.address, "node003");
  EXPECT_EQ(world.port, kDefaultMasterPort);
  slurm["MASTER_ADDR"] = "10.1.1.1";  // as job files often set
  slurm["MASTER_PORT"] = "4000";
  world = From(slurm);
  EXPECT_EQ(world.address, "10.1.1.1");
  EXPECT_EQ(world.port, 4000);
  slurm["SLURM_STEP_NUM_TASKS"] = "1";  // a step smaller than the job
  slurm["SLURM_PROCID"] = "0";
  EXPECT_EQ(From(slurm).size, 1);
}

TEST(World, FirstHostOfSlurmsShortForm) {
  EXPECT_EQ(FirstHost("alone"), "alone");
  EXPECT_EQ(FirstHost("a,b"), "a");
  EXPECT_EQ(FirstHost("n[1-4]"), "n1");
  EXPECT_EQ(FirstHost("n[07,09-12],z"), "n07");
  EXPECT_EQ(FirstHost("rack[2-3]-n[05-08].cluster"), "rack2-n05.cluster");
  for (const char* wrong : {"", "n[1-2", "n]1", "n[[1]]", ",b"})
    EXPECT_FRF_ERROR(FirstHost(wrong), ErrorCode::kUsage, "MASTER_ADDR");
}

TEST(World, WhatIsHalfSetIsNamed) {
  EXPECT_FRF_ERROR(From({{"RANK", "0"}}), ErrorCode::kUsage, "WORLD_SIZE is not set");
  EXPECT_FRF_ERROR(From({{"WORLD_SIZE", "2"}}), ErrorCode::kUsage, "RANK is not set");
  EXPECT_FRF_ERROR(From({{"MASTER_ADDR", "a"}}), ErrorCode::kUsage, "WORLD_SIZE is not set");
  EXPECT_FRF_ERROR(From({{"RANK", "0"}, {"WORLD_SIZE", "2"}}), ErrorCode::kUsage, "MASTER_ADDR is not set");
  EXPECT_FRF_ERROR(From({{"RANK", "2"}, {"WORLD_SIZE", "2"}, {"MASTER_ADDR", "a"}}), ErrorCode::kUsage,
                   "RANK=2");
  EXPECT_FRF_ERROR(From({{"RANK", "x"}, {"WORLD_SIZE", "2"}, {"MASTER_ADDR", "a"}}), ErrorCode::kUsage,
                   "RANK=x");
  EXPECT_FRF_ERROR(From({{"RANK", "0"}, {"WORLD_SIZE", "1"}, {"MASTER_PORT", "70000"}}), ErrorCode::kUsage,
                   "MASTER_PORT=70000");
  EXPECT_FRF_ERROR(From({{"SLURM_PROCID", "0"}}), ErrorCode::kUsage, "SLURM_NTASKS is not set");
  EXPECT_FRF_ERROR(From({{"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "2"}}), ErrorCode::kUsage,
                   "SLURM_JOB_NODELIST is not set");
  EXPECT_FRF_ERROR(From({{"RANK", "0"}, {"WORLD_SIZE", "x"}}), ErrorCode::kUsage, "--dist off");
}

}  // namespace
}  // namespace frf
