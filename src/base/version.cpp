// SPDX-License-Identifier: Apache-2.0
#include "base/version.h"

#include "frf_version.inc"

namespace frf {

const char* Version() { return FRF_VERSION; }
const char* Commit() { return FRF_COMMIT; }

}  // namespace frf
