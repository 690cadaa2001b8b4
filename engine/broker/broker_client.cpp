#include "engine/broker/broker_client.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>

#include "config/limits.hpp"
#include "shm/sealed_text.hpp"
#include "shm/seqpacket.hpp"

namespace tlsmux::engine::broker {
namespace {

using Clock = std::chrono::steady_clock;
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

std::expected<shm::UniqueFd, shm::SystemError> BrokerClient::call_for_one(const Request& request) {
  std::array<shm::UniqueFd, 1> fd;
  auto done = call(request, fd);
  if (!done) return std::unexpected(done.error());
  return std::move(fd[0]);
}

std::expected<Reply, shm::SystemError> BrokerClient::call(Request request, std::span<shm::UniqueFd> descriptors) {
  const std::lock_guard lock(mutex_);
  request.sequence = ++sequence_;
  if (auto sent = shm::send_packet(socket_, std::as_bytes(std::span(&request, 1))); !sent) {
    return std::unexpected(sent.error());
  }
  return receive(request, descriptors);
}

std::expected<Reply, shm::SystemError> BrokerClient::receive(const Request& request,
                                                             std::span<shm::UniqueFd> descriptors) {
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
    if (packet->descriptors.size() != descriptors.size()) return failed(EPIPE, "the broker's answer lacks descriptors");
    std::ranges::move(packet->descriptors, descriptors.begin());
    return reply;
  }
}

}  // namespace tlsmux::engine::broker
