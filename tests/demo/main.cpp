// tlsmux-demo: sets up hosts, engine and authorizers, kills some of them, and shows what became of every request.

#include <sys/stat.h>

#include <cstdio>
#include <exception>

#include <CLI/CLI.hpp>

#include "tests/demo/conductor.hpp"
#include "tests/demo/purchase.hpp"

namespace {

constexpr int kExitBad = 1;
constexpr int kExitUsage = 2;
constexpr int kExitInterrupted = 130;

constexpr const char* kAfterword =
    "Exit codes: 0 each request of the surviving processes has one outcome and the hosts' records contradict none,\n"
    "1 not so, or something failed, 2 wrong usage, 130 interrupted. Nothing is left behind.";

void complain(const char* what) { static_cast<void>(std::fprintf(stderr, "tlsmux-demo: %s\n", what)); }

int run(int argc, char** argv) {
  using namespace tlsmux::demo;
  Options options;
  CLI::App arguments("Shows tlsmux at work while processes are killed.", "tlsmux-demo");
  arguments.footer(kAfterword);
  arguments.add_option("--messages", options.messages, "of each authorizer")
      ->check(CLI::Range(100U, kRequestsMax))
      ->capture_default_str();
  arguments.add_option("--seconds", options.seconds, "over which they are spread")
      ->check(CLI::Range(2.0, 3600.0))
      ->capture_default_str();
  try {
    arguments.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return arguments.exit(error) == 0 ? 0 : kExitUsage;
  }
  const Interrupt interrupt;
  Screen screen;
  return conduct(options, interrupt, screen) ? 0 : kExitBad;
}

}  // namespace

int main(int argc, char** argv) {
  ::umask(022);  // tlsmuxd takes no configuration that others may change
  try {
    return run(argc, argv);
  } catch (const tlsmux::demo::Interrupted&) {
    complain("interrupted; everything has been taken down");
    return kExitInterrupted;
  } catch (const std::exception& error) {
    complain(error.what());
    return kExitBad;
  }
}
