#include "engine/refresh/refresh.hpp"

#include <sys/random.h>
#include <time.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <string>
#include <utility>

#include "config/config_bundle.hpp"
#include "config/json/json_pointer.hpp"
#include "config/made_upstreams.hpp"
#include "engine/group_memory.hpp"
#include "engine/refresh/tls_files.hpp"
#include "engine/shard/status_board.hpp"
#include "engine/tls/mbedtls_client.hpp"
#include "shm/segment.hpp"

namespace tlsmux::engine {
namespace {

// For each group. The control thread waits for it: nobody can attach meanwhile.
constexpr std::chrono::seconds kAccountsPatience{5};

template <typename Named>
std::uint32_t place_of(const std::vector<Named>& all, const std::string& name) {
  return static_cast<std::uint32_t>(std::ranges::find(all, name, &Named::name) - all.begin());
}

template <typename Named>
bool is_gone(const Named& one) {
  return one.name.empty();
}

// What is there in the order in which `order` has it, then what is new. What is gone keeps its place, without a name.
template <typename Named>
std::vector<Named> in_order_of(const std::vector<Named>& order, const std::vector<Named>& all) {
  auto result = order;
  for (auto& one : result) {
    const auto place = place_of(all, one.name);
    if (place < all.size()) {
      one = all[place];
    } else {
      one.name.clear();
    }
  }
  for (const auto& one : all) {
    if (place_of(order, one.name) == order.size()) result.push_back(one);
  }
  return result;
}

// Without what is gone.
config::Config present(const config::Config& config) {
  auto result = config;
  std::erase_if(result.groups, is_gone<config::GroupSettings>);
  std::erase_if(result.upstreams, is_gone<config::UpstreamSettings>);
  return result;
}

// Within the list of upstreams; what was removed is told by its place in the earlier configuration.
std::string setting_of(const config::Change& change, std::size_t place_before, std::size_t place) {
  const bool is_removed = change.kind == config::Change::Kind::removed;
  const auto prefix = config::pointer_to("/upstreams", is_removed ? place_before : place) + "/";
  return change.pointer.starts_with(prefix) ? change.pointer.substr(prefix.size()) : std::string();
}

std::string lines(const config::ConfigErrors& errors) {
  std::string text;
  for (const auto& error : errors) text += error.pointer + ": " + error.message + "\n";
  return text;
}

}  // namespace

Refresh::Refresh(broker::BrokerClient& broker, AccountLookup& accounts, tls::TlsLibrary& library,
                 const config::Config& config, const shm::GroupIdentity& identity, Log& log)
    : broker_(broker),
      accounts_(accounts),
      library_(library),
      identity_(identity),
      log_(log),
      config_(std::make_shared<const config::Config>(config)),
      spare_send_memory_bytes_(mux::spare_send_memory_bytes(config)),
      spare_places_(config.engine.shards, mux::spare_session_places(config)) {
  [[maybe_unused]] const auto got = ::getrandom(&contents_key_, sizeof contents_key_, 0);
  for (std::uint32_t i = 0; i < config.upstreams.size(); ++i) {
    upstreams_.push_back({.place = i,
                          .session_places = mux::session_places(config.upstreams[i]),
                          .tls_client = nullptr,
                          .contents = {}});
    prefix_bytes_ = std::max(prefix_bytes_, mux::prefix_bytes(config.upstreams[i]));
  }
  for (std::uint32_t i = 0; i < config.groups.size(); ++i) groups_.push_back(i);
  add_rows();
}

std::expected<std::unique_ptr<tls::TlsClient>, shm::SystemError> Refresh::make_tls_client(
    const config::TlsSettings& settings, broker::ConfigPlace place, Upstream& upstream) const {
  const auto material = read_tls_files(broker_, settings, place);
  if (!material) return std::unexpected(material.error());
  auto client = tls::make_mbedtls_client(library_, settings, *material, upstream.tls_client);
  if (!client) return std::unexpected(shm::SystemError{.code = EINVAL, .message = client.error().words});
  upstream.contents = TlsContents(contents_key_, *material);
  upstream.expiring = tls::find_expiring(*material);
  upstream.tls_client = client->get();
  return std::move(*client);
}

std::expected<std::vector<std::unique_ptr<tls::TlsClient>>, shm::SystemError> Refresh::make_tls_clients() {
  std::vector<std::unique_ptr<tls::TlsClient>> clients;
  for (std::uint32_t i = 0; i < upstreams_.size(); ++i) {
    const auto& settings = config_->upstreams[i];
    auto client = make_tls_client(settings.tls, {.index = i}, upstreams_[i]);
    if (!client) {
      return std::unexpected(shm::SystemError{.code = client.error().code,
                                              .message = "upstream " + settings.name + ": " + client.error().message});
    }
    clients.push_back(std::move(*client));
  }
  return clients;
}

control::RefreshPlan Refresh::prepare(bool dry_run) {
  const auto refused = [](std::string errors) {
    if (!errors.ends_with('\n')) errors += '\n';
    return control::RefreshPlan{
        .changes = {}, .errors = std::move(errors), .order = {}, .groups = {}, .groups_added = {}};
  };
  const auto read = broker_.load_candidate();
  if (!read) return refused(read.error().message);
  if (read->is_refused) return refused(read->text);
  const auto bundle = config::parse_bundle(read->text);
  if (!bundle) return refused("the broker's configuration: " + bundle.error());
  const auto candidate = config::load_bundle(*bundle);
  if (!candidate) return refused(lines(candidate.error()));
  auto prepared = plan(*candidate);
  if (dry_run || prepared.is_refused() || prepared.changes.empty()) drop(prepared);
  return prepared;
}

void Refresh::drop(control::RefreshPlan& plan) {
  plan.order.reset();
  next_config_.reset();
  if (const auto dropped = broker_.drop_candidate(); !dropped) {
    // The broker is dead, and cannot remove what it has made for us.
    for (const auto& group : plan.groups_added) shm::remove_group_object(group.name);
    plan.errors += dropped.error().message + "\n";
  }
  plan.groups_added.clear();
}

control::RefreshPlan Refresh::plan(const config::Config& file) {
  const auto before = present(*config_);
  auto candidate = config::with_made(before, file);
  control::RefreshPlan result{
      .changes = find_changes(before, candidate), .errors = {}, .order = {}, .groups = {}, .groups_added = {}};
  if (!config::all_live(result.changes)) return result;
  next_upstreams_ = upstreams_;
  next_config_ =
      std::make_shared<config::Config>(config::Config{.engine = candidate.engine,
                                                      .groups = in_order_of(config_->groups, candidate.groups),
                                                      .upstreams = in_order_of(config_->upstreams, candidate.upstreams),
                                                      .ssl_wrapper = candidate.ssl_wrapper});
  next_groups_.clear();
  for (auto& group : next_config_->groups) {
    next_groups_.push_back(place_of(candidate.groups, group.name));
    if (is_gone(group)) group.orphans.count_max = 0;
  }
  if (auto room = check_rows(); !room) {
    result.errors = std::move(room.error());
    return result;
  }
  for (std::size_t i = next_upstreams_.size(); i < next_config_->upstreams.size(); ++i) {
    next_upstreams_.push_back({.place = 0,
                               .session_places = mux::session_places(next_config_->upstreams[i]),
                               .tls_client = nullptr,
                               .contents = {}});
  }
  ApplyConfig order{.config = next_config_, .upstreams = {}, .groups_added = {}, .groups_removed = {}};
  for (std::uint32_t i = 0; i < next_upstreams_.size(); ++i) {
    const bool was_there = i < upstreams_.size() && !is_gone(config_->upstreams[i]);
    if (is_gone(next_config_->upstreams[i])) {
      if (was_there) {
        order.upstreams.push_back({.kind = ApplyConfig::Kind::removed, .index = i, .tls_client = nullptr});
      }
      continue;
    }
    if (const auto done = prepare_upstream(i, candidate, result, order); !done) {
      result.errors += "upstream " + next_config_->upstreams[i].name + ": " + done.error() + "\n";
    }
  }
  if (const auto done = prepare_groups(candidate, result, order); !done) result.errors += done.error();
  config::point_into_file(candidate, result.changes);
  result.drain_timeout_ms = candidate.engine.drain_timeout_ms;
  result.idle_strategy = candidate.engine.idle_strategy;
  result.order = std::move(order);
  return result;
}

std::string Refresh::why_not_added(const config::UpstreamSettings& settings, std::uint32_t& spare_places) const {
  const auto places = mux::session_places(settings);
  if (places > spare_places) {
    return std::string(shards() == 1 ? "the engine" : "its shard") + " has room for " + std::to_string(spare_places) +
           " more sessions, it needs " + std::to_string(places) + " (one more than sessions_max)";
  }
  spare_places -= places;
  if (mux::send_memory_bytes(settings) > spare_send_memory_bytes_) {
    return "its framing.message_bytes_max is larger than what spare sessions have memory for";
  }
  if (mux::prefix_bytes(settings) > prefix_bytes_) {
    return "its messages need larger private copies than those of the upstreams that the engine was started with";
  }
  return {};
}

void Refresh::check_prefix(const config::UpstreamSettings& settings, std::size_t place,
                           std::vector<config::Change>& changes) const {
  if (mux::prefix_bytes(settings) <= prefix_bytes_) return;
  const auto pointer = config::pointer_to("/upstreams", place);
  for (auto& change : changes) {
    const bool is_about_it =
        change.pointer.starts_with(pointer + "/framing/") || change.pointer.starts_with(pointer + "/correlation/");
    if (!is_about_it || !change.live) continue;
    change.effect = config::Effect::engine_restart;
    change.live = false;
    change.why_not = "its messages need larger private copies than those that the engine was started for";
  }
}

// The table of sessions, and their memory, is made once.
void Refresh::check_places(const config::Config& candidate, std::vector<config::Change>& changes) const {
  auto spare_places = spare_places_;
  auto index = upstreams_.size();  // that the next to be added will have
  for (std::uint32_t place = 0; place < candidate.upstreams.size(); ++place) {
    const auto pointer = config::pointer_to("/upstreams", place);
    const auto added = std::ranges::find_if(changes, [&](const config::Change& change) {
      return change.kind == config::Change::Kind::added && change.pointer == pointer;
    });
    if (added == changes.end()) continue;
    auto why_not = why_not_added(candidate.upstreams[place], spare_places[engine::shard_of(index++, shards())]);
    if (why_not.empty()) continue;
    added->effect = config::Effect::engine_restart;
    added->live = false;
    added->why_not = std::move(why_not);
  }
  for (std::uint32_t i = 0; i < upstreams_.size(); ++i) {
    const auto place = place_of(candidate.upstreams, config_->upstreams[i].name);
    if (place == candidate.upstreams.size()) continue;
    check_prefix(candidate.upstreams[place], place, changes);
    if (mux::session_places(candidate.upstreams[place]) <= upstreams_[i].session_places) continue;
    const auto pointer = config::pointer_to("/upstreams", place);
    for (auto& change : changes) {
      if (change.pointer != pointer + "/sessions" && change.pointer != pointer + "/sessions_max") continue;
      change.effect = config::Effect::engine_restart;
      change.live = false;
      change.why_not = "the engine was started with room for " + std::to_string(upstreams_[i].session_places - 1) +
                       " sessions of this upstream";
    }
  }
}

std::expected<void, std::string> Refresh::prepare_upstream(std::uint32_t index, const config::Config& candidate,
                                                           control::RefreshPlan& plan, ApplyConfig& order) {
  auto& next = next_upstreams_[index];
  const auto& settings = next_config_->upstreams[index];
  const auto place = place_of(candidate.upstreams, settings.name);
  next.place = static_cast<std::uint32_t>(config::place_in_file(candidate, place));
  const auto pointer = config::pointer_to("/upstreams", place);
  const bool is_new = index >= upstreams_.size();
  const auto before = is_new ? TlsContents() : upstreams_[index].contents;
  auto client = make_tls_client(settings.tls, {.index = next.place, .in_candidate = true}, next);
  if (!client) return std::unexpected(client.error().message);
  add_expiry_warnings(next, plan.warnings);

  if (is_new) {
    order.upstreams.push_back({.kind = ApplyConfig::Kind::added, .index = index, .tls_client = std::move(*client)});
    return {};
  }
  ApplyConfig::Upstream changed{
      .kind = ApplyConfig::Kind::changed, .index = index, .tls_client = nullptr, .replace_sessions = false};
  bool any = false;
  bool any_tls = false;
  for (const auto& change : plan.changes) {
    const auto setting = setting_of(change, index_before(index), place);
    if (setting.empty()) continue;
    any = true;
    any_tls = any_tls || setting.starts_with("tls");
    changed.replace_sessions = changed.replace_sessions || change.effect == config::Effect::new_sessions_replace;
    if (change.effect == config::Effect::upstream_restart) changed.kind = ApplyConfig::Kind::restarted;
  }
  const auto differences = next.contents.differences(before);
  for (const auto setting : differences) {
    if (any_tls) break;  // a setting that names another file has its own line
    plan.changes.push_back(
        {.kind = config::Change::Kind::changed,
         .pointer = pointer + "/tls",
         .words = "upstream \"" + settings.name + "\": tls." + std::string(setting) + " has another content",
         .effect = config::Effect::new_sessions,
         .live = true,
         .why_not = {}});
  }
  if (any_tls || !differences.empty()) {
    changed.tls_client = std::move(*client);
  } else {
    next.tls_client = upstreams_[index].tls_client;
  }
  if (any || !differences.empty()) order.upstreams.push_back(std::move(changed));
  return {};
}

std::expected<void, std::string> Refresh::prepare_groups(const config::Config& candidate, control::RefreshPlan& plan,
                                                         ApplyConfig& order) const {
  std::string errors;
  for (std::uint32_t i = 0; i < next_config_->groups.size(); ++i) {
    const auto& group = next_config_->groups[i];
    const bool is_new = i >= config_->groups.size();
    if (is_gone(group)) {
      plan.groups.emplace_back();
      if (!is_gone(config_->groups[i])) order.groups_removed.push_back(i);
      continue;
    }
    const auto place = place_of(candidate.groups, group.name);
    auto membership = accounts_.membership(group, config::pointer_to("/groups", place), kAccountsPatience);
    if (!membership) {
      errors += lines(membership.error());
    } else if (!is_new) {
      plan.groups.push_back(control::RefreshPlan::Group{.membership = std::move(*membership), .memory = group.memory});
    } else if (auto made = make_group(broker_, *next_config_, i, {.index = place, .in_candidate = true}, identity_)) {
      plan.groups_added.push_back({.name = group.name,
                                   .membership = std::move(*membership),
                                   .memory = group.memory,
                                   .object = std::move(made->readable),
                                   .object_bytes = made->mapping.bytes().size(),
                                   .lock = std::move(made->lock)});
      order.groups_added.push_back(
          {.part = made->part, .memory = std::make_shared<const shm::Mapping>(std::move(made->mapping))});
    } else {
      errors += "group " + group.name + ": " + made.error().message + "\n";
    }
  }
  if (!errors.empty()) return std::unexpected(errors);
  return {};
}

// Where it stood among those that there are.
std::size_t Refresh::index_before(std::uint32_t index) const {
  const auto end = config_->upstreams.begin() + index;
  return index - static_cast<std::size_t>(std::count_if(config_->upstreams.begin(), end,
                                                        [](const auto& upstream) { return upstream.name.empty(); }));
}

void Refresh::adopt() {
  for (std::size_t i = upstreams_.size(); i < next_upstreams_.size(); ++i) {
    spare_places_[engine::shard_of(i, shards())] -= next_upstreams_[i].session_places;
  }
  for (std::size_t i = 0; i < rows_.size(); ++i) rows_[i].taken = rows_taken(*next_config_, i);
  const auto before = std::exchange(config_, std::exchange(next_config_, nullptr));
  add_rows();
  upstreams_ = std::exchange(next_upstreams_, {});
  groups_ = std::exchange(next_groups_, {});
  log_.set_level(config_->engine.log.level);
  // If the broker is dead the engine ends soon anyway.
  if (const auto adopted = broker_.adopt_candidate(); !adopted) {
    log_.error("config_not_adopted", {{"error", adopted.error().message},
                                      {"means", "if the engine is restarted, it has its earlier configuration"}});
    for (std::size_t i = 0; i < before->groups.size(); ++i) {
      const bool is_removed = is_gone(config_->groups[i]) && !is_gone(before->groups[i]);
      if (is_removed) shm::remove_group_object(before->groups[i].name);
    }
  }
}

void Refresh::remove_group_objects(shm::FunctionRef<bool(std::uint32_t group)> is_left) const {
  for (std::uint32_t i = 0; i < config_->groups.size(); ++i) {
    if (!is_gone(config_->groups[i]) && !is_left(i)) shm::remove_group_object(config_->groups[i].name);
  }
}

}  // namespace tlsmux::engine
