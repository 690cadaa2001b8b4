#pragma once

// How a program uses a connection of its own, encrypted or not: a write for each request (or for all that there is room
// for, if they are batched), one read for all answers that have come.

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <span>
#include <vector>

#include "bench/client/client_main.hpp"
#include "bench/client/slice.hpp"

namespace tlsmux::bench {

// A Stream is made from ClientArguments and blocks:
//   bool write(std::span<const std::byte>)        all of it, or false
//   std::size_t read(std::span<std::byte>)        at least one byte, or 0
template <typename Stream>
class StreamLink {
 public:
  explicit StreamLink(const ClientArguments& arguments) : stream_(arguments) {}

  void run(Slice& slice) {
    for (;;) {
      if (!write_requests(slice)) return slice.fail("writing to the connection failed");
      if (slice.in_flight() == 0) return;
      if (!read_answers(slice) || slice.has_failed()) return;
      slice.look_at_clock();
    }
  }

 private:
  bool write_requests(Slice& slice) {
    output_.clear();
    slice.look_at_clock();
    while (slice.wants_more()) {
      const auto bytes = slice.next_bytes();
      const auto frame = output_.size();
      output_.resize(frame + kFrameHeadBytes + bytes);
      output_[frame] = static_cast<std::byte>(bytes >> 8);
      output_[frame + 1] = static_cast<std::byte>(bytes);
      slice.next_request(std::span(output_).subspan(frame + kFrameHeadBytes));
      if (slice.is_batched()) continue;
      if (!stream_.write(output_)) return false;
      output_.clear();
      slice.look_at_clock();
    }
    return output_.empty() || stream_.write(output_);
  }

  // Until there is one at least. False: the connection is lost.
  bool read_answers(Slice& slice) {
    const auto before = slice.in_flight();
    while (slice.in_flight() == before && !slice.has_failed()) {
      if (input_.size() - end_ < kReadBytes) make_room();
      const auto bytes = stream_.read(std::span(input_).subspan(end_, input_.size() - end_));
      if (bytes == 0) {
        slice.fail("the connection ended");
        return false;
      }
      end_ += bytes;
      slice.look_at_clock();
      cut_frames(slice);
    }
    return true;
  }

  void cut_frames(Slice& slice) {
    while (end_ - begin_ >= kFrameHeadBytes) {
      const auto bytes =
          std::to_integer<std::size_t>(input_[begin_]) << 8 | std::to_integer<std::size_t>(input_[begin_ + 1]);
      if (end_ - begin_ < kFrameHeadBytes + bytes) break;
      slice.take_answer(std::span(input_).subspan(begin_ + kFrameHeadBytes, bytes));
      begin_ += kFrameHeadBytes + bytes;
    }
    if (begin_ == end_) begin_ = end_ = 0;
  }

  void make_room() {
    std::memmove(input_.data(), input_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
    if (input_.size() - end_ < kReadBytes) input_.resize(end_ + 2 * kReadBytes);
  }

  static constexpr std::size_t kReadBytes = 16UL * 1024;  // of a TLS record

  Stream stream_;
  std::vector<std::byte> output_;
  std::vector<std::byte> input_ = std::vector<std::byte>(2 * kReadBytes);  // [begin_, end_) is yet to be looked at
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
};

}  // namespace tlsmux::bench
