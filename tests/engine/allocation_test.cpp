// SPDX-License-Identifier: Apache-2.0
// Run makes no allocation, and an allocation that fails is an error, not an end. A program of its own: it
// replaces malloc and its kin for everything in the process, the C++ library's operator new and other threads
// included, and counts them.
#include <gtest/gtest.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <functional>
#include <new>

#include "base/files.h"
#include "engine/session.h"
#include "engine/small_model.h"
#include "frf/frf.h"

extern "C" {
void* __libc_malloc(std::size_t);
void* __libc_calloc(std::size_t, std::size_t);
void* __libc_realloc(void*, std::size_t);
void* __libc_memalign(std::size_t, std::size_t);
void __libc_free(void*);
}

namespace {

std::atomic<bool> counting{false};
std::atomic<long> allocations{0}, bytes{0}, largest{0}, kept{0};  // kept: blocks taken less blocks given back
// What runs out are blocks of some size: where not a few bytes are left, libgomp, glibc and nlohmann::json,
// whose destructor allocates, end the process, whatever we do.
constexpr std::size_t kBlock = 4096;
std::atomic<long> blocks{0};
std::atomic<long> left{-1};  // blocks that can still be had; -1: any number

bool Refused(std::size_t size) {
  if (counting.load(std::memory_order_relaxed)) {
    ++allocations;
    blocks += size >= kBlock;
    bytes += static_cast<long>(size);
    if (static_cast<long>(size) > largest) largest = static_cast<long>(size);
  }
  if (size < kBlock || left.load(std::memory_order_relaxed) < 0) return false;
  if (left.fetch_sub(1) > 0) return false;
  left = 0;
  errno = ENOMEM;
  return true;
}

void* Kept(void* block, int sign) {
  if (block != nullptr && counting.load(std::memory_order_relaxed)) kept += sign;
  return block;
}

}  // namespace

extern "C" {
void* malloc(std::size_t size) { return Refused(size) ? nullptr : Kept(__libc_malloc(size), 1); }
void* calloc(std::size_t count, std::size_t size) {
  return Refused(count * size) ? nullptr : Kept(__libc_calloc(count, size), 1);
}
void* realloc(void* old, std::size_t size) {
  if (Refused(size)) return nullptr;
  Kept(old, -1);
  return Kept(__libc_realloc(old, size), 1);
}
void* memalign(std::size_t align, std::size_t size) {
  return Refused(size) ? nullptr : Kept(__libc_memalign(align, size), 1);
}
void* aligned_alloc(std::size_t align, std::size_t size) { return memalign(align, size); }
int posix_memalign(void** out, std::size_t align, std::size_t size) {
  *out = memalign(align, size);
  return *out == nullptr ? ENOMEM : 0;
}
void free(void* block) { __libc_free(Kept(block, -1)); }
}

