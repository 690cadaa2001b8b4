#include "client/cli/ports_import.hpp"

#include <cstdio>

#include "client/cli/exit_code.hpp"
#include "config/config_file.hpp"
#include "config/limits.hpp"
#include "config/text_file.hpp"
#include "ports/services/services_file.hpp"

namespace tlsmux::client::cli {
namespace {

int report(const std::string& path, const config::ConfigErrors& errors) {
  std::fputs(config::format_errors(path, errors).c_str(), stderr);
  std::fprintf(stderr, "%zu error%s\n", errors.size(), errors.size() == 1 ? "" : "s");
  return kExitFailed;
}

}  // namespace

int run_ports_import(const std::string& path) {
  const auto text = config::read_text_file(path, config::kConfigFileBytesMax, "services file");
  if (!text) return report(path, {{.pointer = {}, .message = text.error()}});
  const auto groups = ports::parse_services(*text);
  if (!groups) return report(path, groups.error());
  std::fputs(ports::groups_json(*groups).c_str(), stdout);
  return kExitDone;
}

int run_ports_export(const std::string& path) {
  const auto config = config::load(path);
  if (!config) return report(path, config.error());
  std::fputs(ports::format_services(config->groups).c_str(), stdout);
  return kExitDone;
}

}  // namespace tlsmux::client::cli
