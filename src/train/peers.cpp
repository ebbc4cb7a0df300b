// SPDX-License-Identifier: Apache-2.0
// Keys in the store: here/R, beat/R ("count step", from the heart's thread and its own connection, since a
// connection serves one call at a time), left/R ("" or a message; "lost " before it where it is about
// another), text/N. Subtle: only keys that exist are asked for, because a store's get() waits for those that
// do not.
#include "train/peers.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <torch/torch.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <map>
#include <mutex>
#include <optional>
#include <thread>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>
#include <vector>

#include "frf/error.h"

namespace frf {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr auto kPoll = milliseconds(50);
constexpr int kSilentBeats = 5;  // without this many a rank counts as gone
constexpr auto kLinger = std::chrono::seconds(15);
constexpr const char* kLost = "lost ";  // before a reason that is another rank's loss

std::string FirstLine(const std::string& text) { return text.substr(0, text.find('\n')); }

std::string Seconds(milliseconds time) {
  return fmt::format("{:g} s", static_cast<double>(time.count()) / 1000);
}

}  // namespace

struct Peers::Impl {
  World world;
  milliseconds timeout, period;
  c10::intrusive_ptr<c10d::Store> store, heart_store;
  std::int64_t texts = 0;
  std::atomic<std::int64_t> step{0};
  bool lost = false, announced = false;
  std::vector<int> gone;  // known not to come back

  std::mutex mutex;
  std::condition_variable wake;
  bool stop = false;
  std::thread heart;

  Impl(const World& where, milliseconds patience)
      : world(where),
        timeout(patience),
        period(std::clamp(patience / 20, milliseconds(50), milliseconds(1000))) {}

  std::string Name(int rank) const { return fmt::format("rank {} of {}", rank, world.size); }
  std::string Place() const { return fmt::format("{}:{}", world.address, world.port); }

  c10::intrusive_ptr<c10d::Store> Connect(bool serve) const {
    c10d::TCPStoreOptions options;
    options.port = static_cast<std::uint16_t>(world.port);
    options.isServer = serve;
    options.waitWorkers = false;
    options.timeout = std::chrono::ceil<std::chrono::seconds>(timeout);  // it counts in whole ones
    try {
      auto tcp = c10::make_intrusive<c10d::TCPStore>(world.address, options);
      return c10::make_intrusive<c10d::PrefixStore>(fmt::format("frf/{}", world.attempt), tcp);
    } catch (const std::exception& error) {
      if (serve) {
        throw Error(
            ErrorCode::kIo,
            fmt::format("{}: the ranks cannot meet at {}: {}; on all ranks MASTER_ADDR is to name this "
                        "machine, and MASTER_PORT a port that is free here",
                        Name(world.rank), Place(), FirstLine(error.what())));
      }
      throw Error(
          ErrorCode::kIo,
          fmt::format("{}: nobody listens at {} (MASTER_ADDR, MASTER_PORT) after {}; does rank 0 run there?",
                      Name(world.rank), Place(), Seconds(timeout)));
    }
  }

  bool Has(const std::string& key) { return store->check({key}); }
  std::string Get(const std::string& key) {
    const auto bytes = store->get(key);
    return {bytes.begin(), bytes.end()};
  }
  std::optional<std::string> Find(const std::string& key) {
    return Has(key) ? std::optional(Get(key)) : std::nullopt;
  }
  static void Set(c10d::Store& where, const std::string& key, const std::string& value) {
    where.set(key, std::vector<std::uint8_t>(value.begin(), value.end()));
  }
  static std::string Key(const char* kind, std::int64_t number) { return fmt::format("{}/{}", kind, number); }

  void Meet() {
    Set(*store, Key("here", world.rank), "");
    const auto end = Clock::now() + timeout;
    for (;;) {
      std::vector<int> missing;
      for (int rank = 0; rank < world.size; ++rank) {
        if (!Has(Key("here", rank))) missing.push_back(rank);
      }
      if (missing.empty()) return;
      if (Clock::now() > end) {
        throw Error(
            ErrorCode::kInterrupted,
            fmt::format(
                "rank {} of {} did not come within {} to {}; were all started, with the same address?",
                fmt::join(missing, ", "), world.size, Seconds(timeout), Place()));
      }
      std::this_thread::sleep_for(kPoll);
    }
  }

  void Beat() {
    for (std::int64_t count = 0;; ++count) {
      try {
        Set(*heart_store, Key("beat", world.rank), fmt::format("{} {}", count, step.load()));
      } catch (const std::exception&) {
        return;  // the store is gone; whoever waits on a collective will find out
      }
      std::unique_lock lock(mutex);
      if (wake.wait_for(lock, period, [&] { return stop; })) return;
    }
  }

  void StopHeart() {
    {
      const std::lock_guard lock(mutex);
      stop = true;
    }
    wake.notify_all();
    if (heart.joinable()) heart.join();
  }

  [[noreturn]] void Fail(const std::string& message) {
    lost = true;
    throw Error(ErrorCode::kInterrupted, message);
  }

  [[noreturn]] void FailGone(const std::string& ranks) {
    Fail(
        fmt::format("rank {} of {} is gone: it was killed, or its machine or network failed; start all ranks "
                    "again with --resume, last.ckpt is good",
                    ranks, world.size));
  }

  // Throws where a rank said that it stops for a reason of its own; returns what it said of another's loss.
  std::string ReadFarewells(std::vector<bool>& left) {
    std::string hearsay;
    for (int rank = 0; rank < world.size; ++rank) {
      const auto reason = rank == world.rank ? std::nullopt : Find(Key("left", rank));
      if (!reason) continue;
      left[static_cast<std::size_t>(rank)] = true;
      if (reason->starts_with(kLost)) {
        hearsay = reason->substr(std::string(kLost).size());
      } else {
        Fail(fmt::format("{} stopped: {}", Name(rank), reason->empty() ? "it was done" : *reason));
      }
    }
    return hearsay;
  }

