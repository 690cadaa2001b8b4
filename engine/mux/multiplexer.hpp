#pragma once

// Shares the sessions of all upstreams among all callers, and ends every request in exactly one outcome. Does no
// system call and reads no clock: time, bytes and completions come in through the inputs below, and what is to happen
// goes out through the seams. One thread.

#include <memory>
#include <vector>

#include "config/config.hpp"
#include "engine/mux/dispatch.hpp"
#include "engine/mux/host_requests.hpp"
#include "engine/mux/leases.hpp"
#include "engine/mux/matching.hpp"
#include "engine/mux/session_life.hpp"
#include "engine/mux/session_pool.hpp"
#include "engine/mux/settlement.hpp"
#include "engine/mux/state.hpp"

namespace tlsmux::engine::mux {

// A request as the intake has checked it: upstream and group exist and may be together, length is 1 to the upstream's
// message_bytes_max.
struct NewRequest {
  std::uint32_t upstream = 0;
  std::uint32_t group = 0;
  std::uint32_t client = 0;  // the process that asks, by a small number; one of the group
  Caller caller;
  std::uint32_t length = 0;
  std::uint32_t timeout_ms = 0;  // 0: the upstream's request_ms
};

class Multiplexer {
 public:
  // `config` and what `seams` names outlive it. One TLS client for each upstream, in their order. Null: another shard
  // serves the upstream; here it has its index and no session, and nothing may be asked of it.
  Multiplexer(const config::Config& config, Seams seams, std::vector<std::unique_ptr<tls::TlsClient>> tls_clients,
              std::uint64_t seed);
  Multiplexer(const Multiplexer&) = delete;  // its parts point at each other
  Multiplexer& operator=(const Multiplexer&) = delete;

  // The time of all that follows, until the next call. Never earlier than before.
  void set_time(std::uint64_t now_ns) { state_.now_ns = now_ns; }

  // What is added to that time, in seconds, to have seconds since 1970; and the local time zone's offset east of UTC.
  // For dates and times in messages of the engine's own.
  void set_wall_clock(std::int64_t wall_offset_s, std::int32_t local_offset_s) {
    state_.wall_offset_s = wall_offset_s;
    state_.local_offset_s = local_offset_s;
  }

  void start();

  // The request's index for abandon(), or kNone when it has already ended.
  RequestIndex submit(const NewRequest& request);
  // To a message that came as an unsolicited notice. Like submit().
  RequestIndex reply(const NewReply& reply) { return host_requests_.reply(reply); }
  // Why a request of the group would be refused just now, whatever it is; nothing: it would wait for a session, if there
  // is none.
  [[nodiscard]] std::optional<shm::Reason> why_in_vain(std::size_t upstream, std::uint32_t group) const;
  // One more request would not be refused for want of room.
  [[nodiscard]] bool has_room(std::size_t upstream, std::uint32_t group, std::uint32_t client) const;
  // The asking process is gone. Its memory is not looked at any more.
  void abandon(RequestIndex index, shm::Reason reason = shm::Reason::client_died) {
    settlement_.abandon(index, reason);
  }
  // The asking process is dead, and its request has a keeper: it ends now if it waits, else in its time.
  void orphan(RequestIndex index, const Caller& keeper) { settlement_.orphan(index, keeper); }
  // Of upstreams whose sessions are leased to streams; these take no requests.
  Leases& leases() { return leases_; }
  // Of a request that has not ended.
  [[nodiscard]] const Request& request(RequestIndex index) const { return state_.requests[index]; }
  // Its bytes, as they were judged or sealed.
  [[nodiscard]] std::vector<std::byte> copy_of(RequestIndex index);

  // From the network.
  void connected(SessionId session, int error) {
    life_.connected(session, error);
    pool_.tend();
  }
  void received(SessionId session, std::span<std::byte> bytes);  // overwrites them
  void sent(SessionId session, std::int64_t result);
  void ended(SessionId session, int error) {
    life_.ended(session, error);
    pool_.tend();
  }
  void closed(SessionId session) {
    life_.closed(session);
    pool_.tend();
  }

  // From the workers.
  void resolved(SessionId session, const std::expected<std::vector<Address>, std::string>& addresses) {
    life_.resolved(session, addresses);
    pool_.tend();
  }
  void handshake_stepped(SessionId session, std::unique_ptr<tls::TlsSession> tls, std::span<const std::byte> output,
                         const std::expected<tls::HandshakeState, tls::TlsError>& result);

  // Fires what is due.
  void tick();
  // Seals and sends what waits. Once after all inputs of a tick.
  void flush();
  // When tick() is next needed; 0: not by itself.
  [[nodiscard]] std::uint64_t next_due_ns() const;

  // From now on refuses requests, and streams that want a session; those it has go on. With `requests_left() == 0`, or
  // when patience is over, close_sessions(), which ends them all in good order; is_closed() when that is done.
  void drain();
  [[nodiscard]] std::size_t requests_left() const;  // with the streams that have a session, or wait for one
  void close_sessions();
  [[nodiscard]] bool is_closed() const;
  // How long hosts may take to agree to a sign-off.
  [[nodiscard]] std::uint64_t sign_off_ns() const;

