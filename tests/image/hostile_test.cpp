// SPDX-License-Identifier: Apache-2.0
// Damaged, odd and hostile images: each ends in its right size or in one line that names the file; never in a
// crash, a hang or more than a GiB. Each is read in a process of its own, whose exit, time and peak memory
// are the kernel's word.
#include <sys/resource.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>

#include "image/image_io.h"
#include "support/hostile_images.h"
#include "support/support.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define FRF_SANITIZED 1
#else
#define FRF_SANITIZED 0
#endif

namespace frf {
namespace {

using test::HostileImage;

struct Result {
  int status = 0;  // as wait gives it
  long peak_kib = 0;
  double seconds = 0;
  std::string text;  // "37 x 53", or the refusal with its code in front
};

// What reading it says. Labels and the size from the header go through their own code: they must not crash
// either.
std::string Read(const std::string& path) {
  for (const auto& read : {+[](const std::string& p) { (void)ReadLabels(p); },
                           +[](const std::string& p) { (void)ReadImageSize(p); }}) {
    try {
      read(path);
    } catch (const Error& error) {
      if (std::string(error.what()).find('\n') != std::string::npos) return "refusal of two lines";
    }
  }
  try {
    const Image image = ReadImage(path);
    if (image.pixels.size() != image.bytes() || image.channels != 3) return "inconsistent image";
    if (ReadImageSize(path) != std::pair{image.height, image.width}) return "ReadImageSize disagrees";
    return std::to_string(image.height) + " x " + std::to_string(image.width);
  } catch (const Error& error) {
    return std::string("refused: ") + error.what();
  }
}

Result ReadApart(const std::string& path) {
  std::array<int, 2> ends{};
  Result result;
  if (::pipe(ends.data()) != 0) return result;
  const auto start = std::chrono::steady_clock::now();
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(60);
    const std::string text = Read(path);
    const auto written = ::write(ends[1], text.data(), std::min<std::size_t>(text.size(), 4000));
    ::_exit(written < 0 ? 3 : 0);
  }
  ::close(ends[1]);
  std::array<char, 4096> buffer{};
  for (ssize_t got = 0; (got = ::read(ends[0], buffer.data(), buffer.size())) > 0;) {
    result.text.append(buffer.data(), static_cast<std::size_t>(got));
  }
  ::close(ends[0]);
  struct rusage usage {};
  ::wait4(child, &result.status, 0, &usage);
  result.peak_kib = usage.ru_maxrss;
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return result;
}

void Judge(const HostileImage& image, const std::string& path, const Result& result) {
  SCOPED_TRACE(image.name + ": " + result.text);
  ASSERT_TRUE(WIFEXITED(result.status) && WEXITSTATUS(result.status) == 0)
      << "ended by status " << result.status;
  const std::string size = std::to_string(image.height) + " x " + std::to_string(image.width);
  if (result.text.starts_with("refused: ")) {
    EXPECT_NE(image.outcome, HostileImage::kDecodes);
    EXPECT_EQ(result.text.find('\n'), std::string::npos) << "more than one line";
    std::string shown = path;
    std::replace(shown.begin(), shown.end(), '\n', '?');
    EXPECT_TRUE(result.text.starts_with("refused: " + shown + ": ")) << "does not start with the file's name";
    if (image.outcome == HostileImage::kRefused) {
      EXPECT_NE(result.text.find(image.says), std::string::npos) << "does not say '" << image.says << "'";
    }
  } else {
    EXPECT_NE(image.outcome, HostileImage::kRefused);
    EXPECT_EQ(result.text, size);
  }
  if (!FRF_SANITIZED) {
    EXPECT_LT(result.peak_kib, 1 << 20);
    EXPECT_LT(result.seconds, 20);
  }
}

TEST(Hostile, EachImageDecodesOrIsRefusedInOneLine) {
  const test::TempFolder folder;
  const auto images = test::HostileImages();
  ASSERT_GE(images.size(), 60u);
  long peak_kib = 0;
  double slowest = 0;
  std::string hungriest, slow;
  for (const HostileImage& image : images) {
    const std::string path = test::Place(image, folder.path().string());
    const Result result = ReadApart(path);
    Judge(image, path, result);
    if (result.peak_kib > peak_kib) peak_kib = result.peak_kib, hungriest = image.name;
    if (result.seconds > slowest) slowest = result.seconds, slow = image.name;
    if (std::getenv("FRF_TEST_VERBOSE") != nullptr) {
      std::printf("%6ld KiB %6.3f s  %s: %s\n", result.peak_kib, result.seconds, image.name.c_str(),
                  result.text.c_str());
    }
  }
  std::printf("%zu images; most memory %ld MiB (%s), longest %.2f s (%s)\n", images.size(), peak_kib / 1024,
              hungriest.c_str(), slowest, slow.c_str());
}

// Any three bytes changed anywhere: no crash, right size or an error. In this process, so that sanitizers see
// it.
TEST(Hostile, DamagedBytesNeverCrash) {
  int decoded = 0, refused = 0;
  for (const HostileImage& image : test::HostileImages()) {
    if (image.kind != HostileImage::kFile || image.outcome != HostileImage::kDecodes ||
        image.bytes.size() > 20000)
      continue;
    for (unsigned seed = 0; seed < 40; ++seed) {
      std::string bytes = image.bytes;
      for (unsigned i = 0; i < 3; ++i) {
        const unsigned hash = (seed * 3 + i + 1) * 2654435761u;
        bytes[hash % bytes.size()] = static_cast<char>(hash >> 24);
      }
      try {
        const Image read = DecodeImage(bytes, image.name, {.max_pixels = 1 << 22});
        EXPECT_EQ(read.pixels.size(), read.bytes());
        ++decoded;
      } catch (const Error& error) {
        EXPECT_TRUE(std::string(error.what()).starts_with(image.name)) << error.what();
        ++refused;
      }
    }
  }
  EXPECT_GT(decoded, 0);
  EXPECT_GT(refused, 100);
}

}  // namespace
}  // namespace frf
