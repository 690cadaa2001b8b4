#pragma once

// Changes a running engine over to what the configuration file says now: all of it or nothing.

#include <algorithm>
#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.hpp"
#include "engine/account_lookup.hpp"
#include "engine/broker/broker_client.hpp"
#include "engine/control/refresher.hpp"
#include "engine/log/log.hpp"
#include "engine/mux/multiplexer.hpp"
#include "engine/ports/port_rows.hpp"
#include "engine/refresh/tls_contents.hpp"
#include "engine/shard/shard_of.hpp"
#include "engine/tls/expiry.hpp"
#include "engine/tls/tls_library.hpp"
#include "engine/tls/tls_session.hpp"
#include "shm/function_ref.hpp"
#include "shm/group_part.hpp"
#include "shm/system/system_error.hpp"

namespace tlsmux::engine {

// The control thread's. What it refers to outlives it.
class Refresh final : public control::Refresher {
 public:
  // `identity` is what the engine's group parts say of it.
  Refresh(broker::BrokerClient& broker, AccountLookup& accounts, tls::TlsLibrary& library, const config::Config& config,
          const shm::GroupIdentity& identity, Log& log);

  // For the engine's start, once: a client for each upstream, for its shard.
  std::expected<std::vector<std::unique_ptr<tls::TlsClient>>, shm::SystemError> make_tls_clients();

  control::RefreshPlan prepare(bool dry_run) override;
  void adopt() override;
  std::string expiry_warnings() const override;

  // Not while a refresh is under way. The configuration with one more upstream, of config::made_upstream(), with `model`'s
  // TLS material: it holds from here on, and what is returned is the order for the shards, which they do not answer. Their
  // mailboxes being in order, what they are told later finds the upstream there. An error changes nothing.
  std::expected<ApplyConfig, std::string> make_upstream(const config::UpstreamSettings& made, std::string_view model);

  // What holds now, with everything at the engine's own places.
  [[nodiscard]] const config::Config& config() const { return *config_; }

  // Where the broker's configuration has what is upstream `index` here.
  [[nodiscard]] std::uint32_t place_at_broker(std::uint32_t index) const { return upstreams_[index].place; }

  // The same of group `index`.
  [[nodiscard]] broker::ConfigPlace place_of_group(std::uint32_t index) const { return {.index = groups_[index]}; }

  // The shard of the upstream that has this name now; any of a name that none has.
  [[nodiscard]] std::uint32_t shard_of(std::string_view name) const {
    const auto& all = config_->upstreams;
    const auto index = std::ranges::find(all, name, &config::UpstreamSettings::name) - all.begin();
    return engine::shard_of(static_cast<std::size_t>(index), shards());
  }

  // Removes the objects of the groups that there are now, for a broker that is dead, but for those of which the next
  // tlsmuxd is to know what they say. The engine still holds the locks.
  void remove_group_objects(shm::FunctionRef<bool(std::uint32_t group)> is_left) const;

 private:
  struct Upstream {
    std::uint32_t place = 0;                     // in the broker's configuration; of one that was made, its model's
    std::uint32_t session_places = 0;            // in the engine
    const tls::TlsClient* tls_client = nullptr;  // the shard's; it changes by orders from here only
    TlsContents contents;                        // of the files that it was made from
    std::vector<tls::Expiring> expiring = {};    // of those files
  };

  static void add_expiry_warnings(const Upstream& upstream, std::string& warnings);
  control::RefreshPlan plan(const config::Config& file);
  std::vector<config::Change> find_changes(const config::Config& before, config::Config& candidate) const;
  std::expected<std::unique_ptr<tls::TlsClient>, shm::SystemError> make_tls_client(const config::TlsSettings& settings,
                                                                                   broker::ConfigPlace place,
                                                                                   Upstream& upstream) const;
  void check_places(const config::Config& candidate, std::vector<config::Change>& changes) const;
  void check_prefix(const config::UpstreamSettings& settings, std::size_t place,
                    std::vector<config::Change>& changes) const;
  [[nodiscard]] std::vector<bool> rows_taken(const config::Config& config, std::size_t group) const;
  [[nodiscard]] std::expected<void, std::string> check_rows() const;
  std::string why_not_added(const config::UpstreamSettings& settings, std::uint32_t& spare_places) const;
  [[nodiscard]] std::uint32_t shards() const { return config_->engine.shards; }
  [[nodiscard]] std::size_t index_before(std::uint32_t index) const;
  std::expected<void, std::string> prepare_upstream(std::uint32_t index, const config::Config& candidate,
                                                    control::RefreshPlan& plan, ApplyConfig& order);
  std::expected<void, std::string> prepare_groups(const config::Config& candidate, control::RefreshPlan& plan,
                                                  ApplyConfig& order) const;
  void drop(control::RefreshPlan& plan);
  void add_rows();

  broker::BrokerClient& broker_;
  AccountLookup& accounts_;
  tls::TlsLibrary& library_;
  shm::GroupIdentity identity_;
  Log& log_;
  std::shared_ptr<const config::Config> config_;  // with everything at the engine's own places
  std::vector<Upstream> upstreams_;
  std::vector<std::uint32_t> groups_;  // where the broker's configuration has them
  message::SipHashKey contents_key_;
  // What the engine was started with room for.
  std::size_t prefix_bytes_ = 0;             // of each request
  std::size_t spare_send_memory_bytes_ = 0;  // of each session
  struct Rows {
    std::size_t count = 0;
    std::vector<bool> taken;  // by upstream
    PortRows ports;
  };
  std::vector<Rows> rows_;                   // of each group; `count` and `taken` are those for upstreams
  std::vector<std::uint32_t> spare_places_;  // of each shard
  // Of the last prepare(), until they are adopted.
  std::shared_ptr<config::Config> next_config_;
  std::vector<Upstream> next_upstreams_;
  std::vector<std::uint32_t> next_groups_;
};

}  // namespace tlsmux::engine
