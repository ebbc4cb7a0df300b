// SPDX-License-Identifier: Apache-2.0
// The program `frf-train`: what of `frf` needs libtorch. `frf` replaces itself with it, after asking for its
// commit.
#include <fmt/format.h>

#include <cstdio>
#include <filesystem>
#include <new>
#include <system_error>

#include "base/log.h"
#include "base/output.h"
#include "base/progress.h"
#include "base/temporaries.h"
#include "base/version.h"
#include "frf/error.h"
#include "train/verbs.h"

namespace {

int Fail(const std::string& message, int code) {
  frf::ClearProgressLine();
  // libtorch appends its own stack to messages: the first line says what happened. Not fmt::print, which
  // throws where standard error cannot be written.
  std::fputs(fmt::format("frf: {}\n", message.substr(0, message.find('\n'))).c_str(), stderr);
  return code;
}

// What a user types for a verb: `frf train`, since frf passes it on, but `frf-train weights`.
const char* ProgramOf(const std::string& verb) {
  return verb.empty() || verb == "weights" ? "frf-train" : "frf";
}

std::string HelpFor(const CLI::App& app) {
  const std::vector<CLI::App*> verbs = app.get_subcommands();
  const std::string verb = verbs.empty() ? "" : verbs.back()->get_name();
  return fmt::format("see {}{}{} --help", ProgramOf(verb), verb.empty() ? "" : " ", verb);
}

}  // namespace

int main(int argc, char** argv) {
  frf::RemoveTemporariesOnSignals();
  CLI::App app{"frf-train: train, evaluate and time networks with libtorch (called by frf)",
               ProgramOf(argc > 1 ? argv[1] : "")};
  app.set_version_flag("--version", fmt::format("frf-train {} ({})", frf::Version(), frf::Commit()));
  bool commit = false;
  std::string wanted;
  app.add_flag("--commit", commit, "print the commit that this program was built from, and stop");
  app.add_option("--commit-check", wanted,
                 "print that commit, and stop: exit code 0 if it is this one, 1 if not");
  app.require_subcommand(0, 1);
  frf::train::Action action;
  frf::train::AddTrain(app, action);
  frf::train::AddEval(app, action);
  frf::train::AddBench(app, action);
  frf::train::AddWeights(app, action);
  try {
    app.parse(argc, argv);
    if (commit || !wanted.empty()) {
      fmt::print("{}\n", frf::Commit());
      return commit || wanted == frf::Commit() ? 0 : 1;
    }
    if (!action) {
      fmt::print("{}", app.help());
      return 2;
    }
    const int code = action();
    const std::string lost = frf::FlushOutput();
    return lost.empty() ? code : Fail(lost, code != 0 ? code : 1);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help, --version
    return Fail(fmt::format("{}; {}", error.what(), HelpFor(app)), 2);
  } catch (const frf::Error& error) {
    return Fail(error.what(), error.code() == frf::ErrorCode::kUsage ? 2 : 1);
  } catch (const std::bad_alloc&) {
    return Fail("out of memory; a smaller --batch or --crop needs less", 1);
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
