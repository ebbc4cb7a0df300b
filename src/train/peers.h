// SPDX-License-Identifier: Apache-2.0
// The processes of a run as each other's company: who is there, who has left and why, who fell silent. They
// meet in a c10d store; each writes a heartbeat there from a thread of its own.
//
//   Peers peers(world, std::chrono::seconds(300));      // returns when all are there, or names who is not
//   std::string plan = peers.FromRankZero(peers.rank() == 0 ? text : "");
//   try { Collective(); } catch (const std::exception& error) { peers.Explain(error.what()); }
//   peers.Announce(""); peers.Linger();
//
// Subtle: a broken connection says only that some neighbour closed it, which every survivor does in turn. So
// who left says why before it closes anything, and only a rank that neither said so nor beats is called gone.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "base/world.h"

namespace c10d {
class Store;
}

namespace frf {

class Peers {
 public:
  Peers(const World& world, std::chrono::milliseconds timeout);
  ~Peers();
  Peers(const Peers&) = delete;
  Peers& operator=(const Peers&) = delete;

  const World& world() const;
  std::chrono::milliseconds timeout() const;
  bool lost() const;  // an error was thrown that names another rank

  // For a process group; valid while this lives.
  c10d::Store& store();

  // Text that rank 0 gives to all; waits as long as rank 0 lives.
  std::string FromRankZero(const std::string& text);

  // Seen by the others where a run hangs.
  void SetStep(std::int64_t step);

  // After a collective failed with `what`: throws kInterrupted naming the rank that stopped, is gone, or is
  // behind.
  [[noreturn]] void Explain(const std::string& what);

  // Tells the others that this process ends: well (empty), or why not. Never throws.
  void Announce(const std::string& error) noexcept;
  // Where the store is here: stays until the others have read why, a few seconds at most. Never throws.
  void Linger() noexcept;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace frf
