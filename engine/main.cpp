// tlsmuxd: reads the configuration, then is the broker of an engine.

#include <cstdio>
#include <exception>
#include <string>
#include <tuple>
#include <utility>

#include <CLI/CLI.hpp>

#include "config/config_file.hpp"
#include "engine/broker/broker.hpp"
#include "engine/engine.hpp"

namespace {

using namespace tlsmux;

constexpr const char* kAfterword =
    "Exit codes: 0 ended as told, 1 errors in the configuration, 2 wrong usage, 3 cannot start (the reason is in the\n"
    "log), 4 the engine had to be killed since it did not end. SIGTERM and SIGINT let open requests end first; SIGHUP "
    "has the\n"
    "configuration file read again, as `tlsmux refresh` does.";

int show(const std::string& path, const config::ConfigErrors& errors) {
  std::ignore = std::fputs(config::format_errors(path, errors).c_str(), stderr);
  return engine::kExitConfig;
}

int start(const std::string& path, bool check_only) {
  const auto bundle = config::read_bundle(path);
  if (!bundle) return show(path, bundle.error());
  const auto errors = config::find_errors(*bundle);
  if (!errors.empty()) return show(path, errors);
  if (check_only) return engine::kExitClean;
  auto settings = config::load_bundle(*bundle);
  if (!settings) return show(path, settings.error());
  return engine::broker::run_broker(std::move(*settings), path, engine::run_engine);
}

int run(int argc, char** argv) {
  CLI::App arguments("Holds TLS sessions to hosts and shares them, by message, with the processes of this machine.");
  arguments.footer(kAfterword);
  arguments.set_version_flag("--version", "tlsmuxd " TLSMUX_VERSION);
  std::string path;
  bool check_only = false;
  arguments.add_option("CONFIG", path, "the configuration file (JSON)")->required();
  arguments.add_flag("--check", check_only, "only say what is wrong with the configuration");
  try {
    arguments.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return arguments.exit(error) == 0 ? engine::kExitClean : engine::kExitUsage;
  }
  return start(path, check_only);
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
