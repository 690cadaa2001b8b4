#include "tests/soak/board.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <memory>

#include <doctest/doctest.h>

namespace tlsmux::soak {
namespace {

bool is_readable(int fd, int timeout_ms) {
  pollfd wanted{.fd = fd, .events = POLLIN, .revents = 0};
  return ::poll(&wanted, 1, timeout_ms) > 0;
}

}  // namespace

Board::Board() : gate_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  REQUIRE(gate_);
  void* const memory = ::mmap(nullptr, sizeof(BoardContent), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  REQUIRE(memory != MAP_FAILED);
  content_ = std::construct_at(static_cast<BoardContent*>(memory));
}

Board::~Board() { ::munmap(content_, sizeof(BoardContent)); }

void Board::let_work() {
  const std::uint64_t one = 1;
  REQUIRE(::write(gate_.get(), &one, sizeof one) == sizeof one);
}

void Board::let_rest() {
  ++content_->rest;
  std::uint64_t count = 0;
  REQUIRE(::read(gate_.get(), &count, sizeof count) == sizeof count);
}

void Board::let_end() {
  content_->ended = true;
  let_work();
}

bool Board::all_rest(std::size_t residents) const {
  return std::all_of(content_->lines.begin(), content_->lines.begin() + static_cast<std::ptrdiff_t>(residents),
                     [&](const BoardLine& line) { return line.rests == content_->rest; });
}

std::string Board::trouble(std::size_t resident) const { return content_->lines[resident].trouble.data(); }

DeedCounts Board::deeds() const {
  DeedCounts counts{};
  std::ranges::copy(content_->deeds, counts.begin());
  return counts;
}

shm::LatencyCounts Board::take_latencies() {
  shm::LatencyCounts counts{};
  for (std::size_t i = 0; i < counts.size(); ++i) counts[i] = content_->latency[i].exchange(0);
  return counts;
}

bool Board::is_time_to_rest() const { return !is_readable(gate_.get(), 0); }

bool Board::rest(std::size_t resident) {
  content_->lines[resident].rests = content_->rest.load();
  is_readable(gate_.get(), -1);
  return !content_->ended;
}

void Board::count(Deed deed) { ++content_->deeds[static_cast<std::size_t>(deed)]; }

void Board::add_latency(std::uint64_t ns) { ++content_->latency[shm::bucket_of(ns)]; }

void Board::set_trouble(std::size_t resident, std::string_view words) {
  auto& text = content_->lines[resident].trouble;
  std::copy_n(words.begin(), std::min(words.size(), text.size() - 1), text.begin());
}

}  // namespace tlsmux::soak
