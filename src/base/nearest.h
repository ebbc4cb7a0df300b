// SPDX-License-Identifier: Apache-2.0
// What a mistyped name may have meant, for error messages.
#pragma once

#include <string>
#include <vector>

namespace frf {

// At most four of the candidates, the nearest first.
std::vector<std::string> NearestNames(const std::string& name, std::vector<std::string> candidates);

// "did you mean frfnet-camvid? " where a candidate or two differ by a few letters only, else "".
std::string DidYouMean(const std::string& name, const std::vector<std::string>& candidates);

}  // namespace frf
