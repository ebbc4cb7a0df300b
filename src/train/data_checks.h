// SPDX-License-Identifier: Apache-2.0
// What a person should know about their data before hours of training.
#pragma once

#include <vector>

#include "data/dataset.h"

namespace frf {

// How many of `scored`'s images are among `trained`'s: the same file, whatever it is called by, or in a pack
// or among drawn scenes the same name.
int CountShared(const Dataset& scored, const Dataset& trained);

// Warns of classes that no pixel of the training labels has (`shares`: of every class, ClassShares), and
// where all pixels are of one class.
void WarnOfAbsentClasses(const Dataset& train, const std::vector<double>& shares);

}  // namespace frf
