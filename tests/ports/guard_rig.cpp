#include "tests/ports/guard_rig.hpp"

#include <fcntl.h>
#include <linux/bpf.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <exception>
#include <filesystem>
#include <fstream>
#include <stdexcept>

#include <doctest/doctest.h>

#include "tests/support/skip.hpp"
#include "tests/system/eventually.hpp"

namespace tlsmux::test {
namespace {

namespace fs = std::filesystem;

void check(bool done, const std::string& what) {
  if (!done) throw std::runtime_error(what + ": " + std::strerror(errno));
}

std::string cgroup_root() {
  std::ifstream mounts("/proc/self/mounts");
  std::string source, point, type, rest;
  while (mounts >> source >> point >> type && std::getline(mounts, rest)) {
    if (type == "cgroup2") return point;
  }
  throw std::runtime_error("no cgroup of version 2 is mounted");
}

}  // namespace

ports::Port tcp(std::uint16_t port) { return {.protocol = ports::Protocol::tcp, .number = port}; }
ports::Port udp(std::uint16_t port) { return {.protocol = ports::Protocol::udp, .number = port}; }

ports::GuardRules guarding(std::vector<ports::Port> ports, std::string service) {
  return {
      .services = {
          {.name = std::move(service), .users = {kMember}, .unix_groups = {kMemberGroup}, .ports = std::move(ports)}}};
}

GuardRig::GuardRig() {
  // The mount goes with this process. It stays in the namespace it makes: nothing else of it is different.
  check(::unshare(CLONE_NEWNS) == 0, "making a mount namespace");
  check(::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0, "keeping mounts private");
  check(::mount("bpf", folder_.path().c_str(), "bpf", 0, nullptr) == 0, "mounting a bpffs");
  static int count = 0;
  outer_cgroup_ = cgroup_root() + "/tlsmux-test-" + std::to_string(::getpid()) + "-" + std::to_string(++count);
  cgroup_ = outer_cgroup_ + "/inner";
  check(::mkdir(outer_cgroup_.c_str(), S_IRWXU) == 0, "making the cgroup " + outer_cgroup_);
  check(::mkdir(cgroup_.c_str(), S_IRWXU) == 0, "making the cgroup " + cgroup_);
}

GuardRig::~GuardRig() {
  ::umount2(folder_.path().c_str(), MNT_DETACH);
  // A process that has just been waited for may be in it still.
  for (const auto& cgroup : {cgroup_, outer_cgroup_}) {
    CHECK(eventually([&] { return ::rmdir(cgroup.c_str()) == 0; }));
  }
}

ports::GuardPlace GuardRig::place(const std::string& instance) const {
  return {.bpf_directory = folder_.path(), .cgroup = cgroup_, .instance = instance};
}

std::expected<ports::Guard, std::string> GuardRig::put(const ports::GuardPlace& place,
                                                       const ports::GuardRules& rules) const {
  std::expected<ports::Guard, std::string> guard = std::unexpected("");
  network_.in_thread([&] { guard = ports::Guard::put(place, rules); });
  return guard;
}

void GuardRig::enter(const Identity& who) const {
  std::ofstream(cgroup_ + "/cgroup.procs") << "0" << std::flush;
  network_.enter(who);
}

int GuardRig::as(const Identity& who, const std::function<int()>& run) const {
  return network_.in_process([&] {
    enter(who);
    return run();
  });
}

int GuardRig::bind(const Identity& who, std::uint16_t port, const SocketKind& kind) const {
  return as(who, [&] { return bind_socket(make_socket(kind).get(), port); });
}

int GuardRig::attached_programs(const std::string& cgroup) {
  const shm::UniqueFd folder(::open(cgroup.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  check(static_cast<bool>(folder), "opening " + cgroup);
  int programs = 0;
  for (const auto hook :
       {BPF_CGROUP_INET4_BIND, BPF_CGROUP_INET6_BIND, BPF_CGROUP_INET4_POST_BIND, BPF_CGROUP_INET6_POST_BIND}) {
    bpf_attr query{};
    query.query.target_fd = static_cast<std::uint32_t>(folder.get());
    query.query.attach_type = hook;
    check(::syscall(SYS_bpf, BPF_PROG_QUERY, &query, sizeof query) == 0, "asking for the programs of " + cgroup);
    programs += static_cast<int>(query.query.prog_cnt);
  }
  return programs;
}

std::vector<std::string> GuardRig::pins() const {
  std::vector<std::string> names;
  const fs::path root = folder_.path("tlsmux");
  if (!fs::exists(root)) return names;
  for (const auto& entry : fs::recursive_directory_iterator(root)) {
    names.push_back(fs::relative(entry.path(), root).string());
  }
  std::ranges::sort(names);
  return names;
}

bool skip_without_guard() {
  if (skip_without_network_namespaces()) return true;
  try {
    const GuardRig rig;
    const auto possible = ports::Guard::probe(rig.place());
    if (possible) return false;
    skip("needs a guard of ports: " + possible.error());
  } catch (const std::exception& failure) {
    skip("needs a bpffs and cgroups of its own: " + std::string(failure.what()));
  }
  return true;
}

}  // namespace tlsmux::test
