// tlsmux: checks configurations, sends single messages, shows what an engine does.

#include <string>

#include <CLI/CLI.hpp>

#include "client/cli/check.hpp"
#include "client/cli/exit_code.hpp"
#include "client/cli/send.hpp"
#include "client/cli/status.hpp"
#include "config/limits.hpp"

namespace {

namespace cli = tlsmux::client::cli;

constexpr const char* kAfterword =
    "Exit codes: 0 done, or the request was answered; 1 errors in the configuration, or the request could not be "
    "made;\n"
    "2 wrong usage; 3 NOT_SENT; 4 MAYBE_SENT; 5 no engine, or no access to it.\n"
    "Environment: TLSMUX_GROUP and TLSMUX_CONTROL_SOCKET stand in for --group and --control-socket.";

void add_engine_options(CLI::App& command, std::string& group, std::string& control_socket) {
  command.add_option("--group", group, "the group to act for");
  command.add_option("--control-socket", control_socket, "of the engine; usually /run/tlsmux/control.sock");
}

CLI::App* add_check(CLI::App& arguments, std::string& path) {
  auto* command = arguments.add_subcommand("check", "Says everything that is wrong with a configuration file");
  command->add_option("FILE", path, "the configuration file (JSON)")->required();
  return command;
}

CLI::App* add_send(CLI::App& arguments, cli::SendOptions& options) {
  auto* command = arguments.add_subcommand("send", "Sends one message and prints the answer");
  command->add_option("UPSTREAM", options.upstream, "where to")->required();
  auto* hex = command->add_option("--hex", options.hex, "the message as hexadecimal digits");
  command->add_option("--file", options.file, "the file that holds the message; otherwise standard input")
      ->excludes(hex);
  add_engine_options(*command, options.group, options.control_socket);
  command->add_option("--timeout-ms", options.timeout_ms, "how long to wait; otherwise as long as the upstream says")
      ->check(CLI::Range(1U, tlsmux::config::kTimeoutMsMax));
  command->add_flag("--json", options.json, "print outcome and answer as one JSON object");
  command->add_flag("--hex-output", options.hex_output, "print the answer as hexadecimal digits");
  return command;
}

CLI::App* add_status(CLI::App& arguments, cli::StatusOptions& options) {
  auto* command = arguments.add_subcommand("status", "Shows upstreams, sessions and clients");
  add_engine_options(*command, options.group, options.control_socket);
  command->add_flag("--json", options.json, "print one JSON object");
  return command;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App arguments("Looks after tlsmux, which shares TLS sessions by message between processes.", "tlsmux");
  arguments.footer(kAfterword);
  arguments.set_version_flag("--version", "tlsmux " TLSMUX_VERSION);
  arguments.require_subcommand(1);
  std::string path;
  cli::SendOptions send_options;
  cli::StatusOptions status_options;
  const auto* check = add_check(arguments, path);
  const auto* send = add_send(arguments, send_options);
  add_status(arguments, status_options);
  try {
    arguments.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return arguments.exit(error) == 0 ? cli::kExitDone : cli::kExitUsage;
  }
  if (check->parsed()) return cli::run_check(path);
  if (send->parsed()) return cli::run_send(send_options);
  return cli::run_status(status_options);
}
