// tlsmuxd: reads the configuration, then is the broker of an engine.

#include <cstdio>
#include <exception>
#include <expected>
#include <string>
#include <tuple>
#include <utility>

#include <CLI/CLI.hpp>

#include "config/check/check_shares.hpp"
#include "config/check/check_start.hpp"
#include "config/config_file.hpp"
#include "engine/broker/broker.hpp"
#include "engine/check_tls.hpp"
#include "engine/engine.hpp"
#include "engine/self_test.hpp"

namespace {

using namespace tlsmux;

constexpr const char* kAfterword =
    "Exit codes: 0 ended as told, 1 errors in the configuration, 2 wrong usage, 3 cannot start (the reason is in the\n"
    "log), 4 the engine had to be killed since it did not end, 5 --selftest said NO: tlsmuxd may start all the same, "
    "as\n"
    "without locked memory. SIGTERM and SIGINT let open requests end first; SIGHUP has the configuration file read\n"
    "again, as `tlsmux refresh` does.";

int show(const std::string& path, const config::ConfigErrors& errors) {
  std::ignore = std::fputs(config::format_errors(path, errors).c_str(), stderr);
  return engine::kExitConfig;
}

// The exit code, with the errors shown.
std::expected<config::Config, int> load(const std::string& path) {
  const auto bundle = config::read_trusted_bundle(path);
  if (!bundle) return std::unexpected(show(path, bundle.error()));
  const auto errors = config::find_errors(*bundle);
  if (!errors.empty()) return std::unexpected(show(path, errors));
  auto settings = config::load_bundle(*bundle);
  if (!settings) return std::unexpected(show(path, settings.error()));
  return std::move(*settings);
}

int start(const std::string& path, bool check_only) {
  auto settings = load(path);
  if (!settings) return settings.error();
  if (check_only) {
    show(path + ": warning", config::find_start_problems(*settings));
    show(path + ": warning", config::find_shares_of_none(*settings));
    const auto found = engine::check_tls(*settings);
    show(path + ": warning", found.warnings);
    return found.errors.empty() ? engine::kExitClean : show(path, found.errors);
  }
  return engine::broker::run_broker(std::move(*settings), path, engine::run_engine);
}

// With an empty path, of a configuration that says nothing.
int report_self_test(const std::string& path) {
  const std::expected<config::Config, int> settings = path.empty() ? config::Config() : load(path);
  if (!settings) return settings.error();
  bool is_whole = true;
  // What is said is said, should the machine end this process at a later step.
  engine::self_test(*settings, [&](const engine::SelfTestFinding& finding) {
    is_whole = is_whole && finding.is_in_force;
    std::ignore = std::printf("%-8s %s%s%s\n", finding.is_in_force ? "yes" : "NO", finding.what.c_str(),
                              finding.words.empty() ? "" : ": ", finding.words.c_str());
    std::ignore = std::fflush(stdout);
  });
  return is_whole ? engine::kExitClean : engine::kExitNotInForce;
}

int run(int argc, char** argv) {
  CLI::App arguments("Holds TLS sessions to hosts and shares them, by message, with the processes of this machine.");
  arguments.footer(kAfterword);
  arguments.set_version_flag("--version", "tlsmuxd " TLSMUX_VERSION);
  std::string path;
  bool check_only = false;
  arguments.add_option("CONFIG", path, "the configuration file (JSON)");
  arguments.add_flag("--check", check_only, "only say what is wrong with the configuration, its certificates and keys");
  bool is_self_test = false;
  arguments.add_flag("--selftest", is_self_test,
                     "only say what of the confinement would be in force, with CONFIG if there is one");
  try {
    arguments.parse(argc, argv);
    if (path.empty() && !is_self_test) throw CLI::RequiredError("CONFIG");
  } catch (const CLI::ParseError& error) {
    return arguments.exit(error) == 0 ? engine::kExitClean : engine::kExitUsage;
  }
  return is_self_test ? report_self_test(path) : start(path, check_only);
}

}  // namespace

// A program that ends by an exception, such as for want of memory, at least says so.
int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {
    std::ignore = std::fprintf(stderr, "tlsmuxd: %s\n", error.what());
    return tlsmux::engine::kExitCannotStart;
  }
}
