#include "tests/ports/ring_bind.hpp"

#include <linux/io_uring.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>

#include "shm/system/unique_fd.hpp"

namespace tlsmux::test {
namespace {

constexpr std::uint8_t kBind = 56;  // IORING_OP_BIND, Linux 6.11

// Never unmapped: a ring serves one call of a child that ends.
std::byte* map(int ring, std::size_t bytes, off_t offset) {
  void* const address = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring, offset);
  return address == MAP_FAILED ? nullptr : static_cast<std::byte*>(address);
}

template <typename Value>
Value& at(std::byte* base, std::uint32_t offset) {
  return *reinterpret_cast<Value*>(base + offset);
}

}  // namespace

int bind_by_ring(int socket, const sockaddr& address, socklen_t size) {
  io_uring_params parameters{};
  const shm::UniqueFd ring(static_cast<int>(::syscall(SYS_io_uring_setup, 1, &parameters)));
  if (!ring || (parameters.features & IORING_FEAT_SINGLE_MMAP) == 0) return -1;
  const std::size_t bytes =
      std::max<std::size_t>(parameters.sq_off.array + parameters.sq_entries * sizeof(std::uint32_t),
                            parameters.cq_off.cqes + parameters.cq_entries * sizeof(io_uring_cqe));
  std::byte* const rings = map(ring.get(), bytes, IORING_OFF_SQ_RING);
  std::byte* const entries = map(ring.get(), parameters.sq_entries * sizeof(io_uring_sqe), IORING_OFF_SQES);
  if (rings == nullptr || entries == nullptr) return -1;

  auto& entry = at<io_uring_sqe>(entries, 0);
  entry = {};
  entry.opcode = kBind;
  entry.fd = socket;
  entry.addr = reinterpret_cast<std::uint64_t>(&address);
  entry.addr2 = size;
  at<std::uint32_t>(rings, parameters.sq_off.array) = 0;
  std::atomic_ref(at<std::uint32_t>(rings, parameters.sq_off.tail)).store(1, std::memory_order_release);
  if (::syscall(SYS_io_uring_enter, ring.get(), 1, 1, IORING_ENTER_GETEVENTS, nullptr, 0) != 1) return -1;
  const int result = at<io_uring_cqe>(rings, parameters.cq_off.cqes).res;
  return result == -EINVAL ? -1 : -result;
}

}  // namespace tlsmux::test
