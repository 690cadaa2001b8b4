#include "tests/control/control_client.hpp"

#include <sys/socket.h>
#include <sys/un.h>

#include <utility>

#include "shm/system/descriptor_refusal.hpp"
#include "tests/support/skip.hpp"

namespace tlsmux::test {
namespace {

constexpr int kPatienceMs = 20'000;

}  // namespace

ControlClient::ControlClient(const std::string& path) : socket_(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  connected_ = ::connect(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
}

bool ControlClient::send_raw(std::span<const std::byte> bytes) {
  return shm::send_packet(socket_.get(), bytes).has_value();
}

std::optional<shm::Packet> ControlClient::receive() {
  if (!shm::wait_readable(socket_.get(), kPatienceMs)) return std::nullopt;
  auto packet = shm::receive_packet(socket_.get());
  if (!packet) return shm::Packet{};  // reset: closed as well
  return std::move(*packet);
}

int ControlClient::receive_error() {
  std::string text;
  return receive_error(text);
}

int ControlClient::receive_error(std::string& text) {
  const auto packet = receive();
  if (!packet) return 0;
  shm::Refusal refusal;
  shm::DetachedNotice notice;
  if (shm::read_message(*packet, refusal)) {
    text = shm::text_of(refusal.text);
    return refusal.error;
  }
  if (shm::read_message(*packet, notice)) {
    text = shm::text_of(notice.text);
    return notice.error;
  }
  return 0;
}

bool ControlClient::send_attach(std::string_view group, std::uint32_t channels) {
  shm::AttachRequest request;
  shm::set_text(request.group, group);
  request.channels = channels;
  return send(request);
}

std::optional<Attachment> ControlClient::receive_attachment() {
  auto packet = receive();
  Attachment offer;
  if (!packet || !shm::read_message(*packet, offer.reply) || packet->descriptors.size() != 4) return std::nullopt;
  offer.group = std::move(packet->descriptors[0]);
  offer.memory = std::move(packet->descriptors[1]);
  offer.doorbell = std::move(packet->descriptors[2]);
  offer.engine = std::move(packet->descriptors[3]);
  return offer;
}

std::optional<ControlClient::Attached> ControlClient::attach(std::string_view group) {
  auto offer = begin_attach(group);
  if (!offer) return std::nullopt;
  auto segment = map_segment(*offer);
  if (!segment || !send(shm::MappedNotice{}) || !catch_up()) return std::nullopt;
  return Attached{.offer = std::move(*offer), .segment = std::move(*segment)};
}

int ControlClient::attach_error(std::string_view group) {
  if (!send_attach(group)) return -1;
  const auto packet = receive();
  shm::Refusal refusal;
  shm::AttachReply reply;
  if (packet && shm::read_message(*packet, refusal)) return refusal.error;
  return packet && shm::read_message(*packet, reply) ? 0 : -1;
}

bool ControlClient::send_open_channel(std::string_view upstream) {
  shm::OpenChannelRequest request;
  shm::set_text(request.upstream, upstream);
  return send(request);
}

bool skip_without_descriptor_refusal() {
  const shm::UniqueFd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (shm::refuse_descriptors(socket.get())) return false;
  skip("this kernel has no SO_PASSRIGHTS (Linux 6.16)");
  return true;
}

std::optional<shm::AttachedSegment> map_segment(const Attachment& offer) {
  auto segment = shm::AttachedSegment::map(offer.group.get(), offer.reply.group_bytes, offer.memory.get(),
                                           offer.reply.client_bytes);
  if (!segment) return std::nullopt;
  return std::move(*segment);
}

}  // namespace tlsmux::test
