#pragma once

// A Shard with all that surrounds it, in which nothing goes wrong by itself and a test says what happens.

#include <memory>
#include <string>
#include <vector>

#include "client/attached_channel.hpp"
#include "tests/simulation/engine_process.hpp"

namespace tlsmux::simulation {

// One group "group" and its upstream "host" with one session, in which order tells; one more upstream "other" for
// another group.
config::Config shard_config();

// A client whose every step is a test's.
class TestClient final : public ControlListener {
 public:
  void channel_opened(const shm::OpenChannelReply& reply, shm::UniqueFd wake) override;
  void channel_refused(int error) override { refusals.push_back(error); }
  void channel_closed(int error) override { closed.push_back(error); }
  void detached(const std::string& rule) override { offences.push_back(rule); }

  // Puts a request on the ring of a channel, seen with publish().
  std::uint64_t push(std::size_t channel, std::size_t length, std::uint32_t timeout_ms = 0);
  void publish(std::size_t channel) { channels[channel]->publish(); }
  // A reply to a notice, seen at once.
  void reply(std::size_t channel, const client::RequestOutcome& notice, std::string_view text);
  // Takes what has come. "ANSWERED", "NOT_SENT overload", "late", "unsolicited", "orphan MAYBE_SENT deadline", in the
  // order of arrival. Notices stay in `notices` until release_notices().
  std::vector<std::string> collect(std::size_t channel);
  // Gives back all that were collected from the channel, and lends their slots again.
  void release_notices(std::size_t channel);
  shm::ChannelHeader& header(std::size_t channel);
  shm::ShardWords& words();

  Context* context = nullptr;
  Attached attached;
  std::vector<std::unique_ptr<client::AttachedChannel>> channels;
  std::vector<client::RequestOutcome> notices;
  std::uint32_t flags = 0;  // of the channel that is being opened
  std::uint32_t group = 0;
  std::uint32_t id = 0;  // in the ledger
  std::vector<int> refusals;
  std::vector<int> closed;
  std::vector<std::string> offences;
};

class ShardRig {
 public:
  explicit ShardRig(config::Config config = shard_config());

  // Everything happens that can without time going on.
  void settle();
  void advance_ms(std::uint64_t ms);
  std::unique_ptr<TestClient> attach(std::uint32_t group = 0);
  // Attached, with one channel to "host".
  std::unique_ptr<TestClient> attach_with_channel(std::uint32_t flags = 0, std::uint32_t group = 0);
  void open_channel(TestClient& client, const std::string& upstream, std::uint32_t flags = 0);
  void kill(std::unique_ptr<TestClient>& client);

  Context context;
  Network network;
  EngineProcess engine;

 private:
  std::uint32_t last_client_ = 0;
};

}  // namespace tlsmux::simulation
