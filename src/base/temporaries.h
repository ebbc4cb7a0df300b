// SPDX-License-Identifier: Apache-2.0
// Names of files that are half written, so that a program that Ctrl-C ends leaves none of them behind.
// Subtle: a signal may come at any instruction of any thread, so the names lie in fixed places and the
// handler calls nothing but what POSIX allows there.
#pragma once

#include <string>

namespace frf {

// A name for as long as its file is not whole. More than there are places for are not remembered.
void RememberTemporary(const std::string& path);
void ForgetTemporary(const std::string& path);

// SIGINT, SIGTERM and SIGHUP remove the files and then end the process as they would have: shells say 130,
// 143 and 129. Called by a program's main: a library leaves its host's signals alone. So does this where they
// are ignored or caught already; while a StopSignal lives, that one has them.
void RemoveTemporariesOnSignals();

}  // namespace frf
