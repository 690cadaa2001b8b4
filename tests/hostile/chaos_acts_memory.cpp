// What a member can do with its memory and the descriptors that came with it.

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <string>
#include <thread>
#include <utility>

#include "shm/port_layout.hpp"
#include "tests/hostile/chaos_client.hpp"
#include "tests/system/eventually.hpp"

namespace tlsmux::test {
namespace {

constexpr int kScribbles = 60;
constexpr std::uint64_t kFull = ~std::uint64_t{0} - 1;  // of an eventfd

// Lets the engine do something meanwhile.
void pause_ms(int milliseconds) { ::poll(nullptr, 0, milliseconds); }

std::string message_of(Chaos& chaos) {
  std::string message(32 + chaos.below(200), '\0');
  chaos.fill(std::as_writable_bytes(std::span(message)));
  return message;
}

void submit_good(Chaos& chaos, RawChannel& channel) { channel.submit(channel.good_request(message_of(chaos))); }

bool scribble_over_all(Chaos& chaos) {
  auto channel = chaos.open();
  if (!channel) return false;
  for (int i = 0; i < kScribbles && !channel->is_detached(); ++i) {
    scribble(*channel, chaos.random);
    channel->ring();
  }
  return true;
}

// A field of a good descriptor, or several.
bool crafted_descriptors(Chaos& chaos) {
  auto channel = chaos.open();
  if (!channel) return false;
  const auto& geometry = channel->geometry();
  for (int i = 0; i < kScribbles && !channel->is_detached(); ++i) {
    auto descriptor = channel->good_request(message_of(chaos));
    for (auto changes = 1 + chaos.below(3); changes > 0; --changes) {
      switch (chaos.below(9)) {
        case 0: descriptor.request_slot = static_cast<std::uint32_t>(chaos.odd(geometry.slots_per_channel)); break;
        case 1: descriptor.response_slot = static_cast<std::uint32_t>(chaos.odd(geometry.slots_per_channel)); break;
        case 2: descriptor.length = static_cast<std::uint32_t>(chaos.odd(geometry.slot_bytes)); break;
        case 3: descriptor.generation = chaos.odd(shm::kGenerationMax); break;
        case 4: descriptor.timeout_ms = static_cast<std::uint32_t>(chaos.odd(1)); break;
        case 5: descriptor.operation = static_cast<shm::Operation>(1 + chaos.below(4)); break;
        case 6: descriptor.flags = static_cast<std::uint16_t>(chaos.random()); break;
        case 7: descriptor.notice = chaos.odd(8); break;
        default: descriptor.tag = chaos.random(); break;
      }
    }
    channel->submit(descriptor);
  }
  return true;
}

// Lends pairs and replies to notices that there are not.
bool lent_pairs(Chaos& chaos) {
  auto channel =
      chaos.open(shm::kLateAnswers | shm::kSubscribeLate | shm::kSubscribeUnsolicited | shm::kSubscribeOrphans);
  if (!channel) return false;
  for (std::uint32_t i = 0; i < 12 && !channel->is_detached(); ++i) {
    auto descriptor = channel->good_request(message_of(chaos));
    descriptor.request_slot = 2 * i % channel->geometry().slots_per_channel;
    descriptor.response_slot = descriptor.request_slot + 1;
    descriptor.operation = chaos.below(3) == 0 ? shm::Operation::reply : shm::Operation::receive;
    descriptor.notice = chaos.odd(4);
    channel->controls()[descriptor.request_slot].word.start(descriptor.generation);
    channel->submit(descriptor);
    if (chaos.below(4) == 0) chaos.fill(std::as_writable_bytes(channel->controls()));
  }
  return true;
}

bool armed_flags_and_ready_words(Chaos& chaos) {
  auto channel = chaos.open();
  if (!channel) return false;
  for (int i = 0; i < kScribbles; ++i) {
    channel->header().client_armed.store(static_cast<std::uint32_t>(chaos.odd(1)));
    channel->words().engine_armed.store(static_cast<std::uint32_t>(chaos.odd(1)));
    channel->words().ready.store(chaos.odd(channel->geometry().channels));
    if (i % 8 == 0) submit_good(chaos, *channel);
    channel->ring();
    if (channel->is_detached()) return true;
  }
  return true;
}

// What is handed to others when it dies, and what it says that it has seen.
bool seen_marks(Chaos& chaos) {
  auto channel = chaos.open();
  if (!channel) return false;
  for (int i = 0; i < kScribbles; ++i) {
    channel->header().completions.seen.store(chaos.odd(channel->geometry().ring_entries()));
    for (auto& control : channel->controls()) {
      chaos.fill({reinterpret_cast<std::byte*>(&control) + sizeof control.word, sizeof control - sizeof control.word});
    }
    submit_good(chaos, *channel);
    if (channel->is_detached()) return true;
  }
  return true;
}

bool trace_numbers(Chaos& chaos) {
  auto channel = chaos.open();
  if (!channel) return false;
  for (int i = 0; i < kScribbles && !channel->is_detached(); ++i) {
    auto& lease = channel->header().trace_numbers;
    if (chaos.below(2) == 0) {
      chaos.fill({reinterpret_cast<std::byte*>(&lease), sizeof lease});
    } else {
      lease.asked.store(1);
      lease.taken.store(static_cast<std::uint32_t>(chaos.odd(4)));
    }
    channel->ring();
  }
  return true;
}

bool port_leases(Chaos& chaos) {
  auto channel = chaos.open();
  if (!channel) return false;
  shm::ClaimPortRequest claim;
  claim.kind = shm::PortClaimKind::dynamic;
  claim.protocol = shm::kPortTcp;
  claim.leases = 1;
  if (!channel->control().send(claim) || !channel->control().receive_as<shm::ClaimPortReply>()) return false;
  auto* const leases =
      reinterpret_cast<shm::PortLeases*>(channel->memory().data() + channel->geometry().leases_offset());
  for (int i = 0; i < kScribbles && !channel->is_detached(); ++i) {
    auto& words = chaos.below(2) == 0 ? leases->tcp : leases->udp;
    auto& word = words[chaos.below(words.size())];
    const auto seen = word.load();
    word.store(chaos.below(2) == 0 ? seen ^ 1ULL << chaos.below(64) : chaos.random());
    if (chaos.below(4) == 0) channel->control().send(shm::RefillPortsRequest{});
  }
  return true;
}

// The bytes of a message while it is queued, sealed, sent and answered.
bool payload_under_way(Chaos& chaos) {
  auto channel = chaos.open();
  if (!channel) return false;
  const std::span memory = channel->slot(0);
  const std::jthread writer([memory, random = chaos.random](const std::stop_token& told) mutable {
    while (!told.stop_requested()) memory[random() % 256] = static_cast<std::byte>(random());
  });
  for (std::uint64_t round = 1; round <= 20 && !channel->is_detached(); ++round) {
    auto descriptor = channel->good_request(message_of(chaos));
    descriptor.generation = round;
    channel->controls()[0].word.start(round);
    channel->submit(descriptor);
    for (int i = 0; i < 100 && channel->header().completions.tail.load() < round; ++i) pause_ms(1);
  }
  return true;
}

// Each of these is refused, or harms only its own mapping.
bool truncate_punch_remap(Chaos& chaos) {
  auto channel = chaos.open();
  if (!channel) return false;
  submit_good(chaos, *channel);
  const int memory = channel->offer().memory.get();
  const auto size = channel->memory().size();
  const auto bytes = static_cast<off_t>(size);
  const auto reopened = shm::UniqueFd(::open(("/proc/self/fd/" + std::to_string(memory)).c_str(), O_RDWR | O_CLOEXEC));
  for (const int fd : {memory, reopened.get(), channel->offer().group.get()}) {
    for (const off_t length : {off_t{0}, bytes / 2, 2 * bytes}) static_cast<void>(!::ftruncate(fd, length));
    for (const int mode :
         {FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, FALLOC_FL_ZERO_RANGE, FALLOC_FL_COLLAPSE_RANGE, 0}) {
      ::fallocate(fd, mode, 0, bytes);
    }
    for (const int seal : {F_SEAL_WRITE, F_SEAL_FUTURE_WRITE, F_SEAL_SHRINK}) ::fcntl(fd, F_ADD_SEALS, seal);
    ::fcntl(fd, F_SETFL, static_cast<int>(chaos.random() & (O_APPEND | O_NONBLOCK | O_NOATIME)));
    static_cast<void>(::pwrite(fd, &bytes, sizeof bytes, 8));
    for (const int protection : {PROT_READ | PROT_WRITE, PROT_READ | PROT_EXEC}) {
      void* const mapped = ::mmap(nullptr, size, protection, MAP_SHARED, fd, 0);
      if (mapped != MAP_FAILED) ::munmap(mapped, size);
    }
  }
  auto* const start = channel->memory().data();
  for (const int advice : {MADV_REMOVE, MADV_DONTNEED, MADV_FREE, MADV_PAGEOUT, MADV_COLD})
    ::madvise(start, size, advice);
  submit_good(chaos, *channel);
  ::mprotect(start, size, PROT_READ);
  ::mprotect(start, size, PROT_NONE);
  ::mprotect(start, size, PROT_READ | PROT_WRITE);
  submit_good(chaos, *channel);
  return true;
}

// Reads the doorbell empty before the engine does, and lets both eventfds be full and blocking.
bool eventfds(Chaos& chaos) {
  auto channel = chaos.open();
  if (!channel) return false;
  const int doorbell = channel->doorbell();
  std::uint64_t count = 0;
  for (int i = 0; i < 20; ++i) {
    submit_good(chaos, *channel);
    static_cast<void>(::read(doorbell, &count, sizeof count));
    static_cast<void>(::read(channel->wake(), &count, sizeof count));
  }
  if (channel->is_detached()) return true;
  for (const int fd : {doorbell, channel->wake()}) {
    ::fcntl(fd, F_SETFL, O_NONBLOCK | O_ASYNC);
    ::fcntl(fd, F_SETOWN, ::getppid());
    static_cast<void>(::write(fd, &kFull, sizeof kFull));
    if (fd != doorbell) ::fcntl(fd, F_SETFL, 0);
  }
  channel->header().client_armed.store(1);
  submit_good(chaos, *channel);
  pause_ms(5);
  ::fcntl(doorbell, F_SETFL, 0);
  return true;
}

// The member dies; a child keeps its mapping, descriptors and socket, and goes on.
bool child_goes_on(Chaos& chaos) {
  const auto first = ::fork();
  if (first > 0) {
    int status = 0;
    return ::waitpid(first, &status, 0) == first && status == 0;
  }
  auto channel = chaos.open();
  if (!channel) ::_exit(1);
  ::madvise(channel->memory().data(), channel->memory().size(), MADV_DOFORK);
  submit_good(chaos, *channel);
  if (::fork() != 0) ::_exit(0);
  ::alarm(10);
  for (int i = 0; i < 100; ++i) {
    scribble(*channel, chaos.random);
    channel->ring();
    pause_ms(1);
  }
  ::_exit(0);
}

// Requests under way, one of them for ever in the making; a port; memory that it never says it has mapped. Stops, if it has them.
void hold_all_sorts(Chaos& chaos) {
  auto channel = chaos.open(shm::kLateAnswers);
  ControlClient half(chaos.config.engine.control_socket);
  const auto offer = half.begin_attach(chaos.config.groups[0].name);
  if (!channel || !offer) return;
  shm::ClaimPortRequest claim;
  claim.kind = shm::PortClaimKind::dynamic;
  claim.protocol = shm::kPortUdp;
  claim.leases = 1;
  channel->control().send(claim);
  channel->header().client_armed.store(1);
  submit_good(chaos, *channel);
  channel->header().requests.tail.fetch_add(1);
  ::raise(SIGSTOP);
}

bool is_answered(Chaos& chaos) {
  auto channel = RawChannel::try_open(chaos.config, kUpstreamsOfRequests[0]);
  if (!channel) return false;
  submit_good(chaos, *channel);
  return eventually([&] { return channel->header().completions.tail.load() > 0; }) &&
         channel->controls()[0].word.load().state == shm::SlotState::answered;
}

// Others are served meanwhile.
bool stopped_while_it_holds_all_sorts(Chaos& chaos) {
  const auto child = ::fork();
  if (child == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    hold_all_sorts(chaos);
    ::_exit(0);
  }
  siginfo_t stopped{};
  ::waitid(P_PID, static_cast<id_t>(child), &stopped, WSTOPPED | WEXITED | WNOWAIT);
  // There may be as many clients as the group may have.
  if (!eventually([&] { return is_answered(chaos); })) chaos.others_suffered = true;
  ::kill(child, chaos.below(2) == 0 ? SIGKILL : SIGCONT);
  ::waitpid(child, nullptr, 0);
  return stopped.si_code == CLD_STOPPED;
}

constexpr Act kActs[] = {
    {"scribble over all", scribble_over_all},
    {"crafted descriptors", crafted_descriptors},
    {"lent pairs", lent_pairs},
    {"armed flags and ready words", armed_flags_and_ready_words},
    {"seen marks", seen_marks},
    {"trace numbers", trace_numbers},
    {"port leases", port_leases},
    {"payload under way", payload_under_way},
    {"truncate, punch, remap", truncate_punch_remap},
    {"eventfds", eventfds},
    {"a child goes on", child_goes_on},
    {"stopped while it holds all sorts", stopped_while_it_holds_all_sorts},
};

}  // namespace

std::span<const Act> memory_acts() { return kActs; }

}  // namespace tlsmux::test
