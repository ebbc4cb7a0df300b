// SPDX-License-Identifier: Apache-2.0
// The program `frf`: parses the verb, runs it, turns every Error into one line and an exit code.
#include <fmt/format.h>

#include <cstdio>
#include <filesystem>
#include <new>
#include <string>
#include <system_error>
#include <vector>

#include "base/log.h"
#include "base/output.h"
#include "base/progress.h"
#include "base/temporaries.h"
#include "base/version.h"
#include "cli/cli.h"
#include "frf/error.h"

namespace {

constexpr const char* kAbout =
    "frf: real-time semantic segmentation. Trains the FRFNet family, measures it, labels every pixel of a "
    "street image.";
constexpr const char* kExamples = R"(
First steps:
  frf demo                                          a drawn street, shipped weights, a picture out
  frf segment street.jpg -o out                     label your own pictures
  frf train --data camvid:DIR -o runs/first         train from scratch (frf train --help)
  frf eval frfnet-camvid --data camvid:DIR --split val
  frf bench frfnet --against onnxruntime,openvino   frames per second, beside other runtimes (make peers)
Every verb has --help and --json. Exit codes: 0 done, 1 failed, 2 wrong usage,
130 stopped by Ctrl-C (segment and train, once at work, finish what is at hand
and give 1 where anything is left).)";

int Fail(const std::string& message, int code) {
  frf::ClearProgressLine();
  // Not fmt::print, which throws where standard error cannot be written.
  std::fputs(fmt::format("frf: {}\n", message).c_str(), stderr);
  return code;
}

int Finished(int code) {
  const std::string lost = frf::FlushOutput();
  return lost.empty() ? code : Fail(lost, code != 0 ? code : 1);
}

// Every verb's -o: a name that a shell left empty ("-o $OUT") is none.
void RefuseEmptyOutputs(CLI::App& app) {
  const auto named = [](const std::string& value) {
    return value.empty() ? std::string("an empty name was given, a file's or folder's is wanted")
                         : std::string();
  };
  for (CLI::App* verb : app.get_subcommands(nullptr)) {
    if (CLI::Option* output = verb->get_option_no_throw("--output")) output->check(named);
    RefuseEmptyOutputs(*verb);
  }
}

// The help that lists the options: of the innermost verb that was named.
std::string HelpFor(const CLI::App& app) {
  std::string words = "frf";
  for (const CLI::App* verb = &app; !verb->get_subcommands().empty();) {
    verb = verb->get_subcommands().back();
    words += " " + verb->get_name();
  }
  return "see " + words + " --help";
}

}  // namespace

int main(int argc, char** argv) {
  frf::RemoveTemporariesOnSignals();
  CLI::App app{kAbout, "frf"};
  app.footer(kExamples);
  app.set_version_flag("--version", fmt::format("frf {} ({})", frf::Version(), frf::Commit()));
  app.require_subcommand(1);
  app.option_defaults()->always_capture_default();
  frf::cli::Action action;
  frf::cli::AddDemo(app, action);
  frf::cli::AddSegment(app, action);
  frf::cli::AddTrain(app, action);
  frf::cli::AddEval(app, action);
  frf::cli::AddBench(app, action);
  frf::cli::AddExport(app, action);
  frf::cli::AddQuantize(app, action);
  frf::cli::AddInfo(app, action);
  frf::cli::AddData(app, action);
  frf::cli::AddSynth(app, action);
  RefuseEmptyOutputs(app);
  if (argc == 1) {
    fmt::print("{}", app.help());
    return 2;
  }
  try {
    // `frf train ...` belongs to frf-train, its --help too: nothing of it is parsed here.
    app.parse(argc, argv);
    // Also warns of an FRF_LOG that names no level; frf-train, which takes this process's place, does so
    // itself.
    if (!app.got_subcommand("train"))
      frf::LogDebug(fmt::format("frf {} ({})", frf::Version(), frf::Commit()));
    return Finished(action());
  } catch (const CLI::RequiredError& error) {
    const std::vector<std::string> unknown = app.remaining(/*recurse=*/true);
    if (unknown.empty()) return Fail(fmt::format("{}; {}", error.what(), HelpFor(app)), 2);
    return Fail(fmt::format("'{}' is not known here; {}", unknown.front(), HelpFor(app)), 2);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return Finished(app.exit(error));  // --help, --version
    return Fail(fmt::format("{}; {}", error.what(), HelpFor(app)), 2);
  } catch (const frf::Error& error) {
    return Fail(error.what(), error.code() == frf::ErrorCode::kUsage ? 2 : 1);
  } catch (const std::bad_alloc&) {
    return Fail("out of memory; a smaller --size or fewer threads need less", 1);
  } catch (const std::filesystem::filesystem_error& error) {
    // A folder on the way that is not ours to enter, links in a circle, a name too long.
    return Fail(fmt::format("{}: {}", error.path1().string(), error.code().message()), 1);
  } catch (const std::system_error& error) {
    // What fmt::print throws where a long text cannot be written.
    if (std::ferror(stdout) != 0)
      return Fail(fmt::format("standard output: cannot write: {}", error.code().message()), 1);
    return Fail(fmt::format("unexpected failure, please report it: {}", error.what()), 1);
  } catch (const std::exception& error) {
    return Fail(fmt::format("unexpected failure, please report it: {}", error.what()), 1);
  }
}
