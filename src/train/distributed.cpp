// SPDX-License-Identifier: Apache-2.0
// Process groups of c10d. Subtle: Gloo takes the network address by which rank 0 is reached, not the one that
// this machine's name stands for, which on Debian is 127.0.1.1.
#include "train/distributed.h"

#include <fmt/format.h>
#include <netdb.h>
#include <sys/socket.h>
#include <torch/version.h>
#include <unistd.h>

#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroup.hpp>
#if defined(USE_C10D_GLOO)
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#endif
#if defined(USE_C10D_NCCL)
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>
#endif

#include <chrono>
#include <cmath>
#include <cstdlib>
#include <thread>

#include "frf/error.h"
#include "train/peers.h"

namespace frf {
namespace {

#if TORCH_VERSION_MAJOR >= 2
using Group = c10d::Backend;
#else
using Group = c10d::ProcessGroup;
#endif
using GroupPointer = c10::intrusive_ptr<Group>;

c10::intrusive_ptr<c10d::Store> StoreOf(Peers& peers, const std::string& prefix) {
  auto store = c10::intrusive_ptr<c10d::Store>::reclaim_copy(&peers.store());
  return c10::make_intrusive<c10d::PrefixStore>(prefix, std::move(store));
}

#if defined(USE_C10D_GLOO)
// The address of this machine on the way to `host`; empty if it cannot be told.
std::string AddressTowards(const std::string& host, int port) {
  addrinfo hints{}, *found = nullptr;
  hints.ai_socktype = SOCK_DGRAM;  // connecting sends nothing
  if (::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found) != 0) return {};
  std::string address;
  for (const addrinfo* entry = found; entry != nullptr && address.empty(); entry = entry->ai_next) {
    const int socket = ::socket(entry->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (socket < 0) continue;
    sockaddr_storage own{};
    socklen_t size = sizeof(own);
    char text[NI_MAXHOST];
    if (::connect(socket, entry->ai_addr, entry->ai_addrlen) == 0 &&
        ::getsockname(socket, reinterpret_cast<sockaddr*>(&own), &size) == 0 &&
        ::getnameinfo(reinterpret_cast<sockaddr*>(&own), size, text, sizeof(text), nullptr, 0,
                      NI_NUMERICHOST) == 0) {
      address = text;
    }
    ::close(socket);
  }
  ::freeaddrinfo(found);
  return address;
}

GroupPointer MakeGloo(Peers& peers, const std::string& name, int threads) {
  using c10d::ProcessGroupGloo;
  const World& world = peers.world();
  auto options = ProcessGroupGloo::Options::create(peers.timeout());
  options->threads = threads;
  const char* interface = std::getenv("GLOO_SOCKET_IFNAME");
  const std::string address = AddressTowards(world.address, world.port);
  options->devices.push_back(interface != nullptr && *interface != '\0'
                                 ? ProcessGroupGloo::createDeviceForInterface(interface)
                             : address.empty() ? ProcessGroupGloo::createDefaultDevice()
                                               : ProcessGroupGloo::createDeviceForHostname(address));
  return c10::make_intrusive<ProcessGroupGloo>(StoreOf(peers, name), world.rank, world.size, options);
}
#else
GroupPointer MakeGloo(Peers&, const std::string&, int) {
  throw Error(ErrorCode::kUnsupported,
              "this frf-train was built without Gloo: build it where libtorch has it and its headers are "
              "installed (Debian: libgloo-dev), or train with --dist off");
}
#endif

#if defined(USE_C10D_NCCL)
GroupPointer MakeNccl(Peers& peers, const std::string& name) {
  auto options = c10d::ProcessGroupNCCL::Options::create();
  options->timeout = peers.timeout();
  return c10::make_intrusive<c10d::ProcessGroupNCCL>(StoreOf(peers, name), peers.world().rank,
                                                     peers.world().size, options);
}
#else
GroupPointer MakeNccl(Peers&, const std::string&) {
  throw Error(ErrorCode::kUnsupported,
              "this frf-train was built without NCCL: build it with a CUDA libtorch and NCCL's headers, or "
              "name --dist gloo");
}
#endif

}  // namespace

struct Distributed::Impl {
  std::unique_ptr<Peers> peers;
  std::string backend;
  torch::Device device = torch::kCPU;  // of the tensors that the groups take
  GroupPointer sums, buckets;          // one and the same with NCCL, which wants one order of all
  c10::intrusive_ptr<c10d::Work> last_sum;

  // Runs a collective and names the culprit where it fails.
  void Guard(const std::function<void()>& collective) {
    try {
      collective();
    } catch (const Error&) {
      throw;
    } catch (const std::exception& error) {
      peers->Explain(error.what());
    }
  }

  // NCCL's wait() makes the GPU wait, not this thread, and a GPU waits forever for a lost peer.
  void WaitHere(c10d::Work& work) const {
    work.wait();
    if (backend != "nccl") return;
    const auto end = std::chrono::steady_clock::now() + peers->timeout();
    while (!work.isCompleted()) {
      if (std::chrono::steady_clock::now() > end) throw std::runtime_error("a sum over the GPUs did not end");
      std::this_thread::sleep_for(std::chrono::microseconds(50));
    }
  }

