// SPDX-License-Identifier: Apache-2.0
// Log lines on standard error through spdlog. Subtle: a progress bar may be on the terminal's last line, so
// every line first clears it (see progress.h).
#include "base/log.h"

#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>

#include "base/progress.h"
#include "base/text.h"

namespace frf {
namespace {

std::string FromEnvironment(const char* name) {
  const char* text = std::getenv(name);
  return text != nullptr ? text : "";
}

std::optional<LogLevel> LevelNamed(std::string_view name) {
  if (name == "debug") return LogLevel::kDebug;
  if (name == "info" || name.empty()) return LogLevel::kInfo;
  if (name == "warning") return LogLevel::kWarning;
  if (name == "error") return LogLevel::kError;
  if (name == "silent") return LogLevel::kSilent;
  return std::nullopt;
}

// On a terminal, unless NO_COLOR (no-color.org) holds anything.
spdlog::color_mode Color() {
  return FromEnvironment("NO_COLOR").empty() ? spdlog::color_mode::automatic : spdlog::color_mode::never;
}

spdlog::level::level_enum ToSpdlog(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarning:
      return spdlog::level::warn;
    case LogLevel::kError:
      return spdlog::level::err;
    case LogLevel::kSilent:
      return spdlog::level::off;
  }
  return spdlog::level::info;
}

struct Loggers {
  std::shared_ptr<spdlog::logger> log = spdlog::stderr_color_mt("log", Color());
  // Errors look the same whether the program goes on or ends with them: "frf: ...", as mains print it.
  std::shared_ptr<spdlog::logger> errors = spdlog::stderr_color_mt("frf", Color());

  Loggers() {
    log->set_pattern("%^%l%$: %v");
    errors->set_pattern("%^%n%$: %v");
    const std::string name = FromEnvironment("FRF_LOG");
    const std::optional<LogLevel> level = LevelNamed(name);
    SetLevel(level.value_or(LogLevel::kInfo));
    if (level) return;
    log->warn("FRF_LOG={}: is no level; debug, info, warning, error and silent are, info is taken",
              Printable(name));
  }
  void SetLevel(LogLevel level) {
    log->set_level(ToSpdlog(level));
    errors->set_level(ToSpdlog(level));
  }
};

Loggers& TheLoggers() {
  static Loggers loggers;
  return loggers;
}

void Write(spdlog::level::level_enum level, const std::string& message) {
  Loggers& loggers = TheLoggers();
  spdlog::logger& logger = level == spdlog::level::err ? *loggers.errors : *loggers.log;
  if (!logger.should_log(level)) return;
  ClearProgressLine();
  logger.log(level, "{}", message);
}

}  // namespace

void SetLogLevel(LogLevel level) { TheLoggers().SetLevel(level); }
void LogDebug(const std::string& message) { Write(spdlog::level::debug, message); }
void LogInfo(const std::string& message) { Write(spdlog::level::info, message); }
void LogWarning(const std::string& message) { Write(spdlog::level::warn, message); }
void LogError(const std::string& message) { Write(spdlog::level::err, message); }

}  // namespace frf
