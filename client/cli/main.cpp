// tlsmux: checks configurations, sends single messages, shows what an engine does.

#include <algorithm>
#include <cstdio>
#include <exception>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <CLI/CLI.hpp>

#include "client/cli/check.hpp"
#include "client/cli/drain.hpp"
#include "client/cli/exit_code.hpp"
#include "client/cli/listen.hpp"
#include "client/cli/ports_commands.hpp"
#include "client/cli/refresh.hpp"
#include "client/cli/send.hpp"
#include "client/cli/status.hpp"
#include "config/limits.hpp"
#include "config/wording.hpp"

namespace {

namespace cli = tlsmux::client::cli;

constexpr const char* kAfterword =
    "Exit codes: 0 done, or the request was answered; 1 errors in the configuration, no such group or upstream, the\n"
    "request could not be made, a drain had to end requests, a refresh or a port was refused, or ports --check found\n"
    "differences; 2 wrong usage; 3 NOT_SENT; 4 MAYBE_SENT; 5 no engine, none that answers, or no access to it.\n"
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

CLI::App* add_listen(CLI::App& arguments, cli::ListenOptions& options) {
  auto* command =
      arguments.add_subcommand("listen", "Prints what comes from an upstream without having been asked for");
  command->add_option("UPSTREAM", options.upstream, "from where")->required();
  add_engine_options(*command, options.group, options.control_socket);
  command->add_flag("--late", options.late, "late answers that no channel waits for");
  command->add_flag("--unsolicited", options.unsolicited, "what the host sends unasked; nothing answers it");
  command->add_flag("--orphans", options.orphans,
                    "outcomes of requests whose process died; once printed, nobody else gets them");
  command->add_option("--count", options.count, "end after so many")->check(CLI::PositiveNumber);
  command->add_flag("--json", options.json, "print one JSON object a line");
  command->add_flag("--hex", options.hex, "SHOW PAYLOAD, as hexadecimal digits; otherwise only its length is shown");
  return command;
}

CLI::App* add_status(CLI::App& arguments, cli::StatusOptions& options) {
  auto* command = arguments.add_subcommand("status", "Shows upstreams, sessions and clients");
  add_engine_options(*command, options.group, options.control_socket);
  command->add_flag("--json", options.json, "print one JSON object");
  return command;
}

CLI::App* add_drain(CLI::App& arguments, cli::DrainOptions& options) {
  auto* command = arguments.add_subcommand(
      "drain", "Has an upstream take no more requests, and ends its sessions once those that it has are done");
  command->add_option("UPSTREAM", options.upstream, "which one")->required();
  auto* resume = command->add_flag("--resume", options.resume, "let it take requests again");
  command
      ->add_option(
          "--timeout-ms", options.timeout_ms,
          "how long requests may take; then they are ended. Otherwise as the upstream's timeouts/drain_ms says")
      ->check(CLI::Range(1U, tlsmux::config::kTimeoutMsMax))
      ->excludes(resume);
  command->add_option("--control-socket", options.control_socket, "of the engine; usually /run/tlsmux/control.sock");
  return command;
}

CLI::App* add_refresh(CLI::App& arguments, cli::RefreshOptions& options) {
  auto* command = arguments.add_subcommand(
      "refresh", "Has the engine read its configuration file again and change over to it: all of it, or nothing");
  command->add_flag("--dry-run", options.dry_run, "only say what would change, and what stands in the way");
  command->add_flag("--json", options.json, "print one JSON object");
  command->add_option("--control-socket", options.control_socket, "of the engine; usually /run/tlsmux/control.sock");
  return command;
}

// What CLI11 only calls a command that is missing.
std::optional<std::string> find_mistyped(CLI::App& arguments, std::string_view word) {
  if (word.starts_with('-')) return std::nullopt;
  std::vector<std::string_view> names;
  for (const auto* command : arguments.get_subcommands([](const CLI::App*) { return true; })) {
    names.push_back(command->get_name());
  }
  if (std::ranges::find(names, word) != names.end()) return std::nullopt;
  return "no command " + tlsmux::config::in_quotes(word) + "; " + tlsmux::config::suggestion(word, names);
}

int refuse(const std::string& why) {
  std::fprintf(stderr, "%s\nRun with --help for more information.\n", why.c_str());
  return cli::kExitUsage;
}

int run(int argc, char** argv) {
  CLI::App arguments("Looks after tlsmux, which shares TLS sessions by message between processes.", "tlsmux");
  arguments.footer(kAfterword);
  arguments.set_version_flag("--version", "tlsmux " TLSMUX_VERSION);
  arguments.require_subcommand(1);
  std::string path;
  cli::SendOptions send_options;
  cli::ListenOptions listen_options;
  cli::StatusOptions status_options;
  cli::DrainOptions drain_options;
  cli::RefreshOptions refresh_options;
  const auto* check = add_check(arguments, path);
  const auto* send = add_send(arguments, send_options);
  const auto* listen = add_listen(arguments, listen_options);
  const auto* drain = add_drain(arguments, drain_options);
  const auto* refresh = add_refresh(arguments, refresh_options);
  const cli::PortsCommands ports(arguments);
  add_status(arguments, status_options);
  try {
    arguments.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const auto mistyped = argc > 1 ? find_mistyped(arguments, argv[1]) : std::nullopt;
    if (mistyped) return refuse(*mistyped);
    if (const auto in_ports = ports.find_mistyped(error)) return refuse(*in_ports);
    const bool is_unexpected = dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr;
    if (is_unexpected && std::string_view(argv[1]).starts_with('-')) {
      return refuse("options come after the command, as in: tlsmux status --json");
    }
    return arguments.exit(error) == 0 ? cli::kExitDone : cli::kExitUsage;
  }
  if (check->parsed()) return cli::run_check(path);
  if (send->parsed()) return cli::run_send(send_options);
  if (listen->parsed()) return cli::run_listen(listen_options);
  if (drain->parsed()) return cli::run_drain(drain_options);
  if (refresh->parsed()) return cli::run_refresh(refresh_options);
  if (ports.parsed()) return ports.run();
  return cli::run_status(status_options);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "tlsmux: %s\n", error.what());
    return cli::kExitFailed;
  }
}
