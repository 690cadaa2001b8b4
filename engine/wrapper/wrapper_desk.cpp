#include "engine/wrapper/wrapper_desk.hpp"

#include <sys/random.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "config/peer_rules.hpp"
#include "engine/wrapper/addresses.hpp"
#include "engine/wrapper/loopback_listeners.hpp"

namespace tlsmux::engine::wrapper {
namespace {

const config::UpstreamSettings* find_upstream(const config::Config& config, std::string_view name) {
  const auto found = std::ranges::find(config.upstreams, name, &config::UpstreamSettings::name);
  return name.empty() || found == config.upstreams.end() ? nullptr : &*found;
}

bool may_use(const config::UpstreamSettings& upstream, const Asker& asker) {
  return std::ranges::any_of(asker.group_names, [&](const std::string& group) {
    return std::ranges::find(upstream.groups, group) != upstream.groups.end();
  });
}

std::unexpected<shm::SystemError> denial(int error, std::string words) {
  return std::unexpected(shm::SystemError{.code = error, .message = std::move(words)});
}

// For the wrapper thread. What the kernel does not tell is nobody's.
OwnerOf make_owner_of(ports::ConnectionLookup lookup) {
  auto shared = std::make_shared<ports::ConnectionLookup>(std::move(lookup));
  return [shared](const shm::PeerAddress& local, const shm::PeerAddress& remote) {
    return shared->owner(local, remote).value_or(std::nullopt);
  };
}

}  // namespace

void WrapperDesk::open() {
  maker_.config_changed();
  if (open_ || config_().ssl_wrapper.rules.empty()) return;
  if (const auto opened = try_open(); opened) {
    log_.info("ssl_wrapper_listening", {{"port", open_->port}});
  } else {
    log_.error("ssl_wrapper_not_listening", {{"why", opened.error().message},
                                             {"means", "connections of programs under libtlsmux_ssl are not shared"}});
  }
}

std::expected<void, shm::SystemError> WrapperDesk::try_open() {
  auto own = ports::ConnectionLookup::open();
  auto threads = ports::ConnectionLookup::open();
  if (!own) return std::unexpected(own.error());
  if (!threads) return std::unexpected(threads.error());
  auto listeners = open_loopback_listeners(config_().ssl_wrapper.listener_port);
  if (!listeners) return std::unexpected(listeners.error());
  const auto port = listeners->port;
  const auto network_namespace = listeners->network_namespace;
  auto thread = WrapperThread::start(std::move(*listeners), make_owner_of(std::move(*threads)), news_, log_);
  if (!thread) return std::unexpected(thread.error());
  open_.emplace(std::move(*own), port, network_namespace, std::move(*thread));
  return {};
}

shm::MatchPeerReply WrapperDesk::match(const shm::MatchPeerRequest& request, const Asker& asker) {
  shm::MatchPeerReply reply;
  if (!open_) return reply;
  const auto& config = config_();
  const auto name = shm::text_of(request.server_name);
  const auto* const rule = name.empty()
                               ? config::rule_for_address(config.ssl_wrapper, request.peer.address, request.peer.port)
                               : config::rule_for_name(config.ssl_wrapper, name, request.peer.port);
  if (rule == nullptr) return reply;
  const auto* const upstream = find_upstream(config, rule->upstream);
  if (upstream == nullptr || !may_use(*upstream, asker)) return reply;
  reply.any_identity = rule->any_identity ? 1 : 0;
  shm::set_text(reply.upstream, rule->upstream);
  if (rule->create) {
    // What is made is in another configuration than `rule`.
    const auto made = maker_.find_or_make(*rule, name, asker.pid, asker.uid);
    if (!made) return {};
    shm::set_text(reply.upstream, *made);
  }
  reply.is_shared = 1;
  reply.listener_port = open_->port;
  reply.network_namespace = open_->network_namespace;
  return reply;
}

std::expected<shm::AnnounceStreamReply, shm::SystemError> WrapperDesk::announce(
    const shm::AnnounceStreamRequest& request, const Asker& asker) {
  if (const auto judged = judge(request, asker); !judged) return std::unexpected(judged.error());
  const std::string upstream(shm::text_of(request.upstream));
  shm::AnnounceStreamReply reply;
  if (::getrandom(reply.ticket.data(), reply.ticket.size(), 0) != static_cast<ssize_t>(reply.ticket.size())) {
    return denial(EAGAIN, "the kernel has no random bytes");
  }
  const auto* const rule =
      config::rule_for_address(config_().ssl_wrapper, request.original.address, request.original.port);
  ++sockets_;
  ++sockets_of_[asker.uid];
  open_->thread->announce({.local = request.local,
                           .original = request.original,
                           .may_relay = rule != nullptr && rule->upstream == upstream,
                           .socket_inode = request.socket_inode,
                           .socket_uid = asker.effective_uid,
                           .ticket = reply.ticket,
                           .upstream = upstream,
                           .groups = asker.groups,
                           .pid = asker.pid,
                           .uid = asker.uid});
  return reply;
}

std::expected<void, shm::SystemError> WrapperDesk::judge(const shm::AnnounceStreamRequest& request,
                                                         const Asker& asker) {
  const auto& config = config_();
  if (!open_ || config.ssl_wrapper.rules.empty()) return denial(ENOENT, "ssl_wrapper has no rules");
  const auto* const upstream = find_upstream(config, shm::text_of(request.upstream));
  if (upstream == nullptr) return denial(ENOENT, "there is no upstream of that name");
  if (!may_use(*upstream, asker)) {
    return denial(EACCES, "no group that the process is a member of may use this upstream");
  }
  const auto of_user = sockets_of_.find(asker.uid);
  const auto own = of_user != sockets_of_.end() ? of_user->second : 0;
  if (own >= kSocketsMax - sockets_) {
    return denial(EAGAIN, "too many redirected connections wait for their first bytes, or are relayed");
  }
  const auto owner = open_->lookup.owner(request.local, loopback_like(request.local, open_->port));
  if (!owner) return denial(EAGAIN, owner.error().message);
  const ports::ConnectionOwner announced{.inode = request.socket_inode, .uid = asker.effective_uid};
  if (*owner != announced) return denial(EACCES, "the socket is not the process's own");
  return {};
}

std::vector<StartedStream> WrapperDesk::take_started() {
  std::vector<StartedStream> started;
  for (auto& news : news_.take()) {
    if (auto* const stream = std::get_if<StartedStream>(&news)) {
      forget(stream->announcement.uid);
      started.push_back(std::move(*stream));
    } else {
      forget(std::get<SocketGone>(news).uid);
    }
  }
  return started;
}

void WrapperDesk::forget(std::uint32_t uid) {
  --sockets_;
  if (--sockets_of_.at(uid) == 0) sockets_of_.erase(uid);
}

}  // namespace tlsmux::engine::wrapper
