// SPDX-License-Identifier: Apache-2.0
#include "train/data_checks.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <set>
#include <string>

#include "base/log.h"
#include "data/check.h"
#include "train/plan.h"

namespace frf {
namespace {

std::string Identity(const Dataset& data, int index) {
  const std::string path = data.image_path(index);
  if (path.empty()) return data.name(index);
  std::error_code ignored;  // a pack's images have no file: what names them there
  const auto file = std::filesystem::canonical(path, ignored);
  return ignored ? path : file.string();
}

}  // namespace

int CountShared(const Dataset& scored, const Dataset& trained) {
  std::set<std::string> known;
  for (int i = 0; i < trained.size(); ++i) known.insert(Identity(trained, i));
  int shared = 0;
  for (int i = 0; i < scored.size(); ++i) shared += known.contains(Identity(scored, i)) ? 1 : 0;
  return shared;
}

void WarnOfAbsentClasses(const Dataset& train, const std::vector<double>& shares) {
  const auto& names = train.classes().names;
  std::vector<std::string> absent;
  for (std::size_t id = 0; id < shares.size(); ++id) {
    if (!(shares[id] > 0)) absent.push_back(names[id]);
  }
  if (absent.empty()) return;
  if (absent.size() + 1 == shares.size() && shares.size() > 1) {
    const auto only = std::max_element(shares.begin(), shares.end()) - shares.begin();
    LogWarning(fmt::format("{}: every labelled pixel is {}, so there is nothing to tell apart{}",
                           train.description(), names[static_cast<std::size_t>(only)],
                           shares.size() == 2 && only == 0
                               ? fmt::format("; where masks hold 255 for the other, {}", kTwoClassRemedy)
                               : std::string()));
    return;
  }
  LogWarning(
      fmt::format("{}: no pixel is labelled {}; what is not shown is not learnt (frf data check counts "
                  "classes)",
                  train.description(), Shortened(absent)));
}

}  // namespace frf