  // One upstream: refuses requests with upstream_draining; those it has go on, then its sessions end in good order.
  // It is drained when none is left, and stays so until it is resumed.
  // `drain_ms` is how long its sessions wait for answers; 0: timeouts.drain_ms.
  void drain_upstream(std::size_t upstream, std::uint32_t drain_ms = 0) {
    pool_.drain(*state_.upstreams[upstream], drain_ms);
  }
  // Nothing for one that is to start anew: it does so by itself.
  void resume_upstream(std::size_t upstream) {
    auto& resumed = *state_.upstreams[upstream];
    if (resumed.next_settings == nullptr) pool_.resume(resumed);
  }
  [[nodiscard]] bool upstream_is_drained(std::size_t upstream) const {
    return SessionPool::is_drained(*state_.upstreams[upstream]);
  }
  // Of an upstream that drains: what waits or is in flight on it, streams included, without what has ended and might get
  // a late answer.
  [[nodiscard]] std::size_t requests_left(std::size_t upstream) const;
  // Patience is over: what is left ends, and the sessions with it.
  void end_upstream(std::size_t upstream);

  // So many groups from now on; never fewer than before.
  void set_groups(std::size_t groups);
  // Its index stays taken. The others share its part of the request table.
  void remove_group(std::uint32_t group) { state_.shares.remove(group); }
  // The ports that connections to an upstream with tcp.source_ports are made from. Before start(), or before whatever
  // makes sessions that need them. Connections that there are keep theirs.
  void set_source_ports(std::size_t upstream, const std::vector<std::uint16_t>& ports) {
    state_.upstreams[upstream]->source_ports.set(ports);
  }
  // One more upstream, at the next index. Requires enough spare places for its sessions (spare_session_places()),
  // and that its send memory and prefix are no larger than what there is. Without a TLS client: another shard's.
  void add_upstream(std::shared_ptr<const config::UpstreamSettings> settings,
                    std::unique_ptr<tls::TlsClient> tls_client, const std::vector<std::uint16_t>& source_ports = {});
  // New requests are refused with upstream_removed, and those that wait; those in flight end, then its sessions. Its index
  // stays taken.
  void remove_upstream(std::size_t upstream);
  // By index, the groups that may not use it any more; their requests are refused as if it were removed.
  void shut_out_groups(std::size_t upstream, std::vector<bool> groups) {
    state_.upstreams[upstream]->groups_shut_out = std::move(groups);
  }

  // Other settings for an upstream, with the same framing and correlation, and not more sessions than it has places for.
  // With a TLS client, new sessions are made by that. With `replace_sessions`, those that there are are replaced, in good
  // order and one after the other.
  void change_upstream(std::size_t upstream, std::shared_ptr<const config::UpstreamSettings> settings,
                       std::unique_ptr<tls::TlsClient> tls_client, bool replace_sessions);

  // The same with any other settings, but for message_bytes_max: the upstream is drained, and starts anew when nothing of
  // it is in flight and its sessions have ended. Until then it refuses requests with upstream_draining.
  void restart_upstream(std::size_t upstream, std::shared_ptr<const config::UpstreamSettings> settings,
                        std::unique_ptr<tls::TlsClient> tls_client);

  // For status.
  [[nodiscard]] const std::vector<std::unique_ptr<Upstream>>& upstreams() const { return state_.upstreams; }
  [[nodiscard]] bool serves(std::size_t upstream) const { return state_.upstreams[upstream]->tls_client != nullptr; }
  [[nodiscard]] const std::vector<Session>& sessions() const { return state_.sessions; }
  [[nodiscard]] std::size_t requests_held() const { return state_.requests.in_use(); }  // abandoned ones included
  [[nodiscard]] const RequestTable& requests() const { return state_.requests; }
  bool take_changed(std::size_t upstream) { return std::exchange(state_.upstreams[upstream]->changed, false); }

 private:
  std::optional<shm::Reason> refusal(const Upstream& upstream, const NewRequest& request) const;
  template <typename Counts>
  [[nodiscard]] std::size_t count_open(Counts counts) const;
  void fire_timers();
  void finish_restarts();
  void expire(RequestIndex index);

  std::size_t groups_;
  std::size_t restarts_ = 0;  // upstreams that are to start anew
  MuxState state_;
  Settlement settlement_;
  Conversation conversation_;
  SessionLife life_;
  Leases leases_;
  SessionPool pool_;
  Dispatch dispatch_;
  HostRequests host_requests_;
  Matching matching_;
};

// Private memory that each request needs for an upstream with these settings.
std::size_t prefix_bytes(const config::UpstreamSettings& settings);

// The bytes of send memory that a session of this upstream needs: the largest message, sealed, or a handshake.
std::size_t send_memory_bytes(const config::UpstreamSettings& settings);

// That a spare session has: of what a refresh may add, the least; and no less than what the engine may add by itself needs.
inline constexpr std::size_t kSpareSendMemoryBytes = 64 * 1024;
std::size_t spare_send_memory_bytes(const config::Config& config);

}  // namespace tlsmux::engine::mux
