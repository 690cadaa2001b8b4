#include "ports/guard/guard_programs.hpp"

#include <fcntl.h>
#include <linux/bpf.h>

#include <algorithm>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstring>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <port_guard.skel.h>

namespace tlsmux::ports {
namespace {

struct Hook {
  const char* name;  // of the pin
  const char* program;
  bpf_attach_type type;
};

constexpr std::array kHooks{
    Hook{.name = "bind4", .program = "tlsmux_bind4", .type = BPF_CGROUP_INET4_BIND},
    Hook{.name = "bind6", .program = "tlsmux_bind6", .type = BPF_CGROUP_INET6_BIND},
    Hook{.name = "post_bind4", .program = "tlsmux_post4", .type = BPF_CGROUP_INET4_POST_BIND},
    Hook{.name = "post_bind6", .program = "tlsmux_post6", .type = BPF_CGROUP_INET6_POST_BIND},
};

constexpr std::size_t kSaidBytesMax = 600;

// What libbpf says while a thread works with it; it would print it otherwise.
thread_local std::string* said = nullptr;

int note(libbpf_print_level level, const char* format, va_list arguments) {
  if (said == nullptr || level == LIBBPF_DEBUG) return 0;
  va_list again;
  va_copy(again, arguments);
  std::string text(static_cast<std::size_t>(std::max(0, std::vsnprintf(nullptr, 0, format, again))) + 1, '\0');
  va_end(again);
  std::vsnprintf(text.data(), text.size(), format, arguments);
  text.pop_back();
  *said += text;
  return 0;
}

class Listening {
 public:
  Listening() {
    ::libbpf_set_print(note);
    said = &text_;
  }
  ~Listening() { said = nullptr; }
  Listening(const Listening&) = delete;
  Listening& operator=(const Listening&) = delete;

  // The end of it, in one line: what the verifier says last is the reason.
  [[nodiscard]] std::string text() const {
    auto line = text_.substr(text_.size() - std::min(text_.size(), kSaidBytesMax));
    std::ranges::replace(line, '\n', ' ');
    return line;
  }

