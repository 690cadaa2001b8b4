// The fake engine's single loop; see fake_engine.hpp.
#pragma once

#include <array>
#include <condition_variable>
#include <deque>
#include <functional>
#include <list>
#include <mutex>
#include <optional>
#include <vector>

#include "shm/control_protocol.hpp"
#include "shm/layout.hpp"
#include "shm/ring.hpp"
#include "shm/segment.hpp"
#include "shm/system/seqpacket.hpp"
#include "shm/trace_lease.hpp"
#include "tests/support/fake_engine.hpp"
#include "tests/support/fake_engine_ports.hpp"

namespace tlsmux::test {

inline constexpr std::uint32_t kFakeShard = 3;  // not the first, to see that the client cares

// A notice that waits for a pair of slots; the message goes into the response slot.
struct FakeNotice {
  shm::CompletionDescriptor completion;
  std::string message;
  std::string request;
};

// The numbers that an engine grants, over all channels.
struct FakeTraceNumbers {
  std::uint32_t next = 1;
  std::uint32_t block = 0;
};

struct FakeChannel {
  bool open = false;
  std::uint32_t flags = 0;
  bool stuck = false;  // looks at no more requests
  shm::UniqueFd wake;
  shm::ChannelHeader* header = nullptr;
  std::span<shm::SlotControl> controls;
  std::span<std::byte> payload;
  std::uint64_t stride = 0;
  std::uint32_t slot_bytes = 0;
  shm::RingConsumer<shm::RequestDescriptor> requests;
  shm::RingProducer<shm::CompletionDescriptor> completions;
  std::vector<shm::RequestDescriptor> held;         // until the client ends them
  std::vector<shm::CompletionDescriptor> withheld;  // until the test says so
  std::vector<shm::RequestDescriptor> lent;
  std::deque<FakeNotice> notices;
  std::vector<std::pair<std::uint64_t, std::string>> replies;
  shm::TraceLeaseProducer trace_lease;

  // Does what the requests on the ring say.
  void serve();
  void return_ended();
  void grant(FakeTraceNumbers& numbers);
  void notify(std::uint64_t tag, const std::string& text, const shm::RequestDescriptor& request = {});
  void publish_withheld();
  bool has_requests();

 private:
  void perform(const shm::RequestDescriptor& request);
  void reply(const shm::RequestDescriptor& request);
  void deliver();
  [[nodiscard]] std::string text_of(const shm::RequestDescriptor& request) const;
  void finish(const shm::RequestDescriptor& request, char what, bool withhold);
  void complete(const shm::RequestDescriptor& request, shm::CompletionKind kind);
  void publish(const shm::CompletionDescriptor& completion);
};

struct FakeClient {
  shm::UniqueFd socket;
  shm::UniqueFd memory_fd;
  shm::UniqueFd doorbell;
  shm::Mapping memory;
  std::vector<FakeChannel> channels;

  [[nodiscard]] bool has_memory() const { return !memory.bytes().empty(); }
  // Requires has_memory().
  [[nodiscard]] shm::ShardWords& words() const {
    return reinterpret_cast<shm::ClientHeader*>(memory.bytes().data())->shards[kFakeShard];
  }
};

class FakeEngineLoop {
 public:
  explicit FakeEngineLoop(FakeEngineOptions options);

  void run();  // until stop
  // From another thread: has the loop's thread do this, and waits for it.
  void in_loop(const std::function<void()>& action);
  void stop();

  std::list<FakeClient>& clients() { return clients_; }
  [[nodiscard]] const FakePortLog& ports() const { return ports_.log(); }

 private:
  void make_group();
  void listen();
  void wait();
  bool arm_all();
  void accept_client();
  bool read_control(FakeClient& client);
  void attach(FakeClient& client, const shm::AttachRequest& request);
  bool read_order(const FakeClient& client, const shm::Packet& packet);
  bool read_port_message(FakeClient& client, const shm::Packet& packet);
  void open_channel(FakeClient& client, const shm::OpenChannelRequest& request);
  void close_channel(FakeClient& client, const shm::CloseChannelRequest& request);
  void refuse(const FakeClient& client, int error, std::string_view text);

  FakeEngineOptions options_;
  shm::BootId boot_id_{};
  std::uint64_t last_client_id_ = 0;
  shm::UniqueFd group_fd_;
  shm::Mapping group_;
  shm::UniqueFd listener_;
  shm::UniqueFd commands_;  // eventfd
  shm::UniqueFd pidfd_;
  std::list<FakeClient> clients_;

  std::mutex mutex_;
  std::condition_variable done_;
  const std::function<void()>* action_ = nullptr;
  FakeTraceNumbers trace_numbers_;
  FakePorts ports_;
  bool stopped_ = false;
};

}  // namespace tlsmux::test
