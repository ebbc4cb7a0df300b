// SPDX-License-Identifier: Apache-2.0
#include "base/nearest.h"

#include <fmt/format.h>

#include <algorithm>

namespace frf {
namespace {

// Levenshtein's distance.
std::size_t Distance(const std::string& a, const std::string& b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t above = row[j];
      row[j] = std::min({row[j - 1] + 1, above + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)});
      diagonal = above;
    }
  }
  return row[b.size()];
}

}  // namespace

std::vector<std::string> NearestNames(const std::string& name, std::vector<std::string> candidates) {
  std::stable_sort(candidates.begin(), candidates.end(), [&](const std::string& a, const std::string& b) {
    return Distance(name, a) < Distance(name, b);
  });
  if (candidates.size() > 4) candidates.resize(4);
  return candidates;
}

std::string DidYouMean(const std::string& name, const std::vector<std::string>& candidates) {
  // Names are short; what is not one is a path, or a slip of another kind.
  if (name.size() > 64) return "";
  std::vector<std::string> close;
  for (const std::string& candidate : NearestNames(name, candidates)) {
    if (Distance(name, candidate) <= name.size() / 4 && close.size() < 2) close.push_back(candidate);
  }
  return close.empty() ? "" : fmt::format("did you mean {}? ", fmt::join(close, " or "));
}

}  // namespace frf
