// Reads the ring of events by its mapping alone, without bpf(2), which a confined process may not call. The kernel's
// Documentation/bpf/ringbuf.rst describes it, and include/uapi/linux/bpf.h its header bits: a page with the reader's
// position, a page with the writers', then the records, mapped twice in a row so that none is cut.

#include <linux/bpf.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <utility>

#include "ports/guard.hpp"
#include "ports/guard/port_guard.h"

namespace tlsmux::ports {
namespace {

constexpr std::size_t kRingBytes = TLSMUX_GUARD_EVENTS_BYTES;
constexpr std::size_t kMappedBytes = 2 * kRingBytes;
constexpr std::size_t kHeaderBytes = BPF_RINGBUF_HDR_SZ;

class Mapping {
 public:
  Mapping(int descriptor, std::size_t bytes, int protection, off_t offset)
      : bytes_(bytes), address_(::mmap(nullptr, bytes, protection, MAP_SHARED, descriptor, offset)) {}
  Mapping(Mapping&& other) noexcept : bytes_(other.bytes_), address_(std::exchange(other.address_, MAP_FAILED)) {}
  Mapping& operator=(Mapping&&) = delete;
  ~Mapping() {
    if (*this) ::munmap(address_, bytes_);
  }

  explicit operator bool() const { return address_ != MAP_FAILED; }
  [[nodiscard]] std::byte* bytes() const { return static_cast<std::byte*>(address_); }
  template <typename Value>
  [[nodiscard]] Value& as() const {
    return *static_cast<Value*>(address_);
  }

 private:
  std::size_t bytes_;
  void* address_;
};

GuardEvent event_of(const GuardRecord& record) {
  const auto protocol = record.protocol == guard_udp_port ? Protocol::udp : Protocol::tcp;
  return {.at_ns = record.at_ns,
          .pid = record.pid,
          .uid = record.uid,
          .gid = record.gid,
          .service = record.service,
          .port = {.protocol = protocol, .number = record.port},
          .is_denied = record.is_denied != 0,
          .program = std::string(record.program, ::strnlen(record.program, sizeof record.program))};
}

// Counters have the kernel as their only writer.
std::uint64_t read_counter(const __u64& counter) { return __atomic_load_n(&counter, __ATOMIC_RELAXED); }

std::size_t page_bytes() { return static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)); }

}  // namespace

struct GuardEvents::Parts {
  shm::UniqueFd events;
  Mapping reader;   // this side's position
  Mapping writers;  // theirs, and the records
  Mapping counters;
};

GuardEvents::GuardEvents(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
GuardEvents::GuardEvents(GuardEvents&&) noexcept = default;
GuardEvents& GuardEvents::operator=(GuardEvents&&) noexcept = default;
GuardEvents::~GuardEvents() = default;

std::expected<GuardEvents, std::string> GuardEvents::open(std::vector<shm::UniqueFd> descriptors) {
  if (descriptors.size() != 2 || !descriptors[0] || !descriptors[1]) {
    return std::unexpected("the guard's events come with two descriptors");
  }
  const auto page = page_bytes();
  const int ring = descriptors[0].get();
  Mapping reader(ring, page, PROT_READ | PROT_WRITE, 0);
  Mapping writers(ring, page + kMappedBytes, PROT_READ, static_cast<off_t>(page));
  Mapping counters(descriptors[1].get(), page, PROT_READ, 0);
  if (!reader || !writers || !counters) {
    return std::unexpected(std::string("mapping the guard's events: ") + std::strerror(errno));
  }
  return GuardEvents(std::make_unique<Parts>(Parts{.events = std::move(descriptors[0]),
                                                   .reader = std::move(reader),
                                                   .writers = std::move(writers),
                                                   .counters = std::move(counters)}));
}

int GuardEvents::descriptor() const { return parts_->events.get(); }

// Acquire on the writers' position shows the records before it, and on a record's header its contents once it is no
// longer busy. Release on the reader's gives the room back only after it was copied from.
std::vector<GuardEvent> GuardEvents::take() {
  std::vector<GuardEvent> taken;
  const std::atomic_ref reader(parts_->reader.as<unsigned long>());
  const std::atomic_ref writers(parts_->writers.as<unsigned long>());
  std::byte* const records = parts_->writers.bytes() + page_bytes();
  auto at = reader.load(std::memory_order_relaxed);
  const auto end = writers.load(std::memory_order_acquire);
  while (at < end) {
    std::byte* const record = records + (at & (kRingBytes - 1));
    const auto header = std::atomic_ref(*reinterpret_cast<std::uint32_t*>(record)).load(std::memory_order_acquire);
    if ((header & BPF_RINGBUF_BUSY_BIT) != 0) break;
    const auto length = header & ~static_cast<std::uint32_t>(BPF_RINGBUF_DISCARD_BIT);
    if ((header & BPF_RINGBUF_DISCARD_BIT) == 0 && length == sizeof(GuardRecord)) {
      GuardRecord copy{};
      std::memcpy(&copy, record + kHeaderBytes, sizeof copy);
      taken.push_back(event_of(copy));
    }
    at += (length + kHeaderBytes + 7) / 8 * 8;
    reader.store(at, std::memory_order_release);
  }
  return taken;
}

std::uint64_t GuardEvents::lost() const { return read_counter(parts_->counters.as<GuardCounters>().lost); }
std::uint64_t GuardEvents::denials() const { return read_counter(parts_->counters.as<GuardCounters>().denials); }

}  // namespace tlsmux::ports
