#pragma once

// The trust boundary: takes descriptors off a client's request rings, copies each once, checks the copy, and hands on
// only what keeps to the rules.

#include <cstdint>
#include <expected>
#include <string_view>

#include "engine/client_table.hpp"
#include "engine/mux/multiplexer.hpp"

namespace tlsmux::engine {

class Intake {
 public:
  // All outlive it.
  Intake(const config::Config& config, mux::Multiplexer& multiplexer) : config_(&config), multiplexer_(&multiplexer) {}

  // Takes what the client has published, a bounded number of requests for each channel. True when there was anything;
  // the error is the rule that the client broke.
  std::expected<bool, std::string_view> take(Client& client);

  // True when the client has published something that take() has not seen.
  static bool has_more(const Client& client);

 private:
  std::expected<bool, std::string_view> take_channel(Client& client, std::uint32_t number);
  std::string_view broken_rule(const Channel& channel, const shm::RequestDescriptor& descriptor) const;
  void submit(Client& client, std::uint32_t number, const shm::RequestDescriptor& descriptor);

  const config::Config* config_;
  mux::Multiplexer* multiplexer_;
};

}  // namespace tlsmux::engine