namespace frf::test {
namespace {

// Number of allocations while `body` runs, on all threads; the report says how large.
template <typename Body>
long Allocations(const Body& body) {
  allocations = blocks = bytes = largest = kept = 0;
  counting = true;
  body();
  counting = false;
  return allocations;
}

#define EXPECT_NO_ALLOCATION(body) \
  EXPECT_EQ(Allocations([&] { body; }), 0) << bytes << " bytes in all, " << largest << " in the largest"

TEST(Allocation, TheCounterCounts) {
  EXPECT_EQ(Allocations([] { ::operator delete(::operator new(100)); }),
            1);  // an expression `new` might be left out
  EXPECT_EQ(bytes, 100);
  EXPECT_EQ(Allocations([] { std::free(std::aligned_alloc(64, 128)); }), 1);
  EXPECT_EQ(
      Allocations([] { ::operator delete (::operator new (8, std::align_val_t{64}), std::align_val_t{64}); }),
      1);
  EXPECT_EQ(Allocations([] {
              volatile int none = 0;
              static_cast<void>(none);
            }),
            0);
}

// Steps without a kernel of our own run on the plain executor, which does allocate; they are named where a
// count is wrong.
std::string PlainSteps(Session& session, int height, int width) {
  std::string names;
  for (const engine::Step& step : session.impl().PlanFor(height, width).steps()) {
    if (step.kernel.starts_with("plain")) names += "\n  " + step.name + ": " + step.kernel;
  }
  return names;
}

class RunOfNet : public ::testing::TestWithParam<std::string> {};

TEST_P(RunOfNet, AllocatesNothingAfterTheFirst) {
  const auto model = std::make_shared<LoadedModel>(MakeModel(GetParam(), {.fit = Fit::kNative}));
  const bool own_kernels_only = GetParam() != "frfnet-danet";  // its attention is not ours yet
  for (const int threads : {1, 2}) {
    Session session(model, {.threads = threads});
    const auto check = [&](const char* what, const auto& body) {
      SCOPED_TRACE(testing::Message() << what << " on " << threads << " threads");
      body();  // libgomp makes a team when the number of threads changes
      Allocations(body);
      EXPECT_EQ(kept, 0) << "blocks left behind";
      if (!own_kernels_only) return;
      EXPECT_EQ(allocations, 0) << bytes << " bytes in all, " << largest << " in the largest";
    };
    for (const auto& [height, width] : {std::pair{48, 64}, {43, 55}}) {
      const Image image = Photo(height, width);
      LabelImage labels{height, width, std::vector<std::uint8_t>(static_cast<std::size_t>(height) * width)};
      const LabelView view = labels.view();
      const std::vector<float> planes(std::size_t{3} * height * width);
      std::vector<float> scores(session.ScoresShape(height, width).count());
      ImageView bgr = image.view();
      bgr.order = PixelOrder::kBgr;
      EXPECT_EQ(PlainSteps(session, height, width).empty(), own_kernels_only)
          << PlainSteps(session, height, width);
      check("RGB", [&] { session.Run(image.view(), view); });
      check("BGR", [&] { session.Run(bgr, view); });
      const std::vector<std::uint8_t> bytes(static_cast<std::size_t>(height) * width * 4, 60);
      const ImageView rgba{bytes.data(), height, width, std::ptrdiff_t{4} * width, PixelOrder::kRgba};
      check("RGBA", [&] { session.Run(rgba, view); });
      check("five runs", [&] {
        for (int i = 0; i < 5; ++i) session.Run(image.view(), view);
      });
      check("scores", [&] { session.Scores(image.view(), scores.data(), scores.size()); });
      check("planes", [&] { session.RunPlanes(planes.data(), height, width, &view, scores.data()); });
    }
    const Image one = Photo(48, 64), two = Photo(43, 55);
    std::vector<std::uint8_t> room(48 * 64);
    check("two sizes in turn", [&] {
      session.Run(one.view(), {room.data(), 48, 64, 64});
      session.Run(two.view(), {room.data(), 43, 55, 55});
    });
  }
}

INSTANTIATE_TEST_SUITE_P(Nets, RunOfNet, ::testing::Values("frfnet", "frfnet-slim", "frfnet-danet"),
                         [](const auto& info) {
                           std::string name = info.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

// Labels of another size than the network's: the same buffers every time, once the size has been seen.
TEST(Allocation, LabelsOfAnotherSizeNeither) {
  Session session(std::make_shared<LoadedModel>(MakeModel("frfnet-slim", {.fit = Fit::kNative})),
                  {.threads = 2});
  const Image image = Photo(64, 96);
  std::vector<std::uint8_t> room(200 * 300);
  const LabelView view{room.data(), 200, 300, 300};
  session.Run(image.view(), view);
  EXPECT_NO_ALLOCATION(session.Run(image.view(), view));
}

TEST(Allocation, TheCApiAddsNone) {
  const std::string file = MakeModelBytes("frfnet-slim", {.fit = Fit::kNative});
  frf_model* model = nullptr;
  frf_session* session = nullptr;
  ASSERT_EQ(frf_model_load_memory(file.data(), file.size(), &model), FRF_OK);
  ASSERT_EQ(frf_session_create(model, nullptr, &session), FRF_OK);
  const Image image = Photo(64, 96);
  std::vector<std::uint8_t> ids(64 * 96);
  std::vector<float> scores(4 * 64 * 96);
  const frf_image in{image.pixels.data(), 64, 96, 3 * 96, FRF_RGB};
  const frf_labels out{ids.data(), 64, 96, 96};
  ASSERT_EQ(frf_session_run(session, &in, &out), FRF_OK);
  frf_status status = FRF_OK;
  EXPECT_NO_ALLOCATION(status = frf_session_run(session, &in, &out));
  EXPECT_EQ(status, FRF_OK);
  EXPECT_NO_ALLOCATION(status = frf_session_run_scores(session, &in, scores.data(), scores.size()));
  EXPECT_EQ(status, FRF_OK);
  frf_session_free(session);
  frf_model_free(model);
}

// Memory that runs out anywhere while a model is loaded and a session made and planned comes back as a
// status.
TEST(Allocation, OneThatFailsIsAStatus) {
  const std::string file = MakeModelBytes("frfnet-slim", {.fit = Fit::kNative});
  const Image image = Photo(32, 32);
  std::vector<std::uint8_t> ids(32 * 32);
  const frf_image in{image.pixels.data(), 32, 32, 96, FRF_RGB};
  const frf_labels out{ids.data(), 32, 32, 32};
  frf_session_options options = FRF_SESSION_OPTIONS_INIT;
  options.threads = 1;  // OpenMP ends the process where it cannot have its threads
  const auto all = [&] {
    frf_model* model = nullptr;
    frf_session* session = nullptr;
    frf_status status = frf_model_load_memory(file.data(), file.size(), &model);
    if (status == FRF_OK) status = frf_session_create(model, &options, &session);
    if (status == FRF_OK) status = frf_session_run(session, &in, &out);
    left = -1;
    frf_session_free(session);
    frf_model_free(model);
    return status;
  };
  Allocations(all);
  const long needed = blocks;
  ASSERT_GT(needed, 50);
  int failed = 0;
  for (long n = 0; n < needed; n += n < 20 ? 1 : 1 + needed / 60) {
    left = n;
    const frf_status status = all();
    failed += status != FRF_OK;
    EXPECT_TRUE(status == FRF_OK || status == FRF_OUT_OF_MEMORY)
        << "after " << n << ": " << frf_status_name(status) << ", " << frf_last_error();
  }
  EXPECT_GT(failed, 30);
  EXPECT_EQ(all(), FRF_OK) << frf_last_error();
}

// The same through the C++ classes: frf::Error, as their headers say, and no std::bad_alloc.
TEST(Allocation, OneThatFailsIsAnError) {
  const std::string file = MakeModelBytes("frfnet-slim", {.fit = Fit::kNative});
  const TempFolder folder;
  const std::string path = folder / "m.onnx";
  WriteFileAtomically(path, file);
  const Image image = Photo(40, 56), larger = Photo(64, 72);
  const std::vector<float> planes(3 * 64 * 72);
  std::vector<float> scores(4 * 64 * 72);
  const std::vector<std::pair<const char*, std::function<void()>>> calls = {
      {"Load", [&] { LoadedModel::Load(path); }},
      {"LoadBytes", [&] { LoadedModel::LoadBytes(file.data(), file.size()); }},
      {"Session", [&] { Session(path, {.threads = 1}); }},
      {"Run, Scores, RunPlanes", [&] {
         Session session(path, {.threads = 1});
         session.Run(image.view());
         session.Scores(image.view());
         session.ScoresShape(64, 72);
         session.RunPlanes(planes.data(), 64, 72, nullptr, scores.data());
         session.Run(larger.view());
       }}};
  for (const auto& [name, call] : calls) {
    Allocations(call);
    const long needed = blocks;
    ASSERT_GT(needed, 3) << name;
    int failed = 0;
    for (long n = 0; n < needed; n += n < 10 ? 1 : 1 + needed / 30) {
      left = n;
      try {
        call();
        left = -1;
      } catch (const Error& error) {
        left = -1;
        ++failed;
        EXPECT_EQ(error.code(), ErrorCode::kOutOfMemory) << name << ": " << error.what();
        if (std::string(name).starts_with("Load")) {
          EXPECT_FALSE(std::string(error.what()).starts_with("out of memory")) << "which file?";
        }
      } catch (const std::bad_alloc&) {
        left = -1;
        ADD_FAILURE() << name << " after " << n << " blocks: std::bad_alloc";
      }
    }
    EXPECT_GT(failed, 0) << name;
    EXPECT_NO_THROW(call()) << name;
  }
}

}  // namespace
}  // namespace frf::test
