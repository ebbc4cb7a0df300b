// SPDX-License-Identifier: Apache-2.0
#include "base/world.h"

#include <fmt/format.h>

#include <charconv>
#include <cstdlib>
#include <optional>

#include "frf/error.h"

namespace frf {
namespace {

class Reader {
 public:
  Reader(const Environment& get, const char* off) : get_(get), off_(off) {}

  // Empty counts as not set: job files often pass variables on that have no value.
  std::optional<std::string> Text(const char* name) const {
    const char* value = get_(name);
    if (value == nullptr || *value == '\0') return std::nullopt;
    return value;
  }

  std::string Wanted(const char* name, const std::string& because) const {
    if (auto text = Text(name)) return *text;
    throw Error(ErrorCode::kUsage, fmt::format("{} is not set, but {}; {}", name, because, off_));
  }

  int Number(const char* name, const std::string& text, int least, int most) const {
    int value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() || value < least || value > most) {
      throw Error(ErrorCode::kUsage,
                  fmt::format("{}={}: a number from {} to {} is wanted; {}", name, text, least, most, off_));
    }
    return value;
  }

  int Number(const char* name, int least, int most, int otherwise) const {
    const auto text = Text(name);
    return text ? Number(name, *text, least, most) : otherwise;
  }

 private:
  const Environment& get_;
  const char* off_;
};

constexpr int kMostRanks = 65536;

World FromTorchrun(const Reader& read) {
  const auto because = [&](const char* name) { return fmt::format("{} is", name); };
  const char* seen = read.Text("RANK") ? "RANK" : read.Text("WORLD_SIZE") ? "WORLD_SIZE" : "MASTER_ADDR";
  World world{.launcher = "RANK and WORLD_SIZE"};
  world.size = read.Number("WORLD_SIZE", read.Wanted("WORLD_SIZE", because(seen)), 1, kMostRanks);
  world.rank = read.Number("RANK", read.Wanted("RANK", because(seen)), 0, world.size - 1);
  world.local_size = read.Number("LOCAL_WORLD_SIZE", 1, world.size, 1);
  world.local_rank = read.Number("LOCAL_RANK", 0, kMostRanks, 0);
  if (world.size > 1) world.address = read.Wanted("MASTER_ADDR", fmt::format("WORLD_SIZE={} is", world.size));
  if (const auto address = read.Text("MASTER_ADDR")) world.address = *address;
  world.agent_store = read.Text("TORCHELASTIC_USE_AGENT_STORE") == "True";
  world.attempt = read.Number("TORCHELASTIC_RESTART_COUNT", 0, 1 << 30, 0);
  return world;
}

World FromSlurm(const Reader& read) {
  const std::string because = "SLURM_PROCID is";
  World world{.launcher = "Slurm"};
  // A step (srun) may have fewer tasks than the job.
  const char* count = read.Text("SLURM_STEP_NUM_TASKS") ? "SLURM_STEP_NUM_TASKS" : "SLURM_NTASKS";
  world.size = read.Number(count, read.Wanted(count, because), 1, kMostRanks);
  world.rank = read.Number("SLURM_PROCID", read.Wanted("SLURM_PROCID", because), 0, world.size - 1);
  world.local_rank = read.Number("SLURM_LOCALID", 0, kMostRanks, 0);
  if (const auto address = read.Text("MASTER_ADDR")) {
    world.address = *address;
  } else if (world.size > 1) {
    const char* list = read.Text("SLURM_STEP_NODELIST") ? "SLURM_STEP_NODELIST" : "SLURM_JOB_NODELIST";
    world.address = FirstHost(read.Wanted(list, fmt::format("{}={} is", count, world.size)));
  }
  return world;
}

}  // namespace

std::string FirstHost(const std::string& node_list) {
  const auto fail = [&] {
    throw Error(ErrorCode::kUsage, fmt::format("SLURM_JOB_NODELIST={}: node[001-004,7] or a,b is wanted; "
                                               "or set MASTER_ADDR to the first host",
                                               node_list));
  };
  std::string host;
  bool inside = false, skip = false;
  for (const char c : node_list) {
    if (c == '[') {
      if (inside) fail();
      inside = true;
    } else if (c == ']') {
      if (!inside) fail();
      inside = skip = false;
    } else if (inside) {
      skip = skip || c == '-' || c == ',';  // the first of a range
      if (!skip) host += c;
    } else if (c == ',') {
      break;
    } else {
      host += c;
    }
  }
  if (inside || host.empty()) fail();
  return host;
}

World WorldFromEnvironment(const Environment& get) {
  const Reader read(get, "--dist off trains in this process alone");
  World world;
  if (read.Text("RANK") || read.Text("WORLD_SIZE")) {
    world = FromTorchrun(read);
  } else if (read.Text("SLURM_PROCID")) {
    world = FromSlurm(read);
  } else if (read.Text("MASTER_ADDR")) {
    world = FromTorchrun(read);  // says what is missing
  }
  world.port = read.Number("MASTER_PORT", 1, 65535, kDefaultMasterPort);
  return world;
}

World WorldFromEnvironment() {
  return WorldFromEnvironment([](const char* name) -> const char* { return std::getenv(name); });
}

}  // namespace frf
