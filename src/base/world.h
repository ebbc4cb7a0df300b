// SPDX-License-Identifier: Apache-2.0
// Which process this is of how many, read from what a launcher put into the environment: torchrun and
// Kubeflow's PyTorchJob (RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT, LOCAL_RANK), or Slurm's srun
// (SLURM_PROCID, SLURM_NTASKS, SLURM_LOCALID, SLURM_JOB_NODELIST).
//
//   World world = WorldFromEnvironment();     // size 1 where nothing is set
//
// Subtle: torchrun may keep the processes' common store itself (TORCHELASTIC_USE_AGENT_STORE); then rank 0 is
// a client of it as everyone, and keys of an earlier attempt may still lie there.
#pragma once

#include <functional>
#include <string>

namespace frf {

constexpr int kDefaultMasterPort = 29500;

struct World {
  int rank = 0, size = 1;              // this process, of so many
  int local_rank = 0, local_size = 1;  // on this machine
  std::string address;                 // where rank 0 runs
  int port = kDefaultMasterPort;
  bool agent_store = false;  // the launcher listens there, not rank 0
  int attempt = 0;           // torchrun's restarts
  std::string launcher;      // for messages: "torchrun's variables", "Slurm"
};

// A variable's text, or null.
using Environment = std::function<const char*(const char*)>;

// Throws kUsage naming the variable that is missing or out of range.
World WorldFromEnvironment();
World WorldFromEnvironment(const Environment& get);

// The first host of Slurm's short form: "node[003-005,9],gpu1" -> "node003". Throws kUsage.
std::string FirstHost(const std::string& node_list);

}  // namespace frf
