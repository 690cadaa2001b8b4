#pragma once

// The engine's side of streams, as a test scripts it: a control socket that hands out one end of a socket pair for each
// request, and the records on the other.

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "shm/control_protocol.hpp"
#include "shm/outcome.hpp"
#include "shm/stream_record.hpp"
#include "shm/system/unique_fd.hpp"
#include "tests/support/temporary_folder.hpp"

namespace tlsmux::test {

// The engine's end of one stream. Blocks.
class EngineEnd {
 public:
  EngineEnd() = default;
  explicit EngineEnd(shm::UniqueFd socket) : socket_(std::move(socket)) {}

  void raw(const void* bytes, std::size_t count) const;
  void record(shm::StreamRecordType type, std::string_view body) const;
  void opened(const std::vector<std::string>& certificates = {}) const;
  void data(std::string_view bytes) const { record(shm::StreamRecordType::data, bytes); }
  void closed() const { record(shm::StreamRecordType::closed, {}); }
  void end(shm::StreamRecordType type, shm::Reason reason, std::string_view words, bool maybe_sent) const;
  // So many bytes of what the process has written; fewer at its end.
  [[nodiscard]] std::string read(std::size_t count) const;
  void die() { socket_.reset(); }

 private:
  shm::UniqueFd socket_;
};

class StreamEngine {
 public:
  StreamEngine();
  ~StreamEngine();
  StreamEngine(const StreamEngine&) = delete;
  StreamEngine& operator=(const StreamEngine&) = delete;

  [[nodiscard]] const std::string& control_socket() const { return path_; }
  // From now on each request is refused with this; 0: none is.
  void refuse(int error, std::string text);
  // From now on the first record of each stream is this, in place of `opened`.
  enum class Beginning : std::uint8_t { opened, nothing, refused, overdue };
  void begin_with(Beginning beginning);

  // To be done between a request and its answer.
  void before_answer(std::function<void()> action);

  // The end of the stream that was asked for next, and its request.
  EngineEnd next();
  [[nodiscard]] shm::OpenStreamRequest last_request();

 private:
  void serve(const std::stop_token& stop);
  void answer(const shm::UniqueFd& connection);

  TemporaryFolder folder_;
  std::string path_;
  shm::UniqueFd listener_;
  std::mutex mutex_;
  std::condition_variable came_;
  std::deque<EngineEnd> ends_;
  shm::OpenStreamRequest request_;
  int error_ = 0;
  std::string error_text_;
  std::function<void()> before_answer_;
  Beginning beginning_ = Beginning::opened;
  std::jthread thread_;
};

}  // namespace tlsmux::test
