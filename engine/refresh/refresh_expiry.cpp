// Warnings of files that hold for a time only, as they were read last.

#include <time.h>

#include "config/json/json_pointer.hpp"
#include "engine/refresh/refresh.hpp"

namespace tlsmux::engine {

// Once of all that were made of one model.
void Refresh::add_expiry_warnings(const Upstream& upstream, std::string& warnings) {
  const auto tls = config::pointer_to(config::pointer_to("/upstreams", upstream.place), "tls");
  for (const auto& expiring : upstream.expiring) {
    const auto words = tls::expiry_warning(expiring, ::time(nullptr));
    if (words.empty()) continue;
    const auto line = config::pointer_to(tls, expiring.setting()) + ": " + words + "\n";
    if (!warnings.contains(line)) warnings += line;
  }
}

std::string Refresh::expiry_warnings() const {
  std::string warnings;
  for (std::size_t i = 0; i < upstreams_.size(); ++i) {
    if (!config_->upstreams[i].name.empty()) add_expiry_warnings(upstreams_[i], warnings);
  }
  return warnings;
}

}  // namespace tlsmux::engine
