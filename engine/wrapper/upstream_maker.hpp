#pragma once

// Makes upstreams for rules with `create`, the first time that a program asks for a name.

#include <cstdint>
#include <expected>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "config/config.hpp"
#include "engine/log/log.hpp"

namespace tlsmux::engine::wrapper {

// The control thread's.
class UpstreamMaker {
 public:
  // Adds an upstream to the running engine, with the TLS material of its model. Its configuration has it when this returns.
  // Blocks on the broker and on files. An error says why it cannot be.
  using Add =
      std::function<std::expected<void, std::string>(const config::UpstreamSettings& made, std::string_view model)>;

  // `config` tells the configuration that holds now. What these refer to outlives it.
  UpstreamMaker(std::function<const config::Config&()> config, Add add, Log& log)
      : config_(std::move(config)), add_(std::move(add)), log_(log) {}

  // The name of the upstream that `rule` leads a program to which sets this server name; it fits the rule. Nothing: there
  // is none, and none can be made. The log tells why, once for each reason until the configuration changes.
  std::optional<std::string> find_or_make(const config::SslWrapperRule& rule, std::string_view server_name,
                                          std::uint32_t pid, std::uint32_t uid);

  // There may be room now for what there was none for, and what was wrong with a model may be right.
  void config_changed() { told_.clear(); }

 private:
  bool make(const config::UpstreamSettings& model, const std::string& host, std::uint16_t port);
  void tell(const std::string& reason, std::string_view name, std::string_view why, std::string_view means);

  std::function<const config::Config&()> config_;
  Add add_;
  Log& log_;
  std::set<std::string> told_;  // reasons; no more of them than there are models, and a few
};

}  // namespace tlsmux::engine::wrapper
