#pragma once

// Packets with descriptors over UNIX SEQPACKET sockets; used for the control socket and between broker and engine.

#include <array>
#include <cstddef>
#include <cstring>
#include <expected>
#include <span>
#include <type_traits>
#include <vector>

#include "shm/control_protocol.hpp"
#include "shm/system/system_error.hpp"
#include "shm/system/unique_fd.hpp"

namespace tlsmux::shm {

struct Packet {
  std::vector<std::byte> bytes;  // empty: the other side has closed
  std::vector<UniqueFd> descriptors;
};

// Sends one packet, blocking or not as the socket is. Never raises SIGPIPE. EAGAIN when a non-blocking socket is full.
std::expected<void, SystemError> send_packet(int socket, std::span<const std::byte> bytes,
                                             std::span<const int> descriptors = {});

enum class Descriptors : bool {
  taken,
  refused,  // the kernel closes them, before they are in the process's table
};

// Receives one packet of at most kControlMessageBytesMax bytes and kControlDescriptorsMax descriptors (all opened
// close-on-exec). EAGAIN when there is none on a non-blocking socket; EPROTO when it was longer, or had descriptors that are refused.
std::expected<Packet, SystemError> receive_packet(int socket, Descriptors descriptors = Descriptors::taken);

// Waits until the socket is readable. ETIMEDOUT when it is not in time.
std::expected<void, SystemError> wait_readable(int socket, int timeout_ms);

template <typename Message>
void fill_header(Message& message) {
  static_assert(std::is_trivially_copyable_v<Message>);
  message.header.type = Message::kType;
  message.header.bytes = sizeof message;
}

template <typename Message>
std::expected<void, SystemError> send_message(int socket, Message message, std::span<const int> descriptors = {}) {
  fill_header(message);
  return send_packet(socket, std::as_bytes(std::span(&message, 1)), descriptors);
}

// The header of a packet, if it is a control message of this version whose stated length is its own.
inline const ControlHeader* control_header(const Packet& packet, ControlHeader& storage) {
  if (packet.bytes.size() < sizeof(ControlHeader)) return nullptr;
  std::memcpy(&storage, packet.bytes.data(), sizeof storage);
  const bool good =
      storage.magic == kControlMagic && storage.version == kControlVersion && storage.bytes == packet.bytes.size();
  return good ? &storage : nullptr;
}

// False when the packet is not a whole `Message`.
template <typename Message>
bool read_message(const Packet& packet, Message& message) {
  static_assert(std::is_trivially_copyable_v<Message>);
  ControlHeader header;
  if (control_header(packet, header) == nullptr || header.type != Message::kType) return false;
  if (packet.bytes.size() != sizeof message) return false;
  std::memcpy(&message, packet.bytes.data(), sizeof message);
  return true;
}

}  // namespace tlsmux::shm
