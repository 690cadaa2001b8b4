#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <queue>
#include <stop_token>
#include <thread>
#include <unordered_map>
#include <vector>

#include "bench/host/session.hpp"
#include "bench/host/tally.hpp"

namespace tlsmux::bench {

// One thread of the host with an epoll loop and the connections that were given to it. In each turn it reads what has
// come, and then sends, in one record, all answers of a connection that are due.
class HostWorker {
 public:
  // Both outlive it. Throws std::runtime_error.
  HostWorker(SSL_CTX* context, HostTally& tally);
  // Ends the thread; connections are dropped.
  ~HostWorker();
  HostWorker(const HostWorker&) = delete;
  HostWorker& operator=(const HostWorker&) = delete;

  // Any thread. The socket does not block.
  void adopt(shm::UniqueFd socket);

 private:
  struct Served {
    std::unique_ptr<HostSession> session;
    bool watches_for_room = false;
    bool is_touched = false;
  };
  struct Due {
    std::uint64_t due_ns;
    std::uint64_t session;
    std::vector<std::byte> frame;
    bool operator<(const Due& other) const { return due_ns > other.due_ns; }  // the earliest is on top
  };

  void run(const std::stop_token& stop);
  void wait_and_read();
  void take_adopted();
  void read(std::uint64_t number, Served& served);
  void put_due();
  void send_touched();
  void touch(std::uint64_t number, Served& served);
  void watch_for_room(std::uint64_t number, Served& served);
  void ring() const;

  SSL_CTX* context_;
  HostTally& tally_;
  shm::UniqueFd epoll_;
  shm::UniqueFd bell_;  // eventfd
  std::mutex mutex_;
  std::vector<shm::UniqueFd> adopted_;  // guarded by mutex_
  std::unordered_map<std::uint64_t, Served> sessions_;
  std::uint64_t next_number_ = 1;
  std::priority_queue<Due> delayed_;
  std::vector<std::uint64_t> touched_;
  std::uint64_t now_ns_ = 0;
  std::jthread thread_;  // last: it uses the others
};

}  // namespace tlsmux::bench
