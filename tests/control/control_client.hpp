#pragma once

// The client's side of the control protocol, one message at a time, so that tests can do each step right or wrong.

#include <cstdint>
#include <expected>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "shm/control_protocol.hpp"
#include "shm/segment.hpp"
#include "shm/system/seqpacket.hpp"
#include "shm/system/unique_fd.hpp"

namespace tlsmux::test {

// What came with the reply to an attach request.
struct Attachment {
  shm::AttachReply reply;
  shm::UniqueFd group;
  shm::UniqueFd memory;
  shm::UniqueFd doorbell;
  shm::UniqueFd engine;
};

// Functions without a failure to return throw doctest's failure; in forked children use those that return a value.
class ControlClient {
 public:
  explicit ControlClient(const std::string& path);

  [[nodiscard]] bool connected() const { return connected_; }
  [[nodiscard]] int socket() const { return socket_.get(); }
  void close() { socket_.reset(); }

  template <typename Message>
  bool send(const Message& message, std::span<const int> descriptors = {}) {
    return shm::send_message(socket_.get(), message, descriptors).has_value();
  }
  bool send_raw(std::span<const std::byte> bytes);

  // The next packet; nothing if none comes within 20 seconds. An empty one: the engine has closed.
  std::optional<shm::Packet> receive();
  // The next packet if it is such a message.
  template <typename Message>
  std::optional<Message> receive_as() {
    const auto packet = receive();
    Message message;
    if (!packet || !shm::read_message(*packet, message)) return std::nullopt;
    return message;
  }
  // The errno of a Refusal or DetachedNotice that comes next; 0 if something else does.
  int receive_error();
  // The same; its text goes to `text`.
  int receive_error(std::string& text);

  bool send_attach(std::string_view group, std::uint32_t channels = 0);
  std::optional<Attachment> receive_attachment();
  std::optional<Attachment> begin_attach(std::string_view group) {
    if (!send_attach(group)) return std::nullopt;
    return receive_attachment();
  }
  // False: it did not deal with all that was sent before.
  bool catch_up() { return send(shm::ListGroupsRequest{}) && receive_as<shm::ListGroupsReply>(); }
  // To the end: mapped, sealed, served.
  struct Attached {
    Attachment offer;
    shm::AttachedSegment segment;
  };
  std::optional<Attached> attach(std::string_view group);
  // The errno of a refused attach; 0 when it was granted; -1 when neither.
  int attach_error(std::string_view group);

  bool send_open_channel(std::string_view upstream);

 private:
  shm::UniqueFd socket_;
  bool connected_ = false;
};

// True when this kernel cannot keep descriptors out, having said so.
bool skip_without_descriptor_refusal();

std::optional<shm::AttachedSegment> map_segment(const Attachment& offer);

}  // namespace tlsmux::test
