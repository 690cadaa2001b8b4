#pragma once

// `tlsmux ports` and the commands below it: what they are called, and their arguments. What each does is in a file of its
// own, ports_*.cpp.

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>

#include "client/cli/ports_claim.hpp"
#include "client/cli/ports_unpin.hpp"
#include "client/cli/ports_view.hpp"

namespace tlsmux::client::cli {

class PortsCommands {
 public:
  // Adds them. The arguments must outlive this.
  explicit PortsCommands(CLI::App& arguments);
  PortsCommands(const PortsCommands&) = delete;
  PortsCommands& operator=(const PortsCommands&) = delete;

  [[nodiscard]] bool parsed() const { return ports_->parsed(); }
  // What looks like a command and was taken for a group, after which more came than a group has. Nothing: it was not that.
  [[nodiscard]] std::optional<std::string> find_mistyped(const CLI::ParseError& error) const;
  // Does what the arguments ask for. Returns the exit code.
  [[nodiscard]] int run() const;

 private:
  void add_view();
  void add_claim();
  void add_release();
  void add_import();
  void add_export();
  void add_apply();
  void add_unpin();
  CLI::App* add(const std::string& name, const std::string& description, std::function<int()> run);

  CLI::App* ports_;
  std::vector<std::pair<CLI::App*, std::function<int()>>> commands_;
  PortsViewOptions view_options_;
  PortsClaimOptions claim_options_;
  PortsReleaseOptions release_options_;
  std::string import_path_;
  std::string export_path_;
  std::string apply_path_;
  PortsUnpinOptions unpin_options_;
};

}  // namespace tlsmux::client::cli
