#pragma once

// Changes a running engine over to what the configuration file says now: all of it or nothing.

#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <vector>

#include "config/config.hpp"
#include "engine/broker/broker_client.hpp"
#include "engine/control/refresher.hpp"
#include "engine/log.hpp"
#include "engine/mux/multiplexer.hpp"
#include "engine/tls/tls_library.hpp"
#include "engine/tls/tls_session.hpp"
#include "engine/tls_contents.hpp"
#include "shm/system_error.hpp"

namespace tlsmux::engine {

// The control thread's. What it refers to outlives it.
class Refresh final : public control::Refresher {
 public:
  Refresh(broker::BrokerClient& broker, tls::TlsLibrary& library, const config::Config& config, Log& log);

  // For the engine's start, once: a client for each upstream, for the shard.
  std::expected<std::vector<std::unique_ptr<tls::TlsClient>>, shm::SystemError> make_tls_clients();

  control::RefreshPlan prepare(bool dry_run) override;
  void adopt() override;

  // Where the broker's configuration has what is upstream `index` here.
  [[nodiscard]] std::uint32_t place_at_broker(std::uint32_t index) const { return upstreams_[index].place; }

 private:
  struct Upstream {
    std::uint32_t place = 0;                     // in the broker's configuration
    std::uint32_t session_places = 0;            // in the engine
    const tls::TlsClient* tls_client = nullptr;  // the shard's; it changes by orders from here only
    TlsContents contents;                        // of the files that it was made from
  };

  control::RefreshPlan plan(const config::Config& candidate);
  std::expected<std::unique_ptr<tls::TlsClient>, shm::SystemError> make_tls_client(const config::TlsSettings& settings,
                                                                                   broker::UpstreamPlace place,
                                                                                   Upstream& upstream) const;
  void check_places(const config::Config& candidate, std::vector<config::Change>& changes) const;
  void check_prefix(const config::UpstreamSettings& settings, std::size_t place,
                    std::vector<config::Change>& changes) const;
  [[nodiscard]] std::vector<bool> rows_taken(const config::Config& config, std::size_t group) const;
  [[nodiscard]] std::expected<void, std::string> check_rows() const;
  std::string why_not_added(const config::UpstreamSettings& settings, std::uint32_t& spare_places) const;
  [[nodiscard]] std::size_t index_before(std::uint32_t index) const;
  std::expected<void, std::string> prepare_upstream(std::uint32_t index, const config::Config& candidate,
                                                    control::RefreshPlan& plan, ApplyConfig& order);
  std::expected<void, std::string> prepare_groups(control::RefreshPlan& plan) const;

  broker::BrokerClient& broker_;
  tls::TlsLibrary& library_;
  Log& log_;
  std::shared_ptr<const config::Config> config_;  // with everything at the engine's own places
  std::vector<Upstream> upstreams_;
  message::SipHashKey contents_key_;
  // What the engine was started with room for.
  std::size_t prefix_bytes_ = 0;  // of each request
  struct Rows {
    std::size_t count = 0;
    std::vector<bool> taken;  // by upstream
  };
  std::vector<Rows> rows_;  // for upstreams, of each group
  std::uint32_t spare_places_ = mux::kSpareSessionPlaces;
  // Of the last prepare(), until they are adopted.
  std::shared_ptr<config::Config> next_config_;
  std::vector<Upstream> next_upstreams_;
};

}  // namespace tlsmux::engine
