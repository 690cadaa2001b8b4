#include "tests/support/network_namespace.hpp"

#include <fcntl.h>
#include <grp.h>
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <stdexcept>
#include <thread>
#include <tuple>

#include "tests/support/skip.hpp"

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71  // Linux 5.14
#endif

namespace tlsmux::test {
namespace {

constexpr std::size_t kSysctlBytesMax = 256UL * 1024;

void check(bool done, const std::string& what) {
  if (!done) throw std::runtime_error(what + ": " + std::strerror(errno));
}

// In a thread, whose namespaces end with it; what it throws comes out here.
void run_in_thread(const std::function<void()>& run) {
  std::exception_ptr failure;
  std::thread([&] {
    try {
      run();
    } catch (...) {
      failure = std::current_exception();
    }
  }).join();
  if (failure) std::rethrow_exception(failure);
}

void bring_loopback_up() {
  const shm::UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  check(static_cast<bool>(socket), "making a socket");
  ifreq request{};
  std::memcpy(static_cast<char*>(request.ifr_name), "lo", sizeof "lo");
  check(::ioctl(socket.get(), SIOCGIFFLAGS, &request) == 0, "asking for the flags of lo");
  request.ifr_flags = static_cast<short>(request.ifr_flags | IFF_UP | IFF_RUNNING);
  check(::ioctl(socket.get(), SIOCSIFFLAGS, &request) == 0, "bringing lo up");
}

}  // namespace

NetworkNamespace::NetworkNamespace() {
  run_in_thread([this] {
    check(::unshare(CLONE_NEWNET) == 0, "making a network namespace");
    bring_loopback_up();
    descriptor_.reset(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
    check(static_cast<bool>(descriptor_), "opening a network namespace");
  });
}

void NetworkNamespace::enter() const {
  check(::setns(descriptor_.get(), CLONE_NEWNET) == 0, "entering a network namespace");
}

void NetworkNamespace::enter(const Identity& identity) const {
  enter();
  become(identity);
}

void NetworkNamespace::in_thread(const std::function<void()>& run) const {
  run_in_thread([&] {
    enter();
    run();
  });
}

int NetworkNamespace::in_process(const std::function<int()>& run, const Identity& identity) const {
  std::ignore = std::fflush(nullptr);
  const auto child = ::fork();
  check(child >= 0, "forking");
  if (child == 0) {
    // Not doctest's, which would report the end of a child as that of the test.
    for (const int signal : {SIGABRT, SIGSEGV, SIGTERM, SIGINT}) std::ignore = ::signal(signal, SIG_DFL);
    int code = 255;
    try {
      enter(identity);
      code = run();
    } catch (const std::exception& failure) {
      std::fprintf(stderr, "in a child process: %s\n", failure.what());
    }
    std::ignore = std::fflush(nullptr);
    std::_Exit(code);
  }
  int status = 0;
  check(::waitpid(child, &status, 0) == child, "waiting for a child");
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

std::string NetworkNamespace::sysctl(const std::string& name) const {
  std::string text(kSysctlBytesMax, '\0');
  in_thread([&] {
    const shm::UniqueFd file(::open(("/proc/sys/" + name).c_str(), O_RDONLY | O_CLOEXEC));
    check(static_cast<bool>(file), "opening " + name);
    const auto size = ::read(file.get(), text.data(), text.size());  // lists come in one read, or not at all
    check(size >= 0, "reading " + name);
    text.resize(static_cast<std::size_t>(size));
  });
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

void NetworkNamespace::set_sysctl(const std::string& name, const std::string& text) const {
  in_thread([&] {
    const shm::UniqueFd file(::open(("/proc/sys/" + name).c_str(), O_WRONLY | O_CLOEXEC));
    check(static_cast<bool>(file), "opening " + name);
    const auto line = text + "\n";
    check(::write(file.get(), line.data(), line.size()) == static_cast<ssize_t>(line.size()), "writing " + name);
  });
}

std::uint64_t NetworkNamespace::inode() const {
  struct stat status{};
  check(::fstat(descriptor_.get(), &status) == 0, "looking at a network namespace");
  return status.st_ino;
}

std::uint64_t NetworkNamespace::cookie() const {
  std::uint64_t cookie = 0;
  in_thread([&] {
    const shm::UniqueFd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    socklen_t size = sizeof cookie;
    check(::getsockopt(socket.get(), SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &size) == 0,
          "asking for a namespace's cookie");
  });
  return cookie;
}

void become(const Identity& identity) {
  check(::setgroups(identity.groups.size(), identity.groups.data()) == 0, "setting supplementary groups");
  check(::setresgid(identity.gid, identity.gid, identity.gid) == 0, "becoming a Unix group");
  check(::setresuid(identity.uid, identity.uid, identity.uid) == 0, "becoming a user");
}

bool skip_without_root() {
  if (::geteuid() == 0) return false;
  skip("needs root, to become other users");
  return true;
}

bool skip_without_network_namespaces() {
  if (skip_without_root()) return true;
  try {
    const NetworkNamespace probe;
    return false;
  } catch (const std::exception& failure) {
    skip("needs network namespaces of its own: " + std::string(failure.what()));
    return true;
  }
}

}  // namespace tlsmux::test
