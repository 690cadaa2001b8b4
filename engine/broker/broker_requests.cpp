#include "engine/broker/broker_requests.hpp"

#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <optional>
#include <utility>

#include "config/changers.hpp"
#include "config/identity.hpp"
#include "config/state_folder.hpp"
#include "engine/broker/file_access.hpp"
#include "engine/broker/resource_limits.hpp"
#include "engine/broker/trace_store.hpp"
#include "engine/shard/trace_blocks.hpp"
#include "shm/geometry.hpp"
#include "shm/segment.hpp"

namespace tlsmux::engine::broker {
namespace {

std::optional<Request> read_request(const shm::Packet& packet) {
  Request request;
  if (packet.bytes.size() != sizeof request || !packet.descriptors.empty()) return std::nullopt;
  std::memcpy(&request, packet.bytes.data(), sizeof request);
  if (request.magic != kBrokerMagic) return std::nullopt;
  return request;
}

// Whose members may read the group's object: its first Unix group, or the engine's.
gid_t reader_gid_of(const config::GroupSettings& group, gid_t engine_gid) {
  if (group.unix_groups.empty()) return engine_gid;
  return config::resolve_unix_group(group.unix_groups.front()).value_or(engine_gid);
}

}  // namespace

struct BrokerRequests::Row {
  Handler handler;
  Operation operation;
  unsigned uses;  // which fields; the others must be zero
};

namespace {

enum Use : unsigned {
  kNothing = 0,
  kIndex = 1,
  kFile = 2,
  kBytes = 4,
  kBlocks = 8,
  kCandidate = 16,
  kPid = 32,
  kSockets = 64,
};

}  // namespace

const BrokerRequests::Row BrokerRequests::kRows[] = {
    {&BrokerRequests::open_listener, Operation::open_listener, kNothing},
    {&BrokerRequests::create_group_object, Operation::create_group_object, kIndex | kBytes | kCandidate},
    {&BrokerRequests::remove_group_objects, Operation::remove_group_objects, kNothing},
    {&BrokerRequests::open_file, Operation::open_file, kIndex | kFile | kCandidate},
    {&BrokerRequests::report_serving, Operation::report_serving, kNothing},
    {&BrokerRequests::reserve_trace_numbers, Operation::reserve_trace_numbers, kIndex | kBlocks},
    {&BrokerRequests::load_candidate, Operation::load_candidate, kNothing},
    {&BrokerRequests::adopt_candidate, Operation::adopt_candidate, kNothing},
    {&BrokerRequests::drop_candidate, Operation::drop_candidate, kNothing},
    {&BrokerRequests::open_predecessor, Operation::open_predecessor, kIndex | kCandidate},
    {&BrokerRequests::find_socket_owners, Operation::find_socket_owners, kSockets},
    {&BrokerRequests::port_enforcement, Operation::port_enforcement, kIndex | kCandidate},
    {&BrokerRequests::open_guard_events, Operation::open_guard_events, kNothing},
    {&BrokerRequests::admit_to_guard, Operation::admit_to_guard, kIndex | kCandidate | kPid},
    {&BrokerRequests::dismiss_from_guard, Operation::dismiss_from_guard, kIndex | kCandidate | kPid},
    {&BrokerRequests::watch_port_enforcement, Operation::watch_port_enforcement, kNothing},
};

namespace {

// The fields that it sets, as far as they are not zero.
unsigned fields_of(const Request& request) {
  unsigned set = kNothing;
  const auto add = [&set](bool is_set, Use field) { set |= is_set ? field : kNothing; };
  add(request.index != 0, kIndex);
  add(request.file != FileKind::none || request.entry != 0, kFile);
  add(request.bytes != 0, kBytes);
  add(request.blocks != 0 || request.begins != 0 || request.held.all.count != 0 || request.held.kept.count != 0,
      kBlocks);
  add(request.candidate != 0, kCandidate);
  add(request.pid != 0, kPid);
  add(std::ranges::any_of(request.sockets, [](auto inode) { return inode != 0; }), kSockets);
  return set;
}

}  // namespace

Answer BrokerRequests::answer(const shm::Packet& packet) {
  const auto request = read_request(packet);
  if (!request) return malformed_answer({});
  const auto* row = std::ranges::find(kRows, request->operation, &Row::operation);
  const bool good = row != std::end(kRows) && (fields_of(*request) & ~row->uses) == 0 && request->candidate <= 1 &&
                    request->reserved == 0;
  return good ? (this->*row->handler)(*request) : malformed_answer(*request);
}

Answer BrokerRequests::malformed_answer(const Request& request) {
  ++malformed_;
  return failure(request, EPROTO, "no such request");
}

const config::Config* BrokerRequests::find_config(const Request& request) const {
  if (request.candidate == 0) return &scope_.config;
  return scope_.candidate != nullptr ? scope_.candidate->get() : nullptr;
}

const config::GroupSettings* BrokerRequests::find_group(const Request& request) const {
  const auto* config = find_config(request);
  if (config == nullptr || request.index >= config->groups.size()) return nullptr;
  return &config->groups[request.index];
}

const config::UpstreamSettings* BrokerRequests::find_upstream(const Request& request) const {
  const auto* config = find_config(request);
  if (config == nullptr || request.index >= config->upstreams.size()) return nullptr;
  return &config->upstreams[request.index];
}

Answer BrokerRequests::open_listener(const Request& request) {
  if (listener_ < 0) return failure(request, EAGAIN, "the control socket is not open yet");
  shm::UniqueFd copy(::fcntl(listener_, F_DUPFD_CLOEXEC, 3));
  if (!copy) return failure(request, shm::last_error("handing over the control socket"));
  return success(request, std::move(copy));
}

Answer BrokerRequests::create_group_object(const Request& request) {
  const auto* lock =
      request.candidate != 0 && scope_.candidate != nullptr ? scope_.candidate->added(request.index) : nullptr;
  const auto* config = request.candidate == 0 ? &scope_.config : lock != nullptr ? scope_.candidate->get() : nullptr;
  if (config == nullptr || request.index >= config->groups.size()) return malformed_answer(request);
  if (request.bytes == 0 || request.bytes > kGroupBytesMax || request.bytes % shm::kPageBytes != 0) {
    return malformed_answer(request);
  }
  const auto& group = config->groups[request.index];
  const auto& name = group.name;
  if (scope_.predecessors != nullptr) scope_.predecessors->about_to_make(name);
  auto writable = shm::create_group_object(name, request.bytes);
  if (!writable) return failure(request, writable.error());
  // By the descriptor and not by the name, which the engine's user could lead elsewhere once it is the owner.
  shm::UniqueFd readable(::open(("/proc/self/fd/" + std::to_string(writable->get())).c_str(), O_RDONLY | O_CLOEXEC));
  if (!readable) return failure(request, shm::last_error("opening /dev/shm/" + shm::group_object_name(name)));
  if (scope_.predecessors != nullptr) scope_.predecessors->made(name, readable.get());
  const auto reader_gid = reader_gid_of(group, scope_.engine_gid);
  if (::fchown(writable->get(), scope_.engine_uid, reader_gid) != 0) {
    if (errno != EPERM)
      return failure(request, shm::last_error("giving away /dev/shm/" + shm::group_object_name(name)));
    // Members get their descriptor from the engine in any case; only opening it by name is closed to them.
    scope_.log.warning("privilege_missing", {{"what", "group_object_owner"},
                                             {"group", name},
                                             {"gid", reader_gid},
                                             {"needs", "root, or tlsmuxd's user to be in that Unix group"}});
  }
  std::vector<shm::UniqueFd> descriptors;
  descriptors.push_back(std::move(*writable));
  descriptors.push_back(std::move(readable));
  if (lock != nullptr) {
    descriptors.emplace_back(::fcntl(lock->descriptor(), F_DUPFD_CLOEXEC, 3));
    if (!descriptors.back()) return failure(request, shm::last_error("handing over the lock of group " + name));
  }
  return success(request, std::move(descriptors));
}

Answer BrokerRequests::remove_group_objects(const Request& request) {
  for (const auto& group : scope_.config.groups) shm::remove_group_object(group.name);
  return success(request);
}

Answer BrokerRequests::open_file(const Request& request) {
  const auto* upstream = find_upstream(request);
  if (upstream == nullptr) return malformed_answer(request);
  if (request.file != FileKind::ca_directory_entry && request.entry != 0) return malformed_answer(request);
  const auto& tls = upstream->tls;
  const auto answer_with = [&](const std::string& path, auto opener) {
    if (path.empty()) return failure(request, ENOENT, "the configuration names no such file");
    auto fd = opener(path);
    return fd ? success(request, std::move(*fd)) : failure(request, fd.error());
  };
  const auto trusted = [](const char* what_changers_may) {
    return [what_changers_may](const std::string& path) { return open_trusted(path, what_changers_may); };
  };
  const auto open_secret = [&](const std::string& path) { return open_private(path, scope_.engine_uid); };
  switch (request.file) {
    case FileKind::ca_file: return answer_with(tls.ca_file, trusted(config::kDecideTrust));
    case FileKind::crl_file: return answer_with(tls.crl_file, trusted(config::kDecideRevocation));
    case FileKind::certificate_file: return answer_with(tls.certificate_file, open_for_reading);
    case FileKind::key_file: return answer_with(tls.key_file, open_secret);
    case FileKind::passphrase_file: return answer_with(tls.passphrase_file, open_secret);
    case FileKind::key_log_file: return open_key_log(*upstream, request);
    case FileKind::ca_directory_entry: return open_directory_entry(tls, request);
    case FileKind::none: break;
  }
  return malformed_answer(request);
}

Answer BrokerRequests::open_key_log(const config::UpstreamSettings& upstream, const Request& request) {
  const std::string& path = upstream.tls.key_log_file;
  if (path.empty()) return failure(request, ENOENT, "the configuration names no such file");
  if (!scope_.key_log_allowed) {
    return failure(request, EPERM,
                   "key_log_file of upstream " + upstream.name + " is set, but " + std::string(kAllowKeyLogVariable) +
                       "=1 is not in the environment of tlsmuxd; remove the one or set the other");
  }
  auto fd = open_secret_log(path, scope_.engine_uid);
  if (!fd) return failure(request, fd.error());
  scope_.log.warning("key_log_is_on",
                     {{"upstream", upstream.name},
                      {"file", path},
                      {"means", "WHOEVER READS THIS FILE CAN DECRYPT WHAT THIS UPSTREAM SENDS AND RECEIVES"},
                      {"needs", "key_log_file to be removed from the configuration, and the file to be deleted"}});
  return success(request, std::move(*fd));
}

Answer BrokerRequests::open_directory_entry(const config::TlsSettings& tls, const Request& request) {
  if (tls.ca_directory.empty()) return failure(request, ENOENT, "the configuration names no such directory");
  if (request.entry == 0) {
    auto files = trusted_files_in(tls.ca_directory, config::kDecideTrust);
    if (!files) return failure(request, files.error());
    directory_files_ = std::move(*files);
    directory_ = tls.ca_directory;
  } else if (directory_ != tls.ca_directory) {
    return failure(request, EINVAL, "another directory is being read; start again with entry 0");
  }
  if (request.entry >= directory_files_.size()) return failure(request, ENOENT, "no more files in the directory");
  auto fd = open_trusted(directory_files_[request.entry], config::kDecideTrust);
  return fd ? success(request, std::move(*fd)) : failure(request, fd.error());
}

Answer BrokerRequests::reserve_trace_numbers(const Request& request) {
  if (request.index >= scope_.config.upstreams.size()) return malformed_answer(request);
  const auto& upstream = scope_.config.upstreams[request.index];
  // A multiple of what is right would use up the round.
  if (request.blocks == 0 || request.blocks > trace_chunk_blocks(upstream.trace_numbers) || request.begins > 1 ||
      !is_sound(request.held)) {
    return malformed_answer(request);
  }
  const TraceNeed need{.blocks = request.blocks, .begins = request.begins != 0, .held = request.held};
  const auto folder = config::state_folder(scope_.config.engine);
  if (scope_.trace_locks != nullptr) {
    if (const auto taken = scope_.trace_locks->take(TraceStore::path_of(folder, upstream.name)); !taken) {
      return failure(request, taken.error());
    }
  }
  trace_store_.set_folder(folder);
  const auto reserved = trace_store_.reserve(upstream.name, upstream.trace_numbers, need, ::time(nullptr));
  if (!reserved) return failure(request, reserved.error());
  if (reserved->memory != TraceMemory::file) log_lost_trace_numbers(upstream, reserved->memory);
  auto answer = success(request);
  answer.reply.first_block = reserved->reservation.chunk.first;
  answer.reply.block_count = reserved->reservation.chunk.count;
  answer.reply.held = reserved->reservation.held;
  return answer;
}

void BrokerRequests::log_lost_trace_numbers(const config::UpstreamSettings& upstream, TraceMemory memory) {
  const auto file = TraceStore::path_of(config::state_folder(scope_.config.engine), upstream.name);
  if (memory == TraceMemory::broker) {
    scope_.log.warning("trace_number_file_lost", {{"upstream", upstream.name},
                                                  {"file", file},
                                                  {"means", "it was written anew in time; no number comes twice"},
                                                  {"needs", "nobody but tlsmuxd to touch /engine/state_directory"}});
    return;
  }
  scope_.log.warning(
      "trace_numbers_begin",
      {{"upstream", upstream.name},
       {"file", file},
       {"means",
        "NO FILE TELLS HOW FAR THE TRACE NUMBERS HAD COME: they begin at a point that the time of day gives, "
        "and may repeat some that were used lately"},
       {"needs", "nothing when this upstream is new; else /engine/state_directory to be a folder that lasts"}});
}

Answer BrokerRequests::load_candidate(const Request& request) {
  if (scope_.candidate == nullptr) return failure(request, ENOENT, "there is no configuration file to read again");
  auto loaded = scope_.candidate->load();
  if (!loaded) return failure(request, loaded.error());
  const auto* const candidate = scope_.candidate->get();
  for (std::uint32_t i = 0; candidate != nullptr && i < candidate->groups.size(); ++i) {
    if (const auto* const lock = scope_.candidate->added(i)) log_displaced(*lock, scope_.log);
  }
  auto answer = success(request, std::move(loaded->text));
  answer.reply.is_refused = loaded->is_refused ? 1 : 0;
  return answer;
}

Answer BrokerRequests::adopt_candidate(const Request& request) {
  const auto descriptors_before = descriptors_needed(scope_.config);
  if (scope_.candidate == nullptr || !scope_.candidate->adopt()) {
    return failure(request, ENOENT, "there is no candidate to adopt");
  }
  if (descriptors_needed(scope_.config) > descriptors_before) raise_limits(scope_.config, scope_.log, engine_pid_);
  scope_.log.set_level(scope_.config.engine.log.level);
  if (scope_.ports != nullptr) scope_.ports->apply(scope_.config);
  if (scope_.predecessors != nullptr) scope_.predecessors->forget_others(scope_.config.groups);
  return success(request);
}

Answer BrokerRequests::drop_candidate(const Request& request) {
  if (scope_.candidate != nullptr) scope_.candidate->drop();
  return success(request);
}

Answer BrokerRequests::report_serving(const Request& request) {
  serving_ = true;
  if (scope_.predecessors != nullptr) scope_.predecessors->engine_serves();
  return success(request);
}

}  // namespace tlsmux::engine::broker