  std::map<int, std::string> Beats() {
    std::map<int, std::string> beats;
    for (int rank = 0; rank < world.size; ++rank) {
      if (auto beat = Find(Key("beat", rank))) beats[rank] = *beat;
    }
    return beats;
  }

  [[noreturn]] void Diagnose(const std::string& what) {
    std::vector<bool> left(static_cast<std::size_t>(world.size)), alive(left);
    alive[static_cast<std::size_t>(world.rank)] = true;
    std::string hearsay = ReadFarewells(left);
    const auto before = Beats();
    auto now = before;
    const auto end = Clock::now() + kSilentBeats * period;
    while (Clock::now() < end) {
      std::this_thread::sleep_for(std::min(period, milliseconds(200)));
      hearsay = ReadFarewells(left);
      now = Beats();
      for (const auto& [rank, beat] : now) {
        const auto old = before.find(rank);
        if (old == before.end() || old->second != beat) alive[static_cast<std::size_t>(rank)] = true;
      }
    }
    for (int rank = 0; rank < world.size; ++rank) {
      const auto at = static_cast<std::size_t>(rank);
      if (!alive[at] && !left[at]) gone.push_back(rank);
    }
    if (!gone.empty()) FailGone(fmt::format("{}", fmt::join(gone, ", ")));
    if (!hearsay.empty()) Fail(hearsay);
    std::vector<std::string> steps;
    for (const auto& [rank, beat] : now) {
      steps.push_back(fmt::format("{} at step {}", rank, beat.substr(beat.find(' ') + 1)));
    }
    Fail(fmt::format(
        "{}: the ranks did not hear each other within {} though all are alive (rank {}); a longer "
        "--dist-timeout, or look at the network: {}",
        Name(world.rank), Seconds(timeout), fmt::join(steps, ", "), FirstLine(what)));
  }

  // Rank 0 kept the store, or the launcher did.
  [[noreturn]] void FailStore() {
    if (!world.agent_store && world.rank != 0) FailGone("0");
    Fail(
        fmt::format("{}: the ranks' common store at {} does not answer any more; start all ranks again with "
                    "--resume, last.ckpt is good",
                    Name(world.rank), Place()));
  }

  std::string WaitForText(const std::string& key) {
    std::string beat;
    auto moved = Clock::now();
    std::vector<bool> left(static_cast<std::size_t>(world.size));
    while (!Has(key)) {
      const std::string hearsay = ReadFarewells(left);
      if (!hearsay.empty()) Fail(hearsay);
      const std::string seen = Find(Key("beat", 0)).value_or("");
      if (seen != beat) moved = Clock::now();
      beat = seen;
      if (Clock::now() - moved > timeout) FailGone("0");
      std::this_thread::sleep_for(kPoll);
    }
    return Get(key);
  }

  // Until the others have left or fallen silent.
  void WaitForOthers() {
    auto beats = Beats();
    const auto end = Clock::now() + kLinger;
    auto moved = Clock::now();
    while (Clock::now() < end && Clock::now() - moved < kSilentBeats * period) {
      bool all = true;
      for (int rank = 1; rank < world.size; ++rank) {
        all = all && (std::find(gone.begin(), gone.end(), rank) != gone.end() || Has(Key("left", rank)));
      }
      if (all) break;
      auto seen = Beats();
      if (seen != beats) moved = Clock::now();
      beats = std::move(seen);
      std::this_thread::sleep_for(kPoll);
    }
  }
};

Peers::Peers(const World& world, milliseconds timeout) : impl_(std::make_unique<Impl>(world, timeout)) {
  const bool serve = world.rank == 0 && !world.agent_store;
  impl_->store = impl_->Connect(serve);
  impl_->heart_store = impl_->Connect(false);
  try {
    impl_->Meet();
  } catch (const Error&) {
    throw;
  } catch (const std::exception&) {
    impl_->FailStore();
  }
  impl_->heart = std::thread([impl = impl_.get()] { impl->Beat(); });
}

Peers::~Peers() { impl_->StopHeart(); }

const World& Peers::world() const { return impl_->world; }
milliseconds Peers::timeout() const { return impl_->timeout; }
bool Peers::lost() const { return impl_->lost; }
c10d::Store& Peers::store() { return *impl_->store; }
void Peers::SetStep(std::int64_t step) { impl_->step = step; }

std::string Peers::FromRankZero(const std::string& text) {
  const std::string key = Impl::Key("text", impl_->texts++);
  try {
    if (impl_->world.rank != 0) return impl_->WaitForText(key);
    Impl::Set(*impl_->store, key, text);
    return text;
  } catch (const Error&) {
    throw;
  } catch (const std::exception&) {
    impl_->FailStore();
  }
}

void Peers::Explain(const std::string& what) {
  try {
    impl_->Diagnose(what);
  } catch (const Error&) {
    throw;
  } catch (const std::exception&) {
    impl_->FailStore();
  }
}

void Peers::Announce(const std::string& error) noexcept {
  try {
    if (std::exchange(impl_->announced, true)) return;
    Impl::Set(*impl_->store, Impl::Key("left", impl_->world.rank),
              (impl_->lost ? kLost : "") + FirstLine(error));
  } catch (const std::exception&) {  // without a store nobody reads it
  }
}

void Peers::Linger() noexcept {
  try {
    if (impl_->world.rank == 0 && !impl_->world.agent_store) impl_->WaitForOthers();
  } catch (const std::exception&) {
  }
}

}  // namespace frf
