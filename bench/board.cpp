#include "bench/board.hpp"

#include <sys/mman.h>
#include <sys/stat.h>

#include <stdexcept>
#include <utility>

#include "shm/system/system_error.hpp"

namespace tlsmux::bench {
namespace {

constexpr std::size_t kPageBytes = 4096;

constexpr std::size_t whole_pages(std::size_t bytes) { return (bytes + kPageBytes - 1) / kPageBytes * kPageBytes; }

[[noreturn]] void fail(const char* what) { throw std::runtime_error(shm::last_error(what).message); }

void* map(int descriptor, std::size_t bytes) {
  void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
  if (memory == MAP_FAILED) fail("mapping the board");
  return memory;
}

}  // namespace

struct Board::Head {
  std::uint64_t places;
  std::uint64_t samples_per_place;
  std::uint64_t samples_offset;
  Task task;
};

Board::Board(shm::UniqueFd file, void* memory, std::size_t bytes)
    : file_(std::move(file)), memory_(memory), bytes_(bytes) {}

Board::Board(Board&& other) noexcept
    : file_(std::move(other.file_)), memory_(std::exchange(other.memory_, nullptr)), bytes_(other.bytes_) {}

Board::~Board() {
  if (memory_ != nullptr) ::munmap(memory_, bytes_);
}

Board Board::create(std::size_t places, std::size_t samples_per_place) {
  // One client's samples begin on a page of their own, so that clients share no cache line.
  const auto samples_bytes = whole_pages(samples_per_place * sizeof(std::uint32_t));
  const auto samples_offset = whole_pages(kPageBytes + places * sizeof(Place));
  const auto bytes = samples_offset + places * samples_bytes;
  shm::UniqueFd file(::memfd_create("tlsmux-bench", MFD_CLOEXEC));
  if (!file || ::ftruncate(file.get(), static_cast<off_t>(bytes)) != 0) fail("making the board");
  void* memory = map(file.get(), bytes);
  Board board(std::move(file), memory, bytes);
  board.head() = {.places = places,
                  .samples_per_place = samples_bytes / sizeof(std::uint32_t),
                  .samples_offset = samples_offset,
                  .task = {}};
  return board;
}

Board Board::open(int descriptor) {
  shm::UniqueFd file(descriptor);
  struct stat status{};
  if (::fstat(file.get(), &status) != 0) fail("looking at the board");
  const auto bytes = static_cast<std::size_t>(status.st_size);
  void* memory = map(file.get(), bytes);
  return {std::move(file), memory, bytes};
}

Board::Head& Board::head() const { return *static_cast<Head*>(memory_); }

std::size_t Board::places() const { return head().places; }

Task& Board::task() const { return head().task; }

Place& Board::place(std::size_t number) const {
  return reinterpret_cast<Place*>(static_cast<std::byte*>(memory_) + kPageBytes)[number];
}

std::span<std::uint32_t> Board::samples(std::size_t number) const {
  auto* first = reinterpret_cast<std::uint32_t*>(static_cast<std::byte*>(memory_) + head().samples_offset);
  return {first + number * head().samples_per_place, head().samples_per_place};
}

}  // namespace tlsmux::bench