  // What the groups can take: contiguous, on their device.
  torch::Tensor Staged(const torch::Tensor& tensor) const { return tensor.detach().to(device).contiguous(); }
};

std::unique_ptr<Distributed> Distributed::Join(const World& world, const DistributedOptions& options) {
  const std::string& wanted = options.backend;
  if (wanted != "auto" && wanted != "off" && wanted != "gloo" && wanted != "nccl")
    throw Error(ErrorCode::kUsage, fmt::format("--dist '{}' is none of auto, off, gloo, nccl", wanted));
  if (!(options.timeout_seconds >= 0.1) || options.timeout_seconds > 1e6) {
    throw Error(ErrorCode::kUsage,
                fmt::format("--dist-timeout {}: 0.1 to 1000000 seconds are wanted", options.timeout_seconds));
  }
  if (wanted == "off" || (world.size == 1 && wanted == "auto")) return nullptr;
  const bool cuda = options.device.is_cuda();
  if (wanted == "nccl" && !cuda)
    throw Error(ErrorCode::kUsage, "--dist nccl wants --device cuda; between CPUs it is --dist gloo");
  auto impl = std::make_unique<Impl>();
  impl->backend = wanted == "auto" ? (cuda ? "nccl" : "gloo") : wanted;
  if (impl->backend == "nccl") impl->device = options.device;
  World where = world;
  if (where.address.empty()) where.address = "127.0.0.1";  // a world of one, by --dist gloo or nccl
  impl->peers = std::make_unique<Peers>(
      where, std::chrono::milliseconds(static_cast<std::int64_t>(std::ceil(options.timeout_seconds * 1000))));
  impl->Guard([&] {
    if (impl->backend == "nccl") {
      impl->sums = impl->buckets = MakeNccl(*impl->peers, "nccl");
    } else {
      impl->sums = MakeGloo(*impl->peers, "sums", 1);
      impl->buckets = MakeGloo(*impl->peers, "buckets", 2);
    }
  });
  return std::unique_ptr<Distributed>(new Distributed(std::move(impl)));
}

Distributed::Distributed(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Distributed::~Distributed() { Leave("it ended early"); }

int Distributed::rank() const { return impl_->peers->world().rank; }
int Distributed::size() const { return impl_->peers->world().size; }
std::string Distributed::Describe() const { return fmt::format("{} processes, {}", size(), impl_->backend); }

bool Distributed::lost() const { return impl_->peers->lost(); }

void Distributed::Sum(torch::Tensor& tensor) {
  impl_->Guard([&] {
    std::vector<torch::Tensor> staged{impl_->Staged(tensor)};
    impl_->last_sum = impl_->sums->allreduce(staged);
    impl_->last_sum->wait();
    if (tensor.is_cpu()) impl_->WaitHere(*impl_->last_sum);
    if (staged[0].data_ptr() != tensor.data_ptr()) tensor.detach().copy_(staged[0]);
  });
}

void Distributed::Sum(std::vector<double>& values) {
  torch::Tensor tensor =
      torch::from_blob(values.data(), {static_cast<std::int64_t>(values.size())}, torch::kFloat64);
  Sum(tensor);
}

double Distributed::Sum(double value) {
  std::vector<double> one{value};
  Sum(one);
  return one[0];
}

void Distributed::Broadcast(const std::vector<torch::Tensor>& tensors) {
  const torch::NoGradGuard no_gradients;
  for (const torch::Tensor& tensor : tensors) {
    impl_->Guard([&] {
      std::vector<torch::Tensor> staged{impl_->Staged(tensor)};
      impl_->sums->broadcast(staged)->wait();
      if (staged[0].data_ptr() != tensor.data_ptr()) tensor.detach().copy_(staged[0]);
    });
  }
}

std::string Distributed::Broadcast(const std::string& text) { return impl_->peers->FromRankZero(text); }

std::function<void()> Distributed::StartSum(const torch::Tensor& flat) {
  std::function<void()> finish;
  impl_->Guard([&] {
    std::vector<torch::Tensor> staged{impl_->Staged(flat)};
    auto work = impl_->buckets->allreduce(staged);
    finish = [this, work, staged = staged[0], flat] {
      impl_->Guard([&] { impl_->WaitHere(*work); });
      if (staged.data_ptr() != flat.data_ptr()) flat.detach().copy_(staged);
    };
  });
  return finish;
}

void Distributed::Settle() {
  if (impl_->last_sum) impl_->Guard([&] { impl_->WaitHere(*impl_->last_sum); });
}

void Distributed::SetStep(std::int64_t step) { impl_->peers->SetStep(step); }

void Distributed::Leave(const std::string& error) noexcept {
  if (impl_->peers == nullptr) return;
  impl_->peers->Announce(error);
  impl_->last_sum.reset();
  impl_->sums.reset();  // closes connections: whoever waits for this process wakes up
  impl_->buckets.reset();
  impl_->peers->Linger();
  impl_->peers.reset();
}

}  // namespace frf
