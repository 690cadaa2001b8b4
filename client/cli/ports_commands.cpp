#include "client/cli/ports_commands.hpp"

#include <string_view>

#include "client/cli/ports_apply.hpp"
#include "client/cli/ports_import.hpp"
#include "config/wording.hpp"

namespace tlsmux::client::cli {
namespace {

constexpr const char* kViewAfterword =
    "Without a command: the rules of each group, which ports are not free and who has them, beside what the kernel\n"
    "says (sock_diag, /proc). A \"!\" marks a port of which the two differ: not_in_table, not_held, owner_differs,\n"
    "held_in_quarantine, stranger. What has begun or ended within the engine's port_sweep_ms may differ for so long.\n"
    "Of other users' processes only root is told who has a socket open.\n"
    "Differences do not change the exit code, unless --check is given; a script may also ask\n"
    "  tlsmux ports --json | jq '.groups[].ports[] | select(.differences != [])'\n"
    "A group that is called like one of the commands is shown by --group.";

constexpr const char* kControlSocketHelp = "of the engine; usually /run/tlsmux/control.sock";

}  // namespace

PortsCommands::PortsCommands(CLI::App& arguments)
    : ports_(arguments.add_subcommand("ports", "Shows the ports of groups and who has them, and looks after them")) {
  ports_->require_subcommand(0, 1);
  ports_->footer(kViewAfterword);
  add_view();
  add_claim();
  add_release();
  add_import();
  add_export();
  add_apply();
  add_unpin();
}

int PortsCommands::run() const {
  for (const auto& [command, run] : commands_) {
    if (command->parsed()) return run();
  }
  return run_ports_view(view_options_);
}

std::optional<std::string> PortsCommands::find_mistyped(const CLI::ParseError& error) const {
  if (!parsed() || dynamic_cast<const CLI::ExtrasError*>(&error) == nullptr) return std::nullopt;
  std::vector<std::string_view> names;
  for (const auto& [command, run] : commands_) names.push_back(command->get_name());
  if (!config::nearest(view_options_.group, names)) return std::nullopt;
  return "no command " + config::in_quotes(view_options_.group) + "; " + config::suggestion(view_options_.group, names);
}

CLI::App* PortsCommands::add(const std::string& name, const std::string& description, std::function<int()> run) {
  CLI::App* command = ports_->add_subcommand(name, description);
  commands_.emplace_back(command, std::move(run));
  return command;
}

void PortsCommands::add_view() {
  ports_->add_option("GROUP,--group", view_options_.group, "otherwise TLSMUX_GROUP, else all that you may look at");
  ports_->add_option("--control-socket", view_options_.control_socket, kControlSocketHelp);
  ports_->add_flag("--json", view_options_.json, "print one JSON object; with --watch one on each line");
  ports_->add_flag("--watch", view_options_.watch, "again every second, until it is interrupted");
  ports_->add_flag("--check", view_options_.check, "exit code 1 where table and kernel differ");
}

void PortsCommands::add_claim() {
  auto* command = add("claim",
                      "Takes a port of a group for a script, and prints its number. It belongs to the shell that runs "
                      "the command until it is released, or the shell has ended, and no socket holds it",
                      [this] { return run_ports_claim(claim_options_); });
  command->add_option("GROUP", claim_options_.group, "of which you are a member")->required();
  command->add_option("TYPE", claim_options_.type, "dynamic, dynamic:LABEL, static or static:LABEL")->required();
  command->add_option("--protocol", claim_options_.protocol, "tcp or udp; otherwise tcp")
      ->check(CLI::IsMember({"tcp", "udp"}));
  command->add_option("--for", claim_options_.owner_pid, "the pid of the process that gets it; one of your own")
      ->check(CLI::PositiveNumber);
  command->add_option("--control-socket", claim_options_.control_socket, kControlSocketHelp);
}

void PortsCommands::add_release() {
  auto* command = add("release", "Gives such a port back; it is free once no socket holds it",
                      [this] { return run_ports_release(release_options_); });
  command->add_option("GROUP", release_options_.group, "whose port it is")->required();
  command->add_option("PORT", release_options_.port, "its number")->required()->check(CLI::Range(1, 65'535));
  command->add_option("--protocol", release_options_.protocol, "tcp or udp; otherwise tcp")
      ->check(CLI::IsMember({"tcp", "udp"}));
  command->add_option("--for", release_options_.owner_pid, "the pid of its owner; otherwise the shell")
      ->check(CLI::PositiveNumber);
  command->add_option("--control-socket", release_options_.control_socket, kControlSocketHelp);
}

void PortsCommands::add_import() {
  auto* command = add("import",
                      "Prints the \"groups\" of a configuration, made of a file in the form of /etc/services (lines "
                      "Service, User, Group, Static, Dynamic)",
                      [this] { return run_ports_import(import_path_); });
  command->add_option("FILE", import_path_, "the file")->required();
}

void PortsCommands::add_export() {
  auto* command = add("export", "Prints members and ports of a configuration's groups in that form",
                      [this] { return run_ports_export(export_path_); });
  command->add_option("CONFIG", export_path_, "the configuration file (JSON)")->required();
}

void PortsCommands::add_apply() {
  auto* command =
      add("apply",
          "Puts the reservation and the guard of a configuration in place while no tlsmuxd runs, such as when "
          "the machine starts; takes root",
          [this] { return run_ports_apply(apply_path_); });
  command->add_option("CONFIG", apply_path_, "the configuration file (JSON)")->required();
}

void PortsCommands::add_unpin() {
  auto* command = add("unpin", "Takes the guard and its reservation away, once tlsmuxd has stopped; takes root",
                      [this] { return run_ports_unpin(unpin_options_); });
  command->add_option("CONFIG", unpin_options_.config, "the configuration file whose guard it is (JSON)");
  command->add_option("--control-socket", unpin_options_.control_socket,
                      "of the engine, where no file is given; usually /run/tlsmux/control.sock");
  command->add_flag("--all", unpin_options_.all, "and all others that are pinned beside it");
}

}  // namespace tlsmux::client::cli
