#include <map>

#include "client/cli/account_names.hpp"
#include "client/cli/ports_compare.hpp"

namespace tlsmux::client::cli {
namespace {

// Asks for each once.
class Names {
 public:
  explicit Names(std::string (*look_up)(std::uint32_t)) : look_up_(look_up) {}
  const std::string& of(std::uint32_t number) {
    const auto [place, is_new] = known_.try_emplace(number);
    if (is_new) place->second = look_up_(number);
    return place->second;
  }

 private:
  std::string (*look_up_)(std::uint32_t);
  std::map<std::uint32_t, std::string> known_;
};

}  // namespace

void name_accounts(PortsReport& report) {
  Names users(&user_name);
  Names unix_groups(&unix_group_name);
  for (auto& each : report.rules.users) each.name = users.of(each.number);
  for (auto& each : report.rules.unix_groups) each.name = unix_groups.of(each.number);
  for (auto& each : report.last_denials) each.user = users.of(each.uid);
  for (auto& port : report.ports) {
    if (port.pid != 0) port.user = users.of(port.uid);
    for (auto& holder : port.holders) holder.user = users.of(holder.uid);
  }
}

}  // namespace tlsmux::client::cli
