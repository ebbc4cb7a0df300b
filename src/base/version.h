// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace frf {

const char* Version();  // "0.1.0"
const char* Commit();   // twelve hex digits of the commit built, "+" behind it if the tree was changed;
                        // "unknown" without git

}  // namespace frf
