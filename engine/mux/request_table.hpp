#pragma once

// All requests that the engine holds, in one table of fixed size, and lists through it without allocation.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "engine/message/correlation.hpp"
#include "engine/mux/seams.hpp"

namespace tlsmux::engine::mux {

using RequestIndex = std::uint32_t;
inline constexpr std::uint32_t kNone = ~0U;

enum class RequestState : std::uint8_t {
  free,
  queued,     // waits for a session; its caller may still withdraw it
  requeued,   // was taken once, and no byte of it left: waits for another session
  in_flight,  // sealed on a session
  abandoned,  // ended for its caller, but the host may still answer it
};

enum class RequestKind : std::uint8_t {
  request,
  reply,  // to the host's own message: on the session it came on or nowhere, without a key
};

struct Request {
  RequestState state = RequestState::free;
  RequestKind kind = RequestKind::request;
  std::uint32_t upstream = 0;
  std::uint32_t group = 0;
  std::uint32_t client = 0;
  std::uint32_t session = kNone;  // index, while in flight or abandoned; of a reply: always
  Caller caller;
  std::uint32_t length = 0;
  std::uint32_t prefix_bytes = 0;  // so many leading bytes lie in private memory
  std::uint64_t intake_ns = 0;
  std::uint64_t deadline_ns = 0;    // of the request; once abandoned, of waiting for a late answer
  std::uint64_t wire_position = 0;  // where the first record that holds a byte of it begins on the session's stream
  std::uint64_t wire_end = 0;       // of a reply in flight: where the record with its last byte ends
  std::uint64_t notice = 0;         // of a reply: what it answers
  message::CorrelationKey key;
  RequestIndex previous = kNone;  // in the one list it is in
  RequestIndex next = kNone;
  std::uint32_t heap_position = kNone;
};

class RequestTable {
 public:
  // `prefix_bytes_max` private bytes are kept for each request.
  RequestTable(std::size_t capacity, std::size_t prefix_bytes_max);

  // kNone when the table is full.
  RequestIndex allocate();
  void release(RequestIndex index);

  Request& operator[](RequestIndex index) { return requests_[index]; }
  const Request& operator[](RequestIndex index) const { return requests_[index]; }

  // The private copy of the request's leading bytes.
  std::span<std::byte> prefix(RequestIndex index) { return {prefixes_.get() + index * prefix_stride_, prefix_stride_}; }

  [[nodiscard]] std::size_t capacity() const { return requests_.size(); }
  [[nodiscard]] std::size_t in_use() const { return in_use_; }

 private:
  std::vector<Request> requests_;
  std::unique_ptr<std::byte[]> prefixes_;  // not touched before use: what is never used needs no memory
  std::size_t prefix_stride_;
  RequestIndex free_ = kNone;  // chained through `next`
  std::size_t in_use_ = 0;
};

// A doubly linked list of requests. A request is in one list at most.
class RequestList {
 public:
  [[nodiscard]] bool empty() const { return head_ == kNone; }
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] RequestIndex front() const { return head_; }
  [[nodiscard]] RequestIndex back() const { return tail_; }

  void push_back(RequestTable& table, RequestIndex index);
  void push_front(RequestTable& table, RequestIndex index);
  void remove(RequestTable& table, RequestIndex index);

 private:
  RequestIndex head_ = kNone;
  RequestIndex tail_ = kNone;
  std::size_t size_ = 0;
};

}  // namespace tlsmux::engine::mux
