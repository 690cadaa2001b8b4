#include "engine/workers/resolver.hpp"

#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>

#include <condition_variable>
#include <cstring>
#include <exception>
#include <mutex>
#include <optional>
#include <utility>

#include "engine/confinement/confinement.hpp"
#include "shm/system/system_error.hpp"

namespace tlsmux::engine {
namespace {

std::optional<mux::Address> address_of(const addrinfo& info, std::uint16_t port) {
  mux::Address address{.port = port};
  if (info.ai_family == AF_INET && info.ai_addrlen >= sizeof(sockaddr_in)) {
    sockaddr_in ipv4{};
    std::memcpy(&ipv4, info.ai_addr, sizeof ipv4);
    std::memcpy(address.bytes.data(), &ipv4.sin_addr, sizeof ipv4.sin_addr);
    return address;
  }
  if (info.ai_family == AF_INET6 && info.ai_addrlen >= sizeof(sockaddr_in6)) {
    sockaddr_in6 ipv6{};
    std::memcpy(&ipv6, info.ai_addr, sizeof ipv6);
    std::memcpy(address.bytes.data(), &ipv6.sin6_addr, sizeof ipv6.sin6_addr);
    address.family = mux::AddressFamily::ipv6;
    address.scope = ipv6.sin6_scope_id;
    return address;
  }
  return std::nullopt;
}

std::string words_for(int code) {
  if (code == EAI_SYSTEM) return shm::last_error("the system's resolver").message;
  return ::gai_strerror(code);
}

}  // namespace

std::expected<std::vector<mux::Address>, std::string> lookup_by_system(const std::string& host, std::uint16_t port) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (const int code = ::getaddrinfo(host.c_str(), nullptr, &hints, &found); code != 0) {
    return std::unexpected(words_for(code));
  }
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner(found, &::freeaddrinfo);
  std::vector<mux::Address> addresses;
  for (const addrinfo* info = found; info != nullptr; info = info->ai_next) {
    if (const auto address = address_of(*info, port)) addresses.push_back(*address);
  }
  if (addresses.empty()) return std::unexpected("the name has neither an IPv4 nor an IPv6 address");
  return addresses;
}

struct Resolver::State {
  State(Mailbox<WorkerResult>& mailbox, Lookup function) : results(&mailbox), lookup(std::move(function)) {}

  // The thread's whole life. Everything but the lookup itself happens under the mutex, so that once `closed` is set the
  // mailbox is not touched any more.
  void run() {
    std::unique_lock lock(mutex);
    for (;;) {
      changed.wait(lock, [this] { return closed || !jobs.empty(); });
      if (closed) return;
      auto jobs_begun = take_next();
      looking_up = true;
      lock.unlock();
      const auto addresses = look_up(jobs_begun.front());
      lock.lock();
      looking_up = false;
      if (closed) return;
      for (const auto& job : jobs_begun) results->post(ResolveResult{.session = job.session, .addresses = addresses});
    }
  }

  // The oldest job and those that ask the same.
  std::vector<ResolveJob> take_next() {
    const auto differs = [host = jobs.front().host, port = jobs.front().port](const ResolveJob& job) {
      return job.host != host || job.port != port;
    };
    std::vector<ResolveJob> taken;
    std::vector<ResolveJob> left;
    for (auto& job : jobs) (differs(job) ? left : taken).push_back(std::move(job));
    jobs = std::move(left);
    return taken;
  }

  std::expected<std::vector<mux::Address>, std::string> look_up(const ResolveJob& job) const {
    try {
      return lookup(job.host, job.port);
    } catch (const std::exception& failure) {
      return std::unexpected(std::string(failure.what()));
    }
  }

  Mailbox<WorkerResult>* const results;
  const Lookup lookup;
  std::mutex mutex;  // guards what follows
  std::condition_variable changed;
  std::vector<ResolveJob> jobs;  // not begun, oldest first
  bool looking_up = false;
  bool closed = false;
};

Resolver::Resolver(Mailbox<WorkerResult>& results, Lookup lookup)
    : state_(std::make_shared<State>(results, std::move(lookup))) {
  thread_ = std::thread([state = state_] {
    ::pthread_setname_np(::pthread_self(), "tmx-resolver");
    confinement::enter_thread(confinement::ThreadKind::resolver);
    state->run();
  });
}

Resolver::~Resolver() {
  bool blocked = false;
  {
    const std::lock_guard lock(state_->mutex);
    state_->closed = true;
    blocked = state_->looking_up;
  }
  state_->changed.notify_all();
  if (blocked) {
    thread_.detach();
  } else {
    thread_.join();
  }
}

void Resolver::submit(ResolveJob job) {
  {
    const std::lock_guard lock(state_->mutex);
    std::erase_if(state_->jobs, [&](const ResolveJob& other) { return other.session.index == job.session.index; });
    state_->jobs.push_back(std::move(job));
  }
  state_->changed.notify_one();
}

}  // namespace tlsmux::engine
