#include "engine/io/ring.hpp"

#include <sys/mman.h>

#include <array>
#include <atomic>
#include <cstring>
#include <numeric>
#include <string>
#include <utility>

#include "shm/assert.hpp"
#include "shm/geometry.hpp"

namespace tlsmux::engine::io {
namespace {

shm::SystemError ring_error(int code, const std::string& doing_what, const std::string& advice = "") {
  return {.code = code, .message = doing_what + ": " + std::strerror(code) + advice};
}

std::string advice_for(int code) {
  switch (code) {
    case EPERM: return " (allow io_uring: sysctl kernel.io_uring_disabled=0, and the container's seccomp profile)";
    case ENOSYS:
      return " (this kernel has no io_uring: Linux 6.1 or later is needed; or a container's seccomp profile hides it, "
             "as "
             "Podman's does: allow io_uring in it)";
    case EINVAL: return " (this kernel lacks something of io_uring: Linux 6.1 or later is needed)";
    case ENOMEM: return " (raise RLIMIT_MEMLOCK: `ulimit -l`, or LimitMEMLOCK= in the service's unit)";
    default: return "";
  }
}

// What io_loop.cpp and stream_places.cpp make entries of. Nothing here opens a file or makes a socket.
constexpr std::array<std::uint8_t, 9> kOperations{IORING_OP_ASYNC_CANCEL, IORING_OP_CLOSE,    IORING_OP_CONNECT,
                                                  IORING_OP_FILES_UPDATE, IORING_OP_POLL_ADD, IORING_OP_RECV,
                                                  IORING_OP_SEND,         IORING_OP_WRITE,    IORING_OP_WRITE_FIXED};

}  // namespace

std::expected<Pages, shm::SystemError> Pages::allocate(std::size_t bytes) {
  const auto rounded = shm::round_up(bytes, shm::kPageBytes);
  void* memory = ::mmap(nullptr, rounded, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return std::unexpected(shm::last_error("allocating buffers"));
  static_cast<void>(::madvise(memory, rounded, MADV_DONTDUMP));  // the second line: there are no core dumps
  Pages pages;
  pages.bytes_ = {static_cast<std::byte*>(memory), rounded};
  return pages;
}

Pages::Pages(Pages&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}

Pages& Pages::operator=(Pages&& other) noexcept {
  std::swap(bytes_, other.bytes_);
  return *this;
}

Pages::~Pages() {
  if (!bytes_.empty()) ::munmap(bytes_.data(), bytes_.size());
}

Ring::~Ring() {
  if (started_) io_uring_queue_exit(&ring_);
}

std::expected<void, shm::SystemError> Ring::start(std::uint32_t entries, std::uint32_t sockets) {
  io_uring_params parameters{};
  parameters.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG |
                     IORING_SETUP_CQSIZE | IORING_SETUP_R_DISABLED;
  parameters.cq_entries = 8 * entries;
  int result = io_uring_queue_init_params(entries, &ring_, &parameters);
  if (result < 0) return std::unexpected(ring_error(-result, "setting up io_uring", advice_for(-result)));
  started_ = true;
  result = io_uring_register_files_sparse(&ring_, sockets);
  if (result < 0)
    return std::unexpected(ring_error(-result, "registering a table of sockets with io_uring", advice_for(-result)));
  return {};
}

std::expected<void, shm::SystemError> Ring::enable() {
  std::vector<io_uring_restriction> restrictions;
  for (const auto operation : kOperations) {
    io_uring_restriction restriction{};
    restriction.opcode = IORING_RESTRICTION_SQE_OP;
    restriction.sqe_op = operation;
    restrictions.push_back(restriction);
  }
  io_uring_restriction flags{};
  flags.opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED;
  flags.sqe_flags = IOSQE_FIXED_FILE | IOSQE_IO_LINK | IOSQE_BUFFER_SELECT;
  restrictions.push_back(flags);
  int result = io_uring_register_restrictions(&ring_, restrictions.data(), static_cast<unsigned>(restrictions.size()));
  if (result < 0) return std::unexpected(ring_error(-result, "restricting what io_uring may do", advice_for(-result)));
  result = io_uring_enable_rings(&ring_);
  if (result < 0) return std::unexpected(ring_error(-result, "enabling io_uring"));
  return {};
}

io_uring_sqe* Ring::entry() {
  auto* entry = io_uring_get_sqe(&ring_);
  while (entry == nullptr) {
    const int submitted = io_uring_submit(&ring_);
    TMX_ASSERT(submitted >= 0 || submitted == -EBUSY || submitted == -EAGAIN || submitted == -EINTR);
    entry = io_uring_get_sqe(&ring_);
  }
  return entry;
}

bool Ring::has_news() const {
  // The kernel sets the flag when it has work that waits for this thread to enter it. It orders nothing: what the work
  // has to say comes out of the completion queue.
  const bool kernel_waits =
      (std::atomic_ref(*ring_.sq.kflags).load(std::memory_order_relaxed) & IORING_SQ_TASKRUN) != 0;
  return kernel_waits || io_uring_sq_ready(&ring_) > 0 || io_uring_cq_ready(&ring_) > 0;
}

std::expected<void, shm::SystemError> ReceiveBuffers::start(Ring& ring, std::uint32_t count, std::uint32_t bytes_each) {
  count_ = count;
  bytes_each_ = bytes_each;
  auto ring_memory = Pages::allocate(count * sizeof(io_uring_buf));
  if (!ring_memory) return std::unexpected(ring_memory.error());
  auto memory = Pages::allocate(std::size_t{count} * bytes_each);
  if (!memory) return std::unexpected(memory.error());
  ring_memory_ = std::move(*ring_memory);
  memory_ = std::move(*memory);

  io_uring_buf_reg registration{};
  registration.ring_addr = reinterpret_cast<std::uint64_t>(ring_memory_.bytes().data());
  registration.ring_entries = count;
  registration.bgid = kGroup;
  const int result = io_uring_register_buf_ring(ring.get(), &registration, 0);
  if (result < 0) return std::unexpected(ring_error(-result, "registering receive buffers", advice_for(-result)));
  io_uring_buf_ring_init(buffer_ring());
  for (std::uint32_t i = 0; i < count; ++i) give_back(static_cast<std::uint16_t>(i));
  return {};
}

std::span<std::byte> ReceiveBuffers::filled(std::uint16_t buffer, std::size_t bytes) const {
  return memory_.bytes().subspan(std::size_t{buffer} * bytes_each_, bytes);
}

void ReceiveBuffers::give_back(std::uint16_t buffer) {
  auto* const start = memory_.bytes().data() + std::size_t{buffer} * bytes_each_;
  io_uring_buf_ring_add(buffer_ring(), start, bytes_each_, buffer, io_uring_buf_ring_mask(count_), 0);
  io_uring_buf_ring_advance(buffer_ring(), 1);
}

std::expected<void, shm::SystemError> SendArena::start(Ring& ring, const std::vector<std::size_t>& bytes_each) {
  const auto total = std::accumulate(bytes_each.begin(), bytes_each.end(), std::size_t{0});
  auto memory = Pages::allocate(std::max<std::size_t>(total, 1));
  if (!memory) return std::unexpected(memory.error());
  memory_ = std::move(*memory);

  std::vector<iovec> vectors;
  std::size_t offset = 0;
  for (const auto bytes : bytes_each) {
    ranges_.push_back(memory_.bytes().subspan(offset, bytes));
    vectors.push_back({.iov_base = ranges_.back().data(), .iov_len = bytes});
    offset += bytes;
  }
  if (vectors.empty()) return {};
  const int result = io_uring_register_buffers(ring.get(), vectors.data(), static_cast<unsigned>(vectors.size()));
  registered_ = result == 0;
  if (result < 0 && result != -ENOMEM && result != -EPERM) {
    return std::unexpected(ring_error(-result, "registering send memory"));
  }
  return {};
}

}  // namespace tlsmux::engine::io
