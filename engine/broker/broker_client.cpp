#include "engine/broker/broker_client.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>

#include "shm/seqpacket.hpp"

namespace tlsmux::engine::broker {
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto kAnswerWithin = std::chrono::seconds(10);

std::unexpected<shm::SystemError> failed(int code, std::string_view what) {
  return std::unexpected(shm::SystemError{.code = code, .message = std::string(what)});
}

}  // namespace

std::expected<shm::UniqueFd, shm::SystemError> BrokerClient::open_listener() {
  return call_for_one({.operation = Operation::open_listener});
}

std::expected<GroupObject, shm::SystemError> BrokerClient::create_group_object(std::uint32_t group,
                                                                               std::uint64_t bytes) {
  std::array<shm::UniqueFd, 2> fds;
  auto done = call({.operation = Operation::create_group_object, .index = group, .bytes = bytes}, fds);
  if (!done) return std::unexpected(done.error());
  return GroupObject{.writable = std::move(fds[0]), .readable = std::move(fds[1])};
}

std::expected<void, shm::SystemError> BrokerClient::remove_group_objects() {
  return call({.operation = Operation::remove_group_objects}, {});
}

std::expected<shm::UniqueFd, shm::SystemError> BrokerClient::open_file(FileKind file, std::uint32_t upstream,
                                                                       std::uint32_t entry) {
  return call_for_one({.operation = Operation::open_file, .index = upstream, .file = file, .entry = entry});
}

std::expected<void, shm::SystemError> BrokerClient::report_serving() {
  return call({.operation = Operation::report_serving}, {});
}

std::expected<shm::UniqueFd, shm::SystemError> BrokerClient::call_for_one(const Request& request) {
  std::array<shm::UniqueFd, 1> fd;
  auto done = call(request, fd);
  if (!done) return std::unexpected(done.error());
  return std::move(fd[0]);
}

std::expected<void, shm::SystemError> BrokerClient::call(Request request, std::span<shm::UniqueFd> descriptors) {
  const std::lock_guard lock(mutex_);
  request.sequence = ++sequence_;
  if (auto sent = shm::send_packet(socket_, std::as_bytes(std::span(&request, 1))); !sent) return sent;
  return receive(request, descriptors);
}

std::expected<void, shm::SystemError> BrokerClient::receive(const Request& request,
                                                            std::span<shm::UniqueFd> descriptors) {
  const auto until = Clock::now() + kAnswerWithin;
  while (true) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now()).count();
    if (left <= 0) return failed(ETIMEDOUT, "the broker does not answer");
    if (auto ready = shm::wait_readable(socket_, static_cast<int>(left)); !ready) {
      if (ready.error().code == EINTR) continue;
      return ready;
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
    return {};
  }
}

}  // namespace tlsmux::engine::broker