 private:
  std::string text_;
};

std::string load_failure(int error, const std::string& details) {
  if (error == EPERM || error == EACCES) {
    return std::string("the kernel refuses eBPF programs (") + std::strerror(error) +
           ") though the capabilities are there: a container's seccomp filter, its user namespace, a security module "
           "or "
           "lockdown forbids them. " +
           details;
  }
  if (error == ENOSYS) return "this kernel (" + kernel_release() + ") has no bpf(2): CONFIG_BPF_SYSCALL is needed";
  return "this kernel (" + kernel_release() + ") does not take the guard's programs: " + std::strerror(error) +
         ". Linux 6.1 or later with CONFIG_CGROUP_BPF and CONFIG_DEBUG_INFO_BTF is needed. " + details;
}

std::string attach_failure(int error, const Hook& hook, const std::string& cgroup) {
  const std::string what = std::string("attaching to ") + hook.name + " of the cgroup " + cgroup + ": ";
  if (error == EPERM) return what + "another program is attached there, or above, that allows no second one";
  if (error == E2BIG) return what + "as many programs are attached there as the kernel allows";
  if (error == EINVAL) return what + "this kernel (" + kernel_release() + ") lacks CONFIG_CGROUP_BPF or is before 6.1";
  return what + std::strerror(error);
}

bpf_map* map_of(const port_guard& skeleton, std::size_t map) {
  return ::bpf_object__find_map_by_name(skeleton.obj, kGuardMapNames[map]);
}

int program_of(const port_guard& skeleton, const Hook& hook) {
  return ::bpf_program__fd(::bpf_object__find_program_by_name(skeleton.obj, hook.program));
}

std::string pin_of(const std::string& folder, const char* name) { return folder + "/" + name; }

bool fits(int descriptor, const bpf_map* wanted) {
  bpf_map_info info{};
  std::uint32_t bytes = sizeof info;
  return ::bpf_obj_get_info_by_fd(descriptor, &info, &bytes) == 0 && info.type == ::bpf_map__type(wanted) &&
         info.key_size == ::bpf_map__key_size(wanted) && info.value_size == ::bpf_map__value_size(wanted) &&
         info.max_entries == ::bpf_map__max_entries(wanted) && info.map_flags == ::bpf_map__map_flags(wanted);
}

}  // namespace

void GuardPrograms::Destroy::operator()(port_guard* skeleton) const { ::port_guard__destroy(skeleton); }

std::expected<GuardPrograms, std::string> GuardPrograms::load(const GuardMaps* maps) {
  const Listening listening;
  Skeleton skeleton(::port_guard__open());
  if (!skeleton) return std::unexpected(load_failure(errno, listening.text()));
  for (std::size_t map = 0; maps != nullptr && map < kGuardMapNames.size(); ++map) {
    const int error = ::bpf_map__reuse_fd(map_of(*skeleton, map), maps->descriptors[map].get());
    if (error != 0) return std::unexpected(load_failure(-error, listening.text()));
  }
  if (const int error = ::port_guard__load(skeleton.get()); error != 0) {
    return std::unexpected(load_failure(-error, listening.text()));
  }
  return GuardPrograms(std::move(skeleton));
}

std::expected<GuardMaps, std::string> GuardPrograms::maps() const {
  GuardMaps maps;
  for (std::size_t map = 0; map < kGuardMapNames.size(); ++map) {
    maps.descriptors[map].reset(::fcntl(::bpf_map__fd(map_of(*skeleton_, map)), F_DUPFD_CLOEXEC, 0));
    if (!maps.descriptors[map]) return std::unexpected(std::string("the guard's maps: ") + std::strerror(errno));
  }
  return maps;
}

std::expected<void, std::string> GuardPrograms::pin_maps(const std::string& folder) const {
  for (std::size_t map = 0; map < kGuardMapNames.size(); ++map) {
    const auto pin = pin_of(folder, kGuardMapNames[map]);
    if (::bpf_obj_pin(::bpf_map__fd(map_of(*skeleton_, map)), pin.c_str()) != 0) {
      return std::unexpected(pin + ": " + std::strerror(errno));
    }
  }
  return {};
}

std::expected<void, std::string> GuardPrograms::attach(const GuardHost& host,
                                                       const std::optional<std::string>& folder) const {
  for (const auto& hook : kHooks) {
    const shm::UniqueFd link(
        ::bpf_link_create(program_of(*skeleton_, hook), host.cgroup_folder.get(), hook.type, nullptr));
    if (!link) return std::unexpected(attach_failure(errno, hook, host.cgroup));
    if (!folder) continue;
    const auto pin = pin_of(*folder, hook.name);
    if (::bpf_obj_pin(link.get(), pin.c_str()) != 0) return std::unexpected(pin + ": " + std::strerror(errno));
  }
  return {};
}

std::expected<void, std::string> GuardPrograms::replace_in(const std::string& folder) const {
  for (const auto& hook : kHooks) {
    const auto pin = pin_of(folder, hook.name);
    const shm::UniqueFd link(::bpf_obj_get(pin.c_str()));
    if (!link || ::bpf_link_update(link.get(), program_of(*skeleton_, hook), nullptr) != 0) {
      return std::unexpected(pin + ": " + std::strerror(errno));
    }
  }
  return {};
}

std::optional<GuardMaps> open_maps(const std::string& folder) {
  const Listening listening;
  const std::unique_ptr<port_guard, decltype(&::port_guard__destroy)> wanted(::port_guard__open(),
                                                                             ::port_guard__destroy);
  if (!wanted) return std::nullopt;
  GuardMaps maps;
  for (std::size_t map = 0; map < kGuardMapNames.size(); ++map) {
    maps.descriptors[map].reset(::bpf_obj_get(pin_of(folder, kGuardMapNames[map]).c_str()));
    if (!maps.descriptors[map] || !fits(maps.descriptors[map].get(), map_of(*wanted, map))) return std::nullopt;
  }
  return maps;
}

bool are_attached(const std::string& folder, std::uint64_t cgroup_id) {
  return std::ranges::all_of(kHooks, [&](const Hook& hook) {
    const shm::UniqueFd link(::bpf_obj_get(pin_of(folder, hook.name).c_str()));
    bpf_link_info info{};
    std::uint32_t bytes = sizeof info;
    return link && ::bpf_obj_get_info_by_fd(link.get(), &info, &bytes) == 0 && info.type == BPF_LINK_TYPE_CGROUP &&
           info.cgroup.attach_type == static_cast<std::uint32_t>(hook.type) && info.cgroup.cgroup_id == cgroup_id;
  });
}

}  // namespace tlsmux::ports
