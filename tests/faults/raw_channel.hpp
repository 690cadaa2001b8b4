#pragma once

// A client that speaks to a real engine without the library, so that it can write what it likes into its memory.

#include <atomic>
#include <cstdint>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "config/config.hpp"
#include "shm/geometry.hpp"
#include "tests/control/control_client.hpp"

namespace tlsmux::test {

// One attachment with its channel 0 open to an upstream. Throws doctest's failure, so not for forked children, but
// for `try_open`.
class RawChannel {
 public:
  RawChannel(const config::Config& config, const std::string& upstream);
  static std::optional<RawChannel> try_open(const config::Config& config, const std::string& upstream,
                                            std::uint32_t flags = 0);

  // All of the client's own part, and what lies in it.
  [[nodiscard]] std::span<std::byte> memory() const { return attached_.segment.client(); }
  [[nodiscard]] shm::ShardWords& words() const;
  [[nodiscard]] shm::ChannelHeader& header() const;
  [[nodiscard]] std::span<shm::RequestDescriptor> requests() const;
  [[nodiscard]] std::span<shm::SlotControl> controls() const;
  [[nodiscard]] std::span<std::byte> slot(std::uint32_t number) const;
  [[nodiscard]] const shm::ClientGeometry& geometry() const { return geometry_; }
  [[nodiscard]] const Attachment& offer() const { return attached_.offer; }
  // Of the shard that serves the channel.
  [[nodiscard]] int doorbell() const { return (doorbell_ ? doorbell_ : attached_.offer.doorbell).get(); }
  // By which the engine wakes this channel.
  [[nodiscard]] int wake() const { return wake_.get(); }
  ControlClient& control() { return control_; }

  // What a good client would submit: `message` in slot 0, its answer to slot 1.
  shm::RequestDescriptor good_request(const std::string& message);
  // Puts a descriptor on the ring, whatever it says, and makes the engine look.
  void submit(const shm::RequestDescriptor& descriptor);
  // The same for a tail, whatever it is.
  void publish_tail(std::uint64_t tail);
  void ring() const;
  // Until the engine has answered so many requests.
  void await_completions(std::uint64_t count) const;
  // The text with which the engine lets go of this client.
  std::string await_detachment();
  // Whether it has done so already.
  bool is_detached();

 private:
  RawChannel(ControlClient control, ControlClient::Attached attached, shm::UniqueFd wake);

  [[nodiscard]] std::byte* channel_start() const { return memory().data() + geometry_.channel_offset(0); }

  ControlClient control_;
  ControlClient::Attached attached_;
  shm::UniqueFd wake_;
  std::uint32_t shard_ = 0;
  shm::UniqueFd doorbell_;  // of another shard than the first
  shm::ClientGeometry geometry_;
  std::uint64_t tail_ = 0;
};

// One of many ways to write nonsense into a client's memory while requests may be under way.
void scribble(RawChannel& channel, std::mt19937_64& random);

}  // namespace tlsmux::test
