#include "tests/streams/stream_engine.hpp"

#include <doctest/doctest.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>

#include "shm/system/seqpacket.hpp"

namespace tlsmux::test {

using shm::StreamRecordType;

void EngineEnd::raw(const void* bytes, std::size_t count) const {
  const auto* from = static_cast<const char*>(bytes);
  while (count > 0) {
    const auto sent = ::send(socket_.get(), from, count, MSG_NOSIGNAL);
    REQUIRE(sent > 0);
    from += sent;
    count -= static_cast<std::size_t>(sent);
  }
}

void EngineEnd::record(StreamRecordType type, std::string_view body) const {
  const auto header = shm::stream_record(type, static_cast<std::uint32_t>(body.size()));
  std::string bytes(sizeof header, '\0');
  std::memcpy(bytes.data(), &header, sizeof header);
  bytes += body;
  raw(bytes.data(), bytes.size());
}

void EngineEnd::opened(const std::vector<std::string>& certificates) const {
  shm::StreamOpened opened;
  opened.tls_version = 0x0304;
  opened.cipher_suite = 0x1301;
  opened.certificates = static_cast<std::uint32_t>(certificates.size());
  shm::set_text(opened.alpn, "http/1.1");
  std::string body(sizeof opened, '\0');
  std::memcpy(body.data(), &opened, sizeof opened);
  for (const auto& certificate : certificates) {
    const auto length = static_cast<std::uint32_t>(certificate.size());
    body.append(reinterpret_cast<const char*>(&length), sizeof length);
    body += certificate;
  }
  record(StreamRecordType::opened, body);
}

void EngineEnd::end(StreamRecordType type, shm::Reason reason, std::string_view words, bool maybe_sent) const {
  shm::StreamLost end;
  end.reason = static_cast<std::uint32_t>(reason);
  end.maybe_sent = maybe_sent ? 1 : 0;
  shm::set_text(end.text, words);
  record(type, {reinterpret_cast<const char*>(&end), sizeof end});
}

std::string EngineEnd::read(std::size_t count) const {
  std::string bytes(count, '\0');
  std::size_t done = 0;
  while (done < count) {
    const auto got = ::recv(socket_.get(), bytes.data() + done, count - done, 0);
    REQUIRE(got >= 0);
    if (got == 0) break;
    done += static_cast<std::size_t>(got);
  }
  bytes.resize(done);
  return bytes;
}

StreamEngine::StreamEngine()
    : path_(folder_.path() + "/control.sock"), listener_(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  REQUIRE(path_.size() < sizeof address.sun_path);
  std::ranges::copy(path_, address.sun_path);
  REQUIRE(::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  REQUIRE(::listen(listener_.get(), 16) == 0);
  thread_ = std::jthread([this](const std::stop_token& stop) { serve(stop); });
}

StreamEngine::~StreamEngine() {
  thread_.request_stop();
  ::shutdown(listener_.get(), SHUT_RDWR);  // wakes it
}

void StreamEngine::serve(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    const shm::UniqueFd connection(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (connection) answer(connection);
  }
}

void StreamEngine::answer(const shm::UniqueFd& connection) {
  const auto packet = shm::receive_packet(connection.get());
  const std::scoped_lock lock(mutex_);
  if (!packet || !shm::read_message(*packet, request_)) return;
  if (before_answer_) before_answer_();
  if (error_ != 0) {
    shm::Refusal refusal;
    refusal.error = error_;
    shm::set_text(refusal.text, error_text_);
    static_cast<void>(shm::send_message(connection.get(), refusal));
    return;
  }
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) return;
  EngineEnd end{shm::UniqueFd(ends[0])};
  const shm::UniqueFd process(ends[1]);
  switch (beginning_) {
    case Beginning::opened: end.opened(); break;
    case Beginning::nothing: break;
    case Beginning::refused:
      end.end(StreamRecordType::refused, shm::Reason::connect_refused, "nobody there", false);
      break;
    case Beginning::overdue: end.end(StreamRecordType::refused, shm::Reason::deadline, "too late", false); break;
  }
  ends_.push_back(std::move(end));
  static_cast<void>(shm::send_message(connection.get(), shm::OpenStreamReply{}, std::array{process.get()}));
  came_.notify_all();
}

void StreamEngine::refuse(int error, std::string text) {
  const std::scoped_lock lock(mutex_);
  error_ = error;
  error_text_ = std::move(text);
}

void StreamEngine::before_answer(std::function<void()> action) {
  const std::scoped_lock lock(mutex_);
  before_answer_ = std::move(action);
}

void StreamEngine::begin_with(Beginning beginning) {
  const std::scoped_lock lock(mutex_);
  beginning_ = beginning;
}

EngineEnd StreamEngine::next() {
  std::unique_lock lock(mutex_);
  REQUIRE(came_.wait_for(lock, std::chrono::seconds(20), [&] { return !ends_.empty(); }));
  auto end = std::move(ends_.front());
  ends_.pop_front();
  return end;
}

shm::OpenStreamRequest StreamEngine::last_request() {
  const std::scoped_lock lock(mutex_);
  return request_;
}

}  // namespace tlsmux::test
