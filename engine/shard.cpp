#include "engine/shard.hpp"

#include <algorithm>
#include <cerrno>

#include "shm/assert.hpp"
#include "shm/doorbell.hpp"

namespace tlsmux::engine {
namespace {

constexpr std::uint32_t kIdleTurnsUntilCool = 64;
constexpr std::uint64_t kCloseTimeNs = 1'000'000'000;  // for saying goodbye to hosts

}  // namespace

Shard::Shard(const config::Config& config, ShardSeams seams, std::vector<std::unique_ptr<tls::TlsClient>> tls_clients,
             StatusBoard board, std::uint64_t seed)
    : config_(&config),
      bells_(&seams.bells),
      outlet_(clients_),
      multiplexer_(config, {seams.network, seams.workers, outlet_, seams.events}, std::move(tls_clients), seed),
      intake_(config, multiplexer_),
      board_(std::move(board)) {}

void Shard::set_time(std::uint64_t now_ns) {
  now_ns_ = now_ns;
  multiplexer_.set_time(now_ns);
}

void Shard::start() {
  multiplexer_.start();
  board_.set_state(shm::EngineState::running);
}

// ---- Commands ----

void Shard::execute(ShardCommand command) {
  std::visit([this](auto&& one) { run(std::move(one)); }, std::move(command));
}

void Shard::run(AdmitClient&& command) {
  auto& client = clients_.admit(std::move(command));
  board_.add_client(client, now_ns_);
  client.watched = true;
  bells_->watch(client.index, client.doorbell.get());
  heat(client);
}

void Shard::run(OpenChannel&& command) {
  auto* client = clients_.find(command.client);
  if (client == nullptr || client->stage != ClientStage::served) {
    replies_.emplace_back(ChannelOpened{.client = command.client, .error = ESTALE, .error_text = "not attached"});
  } else {
    replies_.emplace_back(open_channel(*client, command));
  }
}

ChannelOpened Shard::open_channel(Client& client, OpenChannel& command) {
  const auto refuse = [&](int error, std::string text) {
    return ChannelOpened{.client = client.id, .error = error, .error_text = std::move(text)};
  };
  const auto& upstreams = config_->upstreams;
  const auto upstream = std::ranges::find(upstreams, command.upstream, &config::UpstreamSettings::name);
  if (upstream == upstreams.end()) return refuse(ENOENT, "there is no upstream of that name");
  const auto upstream_index = static_cast<std::uint32_t>(upstream - upstreams.begin());
  const auto row = board_.upstream_row(client.group, upstream_index);
  if (!row) return refuse(EACCES, "the group may not use this upstream");
  const auto channel = std::ranges::find_if(
      client.channels, [](const Channel& candidate) { return !candidate.is_open && !candidate.waking; });
  if (channel == client.channels.end()) {
    return refuse(EAGAIN, "all " + std::to_string(client.channels.size()) + " channels of the client are open");
  }
  const auto number = static_cast<std::uint32_t>(channel - client.channels.begin());
  clients_.reset_channel(client, number);
  channel->is_open = true;
  channel->upstream = upstream_index;
  channel->wake = std::move(command.wake);
  client.changed = true;
  return {.client = client.id,
          .error = 0,
          .error_text = {},
          .channel = number,
          .upstream_row = *row,
          .shard = 0,
          .message_bytes_max = upstream->framing.message_bytes_max,
          .timeout_ms = upstream->timeouts.request_ms};
}

void Shard::run(CloseChannel&& command) {
  auto* client = clients_.find(command.client);
  ChannelClosed reply{.client = command.client};
  if (client == nullptr || command.channel >= client->channels.size() || !client->channels[command.channel].is_open) {
    reply.error = EINVAL;
    reply.error_text = "no such channel is open";
  } else if (client->channels[command.channel].in_flight > 0 || client->channels[command.channel].has_completions) {
    reply.error = EBUSY;
    reply.error_text = "the channel has requests in flight";
  } else {
    auto& channel = client->channels[command.channel];
    channel.is_open = false;
    if (!channel.waking) channel.wake.reset();
    client->changed = true;
  }
  replies_.emplace_back(std::move(reply));
}

void Shard::run(DismissClient&& command) {
  auto* client = clients_.find(command.client);
  if (client == nullptr) {
    replies_.emplace_back(ClientReleased{.client = command.client});
    return;
  }
  client->dismissed = true;
  part_with(*client);
}

void Shard::run(Drain&& command) {
  if (stage_ != Stage::running) return;
  stage_ = Stage::draining;
  stage_ends_ns_ = now_ns_ + command.timeout_ms * mux::kNanosecondsPerMillisecond;
  multiplexer_.drain();
  board_.set_state(shm::EngineState::draining);
}

// ---- Clients that go ----

// Their open requests go on without them; their memory is not looked at any more.
void Shard::part_with(Client& client) {
  if (client.stage == ClientStage::served) {
    client.stage = ClientStage::leaving;
    for (auto& channel : client.channels) {
      for (auto& index : channel.request_of_slot) {
        if (index != mux::kNone) multiplexer_.abandon(std::exchange(index, mux::kNone));
      }
    }
    if (client.is_hot) std::erase(hot_, &client);
    client.is_hot = false;
    bells_->unwatch(client.index);
  }
  leaving_.push_back(client.index);
}

void Shard::unwatched(std::uint32_t client_index) {
  auto* client = clients_.at(client_index);
  if (client == nullptr) return;
  client->watched = false;
  leaving_.push_back(client_index);
}

void Shard::release_if_done(Client& client) {
  const bool waking = std::ranges::any_of(client.channels, &Channel::waking);
  if (client.stage != ClientStage::leaving || !client.dismissed || client.watched || waking) return;
  replies_.emplace_back(ClientReleased{.client = client.id});
  board_.remove_client(client);
  clients_.remove(client);
}

void Shard::handle_offences() {
  for (const auto& offence : outlet_.take_offences()) {
    auto* client = clients_.at(offence.client_index);
    if (client == nullptr || client->stage != ClientStage::served) continue;
    replies_.emplace_back(ClientOffended{.client = client->id, .rule = std::string(offence.rule)});
    part_with(*client);
  }
}

// ---- Waking and sleeping ----

void Shard::heat(Client& client) {
  client.idle_turns = 0;
  if (client.is_hot || client.stage != ClientStage::served) return;
  client.is_hot = true;
  shm::disarm(client.words->engine_armed);
  hot_.push_back(&client);
}

// From now on the client rings, unless it has published in the meantime.
void Shard::cool(std::size_t hot_index) {
  auto& client = *hot_[hot_index];
  shm::arm(client.words->engine_armed);
  if (Intake::has_more(client)) {
    shm::disarm(client.words->engine_armed);
    return;
  }
  client.is_hot = false;
  hot_[hot_index] = hot_.back();
  hot_.pop_back();
}

void Shard::rung(std::uint32_t client_index) {
  auto* client = clients_.at(client_index);
  if (client != nullptr) heat(*client);
}

bool Shard::prepare_sleep() {
  for (std::size_t i = hot_.size(); i > 0; --i) cool(i - 1);
  return hot_.empty();
}

void Shard::ring(std::uint32_t channel_ref) {
  auto& channel = clients_.channel_of(channel_ref);
  if (std::exchange(channel.waking, true)) {
    channel.wake_again = true;
  } else {
    bells_->wake(channel_ref, channel.wake.get());
  }
}

void Shard::woken(std::uint32_t channel_ref) {
  auto& client = clients_.client_of(channel_ref);
  auto& channel = clients_.channel_of(channel_ref);
  channel.waking = false;
  if (client.stage == ClientStage::leaving) {
    leaving_.push_back(client.index);
  } else if (!channel.is_open) {
    channel.wake.reset();
  } else if (std::exchange(channel.wake_again, false)) {
    ring(channel_ref);
  }
}

// ---- Work ----

bool Shard::take_requests() {
  bool any = false;
  for (std::size_t i = 0; i < hot_.size(); ++i) {
    auto& client = *hot_[i];
    const auto taken = intake_.take(client);
    if (!taken) {
      outlet_.report(client.index, taken.error());
    } else if (*taken) {
      any = true;
      client.idle_turns = 0;
    } else {
      ++client.idle_turns;
    }
  }
  for (std::size_t i = hot_.size(); i > 0; --i) {
    if (hot_[i - 1]->idle_turns >= kIdleTurnsUntilCool) cool(i - 1);
  }
  return any;
}

bool Shard::work() {
  const bool any = take_requests();
  multiplexer_.tick();
  multiplexer_.flush();
  if (stage_ != Stage::running) drain_further();
  outlet_.publish([this](std::uint32_t channel_ref) { ring(channel_ref); });
  handle_offences();
  for (const auto index : std::exchange(leaving_, {})) {
    if (auto* client = clients_.at(index); client != nullptr) release_if_done(*client);
  }
  board_due_ns_ = board_.publish(multiplexer_, clients_, now_ns_);
  return any;
}

void Shard::drain_further() {
  const auto left = multiplexer_.requests_left();
  if (stage_ == Stage::draining && (left == 0 || now_ns_ >= stage_ends_ns_)) {
    stage_ = Stage::closing;
    stage_ends_ns_ = now_ns_ + kCloseTimeNs;
    multiplexer_.close_sessions();
  }
  if (stage_ == Stage::closing && (multiplexer_.is_closed() || now_ns_ >= stage_ends_ns_)) {
    stage_ = Stage::stopped;
    board_.set_state(shm::EngineState::stopped);
    replies_.emplace_back(Drained{.requests_left = static_cast<std::uint32_t>(left)});
  }
}

std::uint64_t Shard::next_due_ns() const {
  const bool ends = stage_ == Stage::draining || stage_ == Stage::closing;
  std::uint64_t earliest = 0;
  for (const auto due : {multiplexer_.next_due_ns(), board_due_ns_, ends ? stage_ends_ns_ : 0}) {
    if (due != 0 && (earliest == 0 || due < earliest)) earliest = due;
  }
  return earliest;
}

}  // namespace tlsmux::engine
