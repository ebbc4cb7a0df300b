// SPDX-License-Identifier: Apache-2.0
// The plain runner of corpus.h. Mutations are a value of (input, round), so a failure repeats.
#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "base/files.h"
#include "base/random.h"
#include "frf/error.h"
#include "fuzz/corpus.h"

namespace {

constexpr int kRounds = 60;
constexpr std::size_t kMutated = std::size_t{1} << 16;  // longer inputs run as they are only

void RunOne(const std::string& bytes) {
  LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
}

// Cuts, repeats, overwrites and flips, as a damaged disk or a hostile hand would.
std::string Mutated(std::string bytes, frf::Random random) {
  for (std::int64_t i = random.Between(1, 4); i > 0 && !bytes.empty(); --i) {
    const auto size = static_cast<std::int64_t>(bytes.size());
    const auto at = static_cast<std::size_t>(random.Below(size));
    const auto count = static_cast<std::size_t>(
        random.Between(1, std::min<std::int64_t>(16, size - static_cast<std::int64_t>(at))));
    switch (random.Below(5)) {
      case 0:
        bytes[at] = static_cast<char>(bytes[at] ^ (1 << random.Below(8)));
        break;
      case 1:
        bytes[at] = static_cast<char>(random.Chance(0.5) ? random.Below(256) : -random.Below(2));
        break;
      case 2:
        bytes.resize(at);
        break;
      case 3:
        bytes.erase(at, count);
        break;
      default:
        bytes.insert(at, bytes.substr(at, count));
    }
  }
  return bytes;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const std::vector<std::string> corpus = frf::test::FuzzCorpus();
    if (argc == 3 && std::string(argv[1]) == "--write") {
      for (std::size_t i = 0; i < corpus.size(); ++i) {
        frf::WriteFileAtomically(std::filesystem::path(argv[2]) / ("seed-" + std::to_string(i)), corpus[i]);
      }
      return 0;
    }
    for (int i = 1; i < argc; ++i) RunOne(frf::ReadFile(argv[i]));
    if (argc > 1) return 0;
    std::size_t runs = 0;
    for (std::size_t i = 0; i < corpus.size(); ++i) {
      RunOne(corpus[i]);
      ++runs;
      for (int round = 0; round < kRounds && corpus[i].size() <= kMutated; ++round, ++runs) {
        RunOne(Mutated(corpus[i], frf::Random(1, static_cast<std::uint64_t>(round), i)));
      }
    }
    std::printf("%zu inputs, %zu runs\n", corpus.size(), runs);
    return corpus.empty() ? 1 : 0;
  } catch (const frf::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
