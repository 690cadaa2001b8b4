#include "engine/broker/broker_client.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "config/limits.hpp"
#include "shm/system/sealed_text.hpp"
#include "shm/system/seqpacket.hpp"

namespace tlsmux::engine::broker {
namespace {

using Clock = std::chrono::steady_clock;
// A holder has a socket for IPv4 and one for IPv6.
constexpr std::size_t kPortLevelsBytesMax =
    sizeof(PortLevelsRecord) + 2 * config::kPortsPerGroupMax * sizeof(std::uint64_t);
constexpr auto kAnswerWithin = std::chrono::seconds(10);

std::unexpected<shm::SystemError> failed(int code, std::string_view what) {
  return std::unexpected(shm::SystemError{.code = code, .message = std::string(what)});
}

std::expected<void, shm::SystemError> without_reply(const std::expected<Reply, shm::SystemError>& reply) {
  return reply ? std::expected<void, shm::SystemError>() : std::unexpected(reply.error());
}

}  // namespace

std::expected<shm::UniqueFd, shm::SystemError> BrokerClient::open_listener() {
  return call_for_one({.operation = Operation::open_listener});
}

std::expected<GroupObject, shm::SystemError> BrokerClient::create_group_object(ConfigPlace group, std::uint64_t bytes) {
  std::array<shm::UniqueFd, 3> fds;
  const Request request{.operation = Operation::create_group_object,
                        .index = group.index,
                        .bytes = bytes,
                        .candidate = group.in_candidate ? 1U : 0U};
  auto done = call(request, std::span(fds).first(group.in_candidate ? 3 : 2));
  if (!done) return std::unexpected(done.error());
  return GroupObject{.writable = std::move(fds[0]), .readable = std::move(fds[1]), .lock = std::move(fds[2])};
}

std::expected<void, shm::SystemError> BrokerClient::remove_group_objects() {
  return without_reply(call({.operation = Operation::remove_group_objects}, {}));
}

std::expected<shm::UniqueFd, shm::SystemError> BrokerClient::open_file(FileKind file, ConfigPlace upstream,
                                                                       std::uint32_t entry) {
  return call_for_one({.operation = Operation::open_file,
                       .index = upstream.index,
                       .file = file,
                       .entry = entry,
                       .candidate = upstream.in_candidate ? 1U : 0U});
}

std::expected<void, shm::SystemError> BrokerClient::report_serving() {
  return without_reply(call({.operation = Operation::report_serving}, {}));
}

std::expected<TraceReservation, shm::SystemError> BrokerClient::reserve_trace_numbers(std::uint32_t upstream,
                                                                                      const TraceNeed& need) {
  const auto reply = call({.operation = Operation::reserve_trace_numbers,
                           .index = upstream,
                           .blocks = need.blocks,
                           .begins = need.begins ? 1U : 0U,
                           .held = need.held},
                          {});
  if (!reply) return std::unexpected(reply.error());
  if (reply->block_count == 0 || reply->block_count > need.blocks || !is_sound(reply->held)) {
    return failed(EPIPE, "the broker's answer is malformed");
  }
  return TraceReservation{.chunk = {.first = reply->first_block, .count = reply->block_count}, .held = reply->held};
}

std::expected<CandidateText, shm::SystemError> BrokerClient::load_candidate() {
  std::array<shm::UniqueFd, 1> fd;
  const auto reply = call({.operation = Operation::load_candidate}, fd);
  if (!reply) return std::unexpected(reply.error());
  auto text = shm::read_sealed_text(fd[0].get(), config::kConfigBundleBytesMax);
  if (!text) return std::unexpected(text.error());
  return CandidateText{.is_refused = reply->is_refused != 0, .text = std::move(*text)};
}

std::expected<void, shm::SystemError> BrokerClient::adopt_candidate() {
  return without_reply(call({.operation = Operation::adopt_candidate}, {}));
}

std::expected<void, shm::SystemError> BrokerClient::drop_candidate() {
  return without_reply(call({.operation = Operation::drop_candidate}, {}));
}

std::expected<std::optional<shm::UniqueFd>, shm::SystemError> BrokerClient::open_predecessor(ConfigPlace group) {
  auto fd = call_for_one(
      {.operation = Operation::open_predecessor, .index = group.index, .candidate = group.in_candidate ? 1U : 0U});
  if (!fd && fd.error().code == ENOENT) return std::nullopt;
  if (!fd) return std::unexpected(fd.error());
  return std::optional(std::move(*fd));
}

std::expected<std::vector<ports::SocketOwner>, shm::SystemError> BrokerClient::find_socket_owners(
    std::span<const std::uint64_t> socket_inodes) {
  std::vector<ports::SocketOwner> owners;
  while (!socket_inodes.empty()) {
    const auto some = socket_inodes.first(std::min(socket_inodes.size(), kSocketOwnersMax));
    Request request{.operation = Operation::find_socket_owners};
    std::ranges::copy(some, request.sockets.begin());
    const auto reply = call(request, {});
    if (!reply) return std::unexpected(reply.error());
    if (reply->owner_count > kSocketOwnersMax) return failed(EPIPE, "the broker's answer is malformed");
    for (const auto& owner : std::span(reply->owners).first(reply->owner_count)) {
      owners.push_back({.socket_inode = owner.socket_inode,
                        .pid = owner.pid,
                        .uid = owner.uid,
                        .pidfd_inode = owner.pidfd_inode,
                        .program = std::string(shm::text_of(owner.program))});
    }
    socket_inodes = socket_inodes.subspan(some.size());
  }
  return owners;
}

std::expected<PortLevels, shm::SystemError> BrokerClient::port_enforcement(ConfigPlace group) {
  const auto fd = call_for_one(
      {.operation = Operation::port_enforcement, .index = group.index, .candidate = group.in_candidate ? 1U : 0U});
  if (!fd) return std::unexpected(fd.error());
  const auto bytes = shm::read_sealed_text(fd->get(), kPortLevelsBytesMax);
  if (!bytes) return std::unexpected(bytes.error());
  PortLevelsRecord record;
  if (bytes->size() < sizeof record) return failed(EPIPE, "the broker's answer is malformed");
  std::memcpy(&record, bytes->data(), sizeof record);
  if (bytes->size() != sizeof record + record.holder_count * sizeof(std::uint64_t)) {
    return failed(EPIPE, "the broker's answer is malformed");
  }
  const auto level = [](const PortLevelRecord& from) {
    return PortLevel{.state = from.state, .text = std::string(shm::text_of(from.text))};
  };
  PortLevels levels{.reservation = level(record.reservation),
                    .holders = level(record.holders),
                    .guard = level(record.guard),
                    .holder_sockets = std::vector<std::uint64_t>(record.holder_count)};
  const auto holders = std::as_writable_bytes(std::span(levels.holder_sockets));
  std::ranges::copy(std::as_bytes(std::span(*bytes)).subspan(sizeof record), holders.begin());
  return levels;
}

std::expected<shm::UniqueFd, shm::SystemError> BrokerClient::watch_port_enforcement() {
  auto fd = call_for_one({.operation = Operation::watch_port_enforcement});
  if (!fd && fd.error().code == ENOENT) return shm::UniqueFd();
  return fd;
}

std::expected<std::vector<shm::UniqueFd>, shm::SystemError> BrokerClient::open_guard_events() {
  auto answered = call_for_any({.operation = Operation::open_guard_events});
  if (!answered && answered.error().code == ENOENT) return std::vector<shm::UniqueFd>();
  if (!answered) return std::unexpected(answered.error());
  return std::move(answered->descriptors);
}

std::expected<void, shm::SystemError> BrokerClient::admit_to_guard(ConfigPlace group, std::uint32_t pid) {
  return without_reply(call({.operation = Operation::admit_to_guard,
                             .index = group.index,
                             .candidate = group.in_candidate ? 1U : 0U,
                             .pid = pid},
                            {}));
}

std::expected<void, shm::SystemError> BrokerClient::dismiss_from_guard(ConfigPlace group, std::uint32_t pid) {
  return without_reply(call({.operation = Operation::dismiss_from_guard,
                             .index = group.index,
                             .candidate = group.in_candidate ? 1U : 0U,
                             .pid = pid},
                            {}));
}

std::expected<shm::UniqueFd, shm::SystemError> BrokerClient::call_for_one(const Request& request) {
  std::array<shm::UniqueFd, 1> fd;
  auto done = call(request, fd);
  if (!done) return std::unexpected(done.error());
  return std::move(fd[0]);
}

std::expected<Reply, shm::SystemError> BrokerClient::call(const Request& request,
                                                          std::span<shm::UniqueFd> descriptors) {
  auto answered = call_for_any(request);
  if (!answered) return std::unexpected(answered.error());
  if (answered->descriptors.size() != descriptors.size()) {
    return failed(EPIPE, "the broker's answer lacks descriptors");
  }
  std::ranges::move(answered->descriptors, descriptors.begin());
  return answered->reply;
}

std::expected<BrokerClient::Answered, shm::SystemError> BrokerClient::call_for_any(Request request) {
  const std::lock_guard lock(mutex_);
  request.sequence = ++sequence_;
  if (auto sent = shm::send_packet(socket_, std::as_bytes(std::span(&request, 1))); !sent) {
    return std::unexpected(sent.error());
  }
  return receive(request);
}

std::expected<BrokerClient::Answered, shm::SystemError> BrokerClient::receive(const Request& request) {
  const auto until = Clock::now() + kAnswerWithin;
  while (true) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now()).count();
    if (left <= 0) return failed(ETIMEDOUT, "the broker does not answer");
    if (auto ready = shm::wait_readable(socket_, static_cast<int>(left)); !ready) {
      if (ready.error().code == EINTR) continue;
      return std::unexpected(ready.error());
    }
    auto packet = shm::receive_packet(socket_);
    if (!packet) return std::unexpected(packet.error());
    if (packet->bytes.empty()) return failed(EPIPE, "the broker is dead");
    Reply reply;
    if (packet->bytes.size() != sizeof reply) return failed(EPIPE, "the broker's answer is malformed");
    std::memcpy(&reply, packet->bytes.data(), sizeof reply);
    if (reply.magic != kBrokerMagic) return failed(EPIPE, "the broker's answer is malformed");
    if (reply.sequence != request.sequence) continue;  // of an earlier request that was given up
    if (reply.error != 0) return failed(reply.error, shm::text_of(reply.text));
    return Answered{.reply = reply, .descriptors = std::move(packet->descriptors)};
  }
}

}  // namespace tlsmux::engine::broker
