// SPDX-License-Identifier: Apache-2.0
// Log lines for people, on standard error (standard output belongs to results). spdlog stays in log.cpp.
#pragma once

#include <string>

namespace frf {

enum class LogLevel { kDebug, kInfo, kWarning, kError, kSilent };

void SetLogLevel(LogLevel level);  // default: FRF_LOG=debug|info|warning|error|silent, else info
void LogDebug(const std::string& message);
void LogInfo(const std::string& message);
void LogWarning(const std::string& message);
void LogError(const std::string& message);

}  // namespace frf
