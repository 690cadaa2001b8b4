// demo-authorizer: one of the demo's authorizer processes.

#include <unistd.h>

#include <cstdio>
#include <exception>
#include <utility>

#include <CLI/CLI.hpp>

#include "tests/demo/authorizer.hpp"
#include "tests/demo/purchase.hpp"

namespace {

// The conductor writes a byte once everybody is attached; if it is gone, there is nothing to do.
bool wait_for_start() {
  char byte = 0;
  return ::read(STDIN_FILENO, &byte, 1) == 1;
}

int run(int argc, char** argv) {
  using namespace tlsmux::demo;
  AuthorizerOrder order;
  CLI::App arguments("Attaches, waits for a byte on standard input, sends its requests and notes every outcome.");
  arguments.add_option("--control-socket", order.control_socket)->required();
  arguments.add_option("--group", order.group)->required();
  arguments.add_option("--upstream", order.upstream)->required();
  arguments.add_option("--ledger", order.ledger_file, "made by tlsmux-demo")->required();
  arguments.add_option("--number", order.authorizer)->required()->check(CLI::Range(0U, kAuthorizers - 1));
  arguments.add_option("--requests", order.requests)->required()->check(CLI::Range(1U, kRequestsMax));
  arguments.add_option("--seconds", order.seconds)->required()->check(CLI::NonNegativeNumber);
  CLI11_PARSE(arguments, argc, argv);
  Authorizer authorizer(std::move(order));
  if (!wait_for_start()) return 1;
  authorizer.run();
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {
    static_cast<void>(std::fprintf(stderr, "demo-authorizer: %s\n", error.what()));
    return 1;
  }
}
