// Any requests of an engine to its broker, and of those after it, and what it leaves in its group's object: no descriptor but
// of what the configuration names, no word of sockets but on its ports, and every answer names its request. What is kept of a
// group is a group's part.
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>

#include "engine/broker/broker_requests.hpp"
#include "engine/broker/port_table_image.hpp"
#include "engine/broker/port_table_store.hpp"
#include "shm/control_protocol.hpp"
#include "shm/geometry.hpp"
#include "shm/group_part.hpp"
#include "shm/row.hpp"
#include "shm/segment.hpp"
#include "tests/fuzz/choices.hpp"
#include "tests/fuzz/own_network.hpp"
#include "tests/support/pem_text.hpp"
#include "tests/support/temporary_folder.hpp"

using namespace tlsmux;
using engine::broker::Answer;
using engine::broker::Operation;
using engine::broker::Request;

namespace {

std::string group_name() { return "fuzz-" + std::to_string(::getpid()); }

// On loopback; its port is the kernel's choice.
shm::UniqueFd make_listener() {
  shm::UniqueFd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  fuzz::require(socket.get() >= 0 &&
                    ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 &&
                    ::listen(socket.get(), 1) == 0,
                "no listener");
  return socket;
}

std::uint16_t port_of(const shm::UniqueFd& socket) {
  sockaddr_in address{};
  socklen_t length = sizeof address;
  fuzz::require(::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &length) == 0, "no port");
  return ntohs(address.sin_port);
}

std::uint64_t inode_of(const shm::UniqueFd& socket) {
  struct stat status{};
  return ::fstat(socket.get(), &status) == 0 ? status.st_ino : 0;
}

// What outlives an input: the files of a configuration, and beside them one that nobody may have; a port that becomes the
// group's, and a socket on another one.
struct Files {
  Files() {
    port = port_of(make_listener());
    for (const auto* name : {"state", "authorities", "more"}) std::filesystem::create_directory(folder.path(name));
    for (const auto* name : {"authorities/one.pem", "authorities/two.pem", "more/three.pem", "client.pem", "client.key",
                             "crl.pem", "passphrase", "secret"}) {
      static_cast<void>(folder.add(name, name));
    }
    static_cast<void>(folder.add("ca.pem", test::kPemText));
    static_cast<void>(folder.add(
        "config.json", R"({"groups": [{"name": ")" + group_name() +
                           R"(", "users": ["0"]}], "upstreams": [{"name": "host", "groups": [")" + group_name() +
                           R"("], "endpoints": [{"host": "127.0.0.1", "port": 443}], "tls": {"ca_file": ")" +
                           folder.path("ca.pem") + R"("}}]})"));
  }
  ~Files() { shm::remove_group_object(group_name()); }

  [[nodiscard]] config::Config config() const {
    config::Config config;
    config.engine.state_directory = folder.path("state");
    config.groups.resize(1);
    auto& group = config.groups[0];
    group.name = group_name();
    group.users = {"0"};
    group.ports.dynamic = {{.from = port, .to = port, .protocols = config::PortProtocols::tcp}};
    group.ports.enforcement.holders = true;
    config.upstreams.resize(2);
    for (auto& upstream : config.upstreams) upstream.name = "host";
    auto& tls = config.upstreams[0].tls;
    tls.ca_file = folder.path("ca.pem");
    tls.ca_directory = folder.path("authorities");
    tls.certificate_file = folder.path("client.pem");
    tls.key_file = folder.path("client.key");
    tls.crl_file = folder.path("crl.pem");
    tls.passphrase_file = folder.path("passphrase");
    tls.key_log_file = folder.path("keys.log");
    config.upstreams[1].name = "other";
    config.upstreams[1].tls.ca_directory = folder.path("more");
    return config;
  }

  [[nodiscard]] bool may_be_given(const std::string& file, Operation operation, bool key_log_allowed) const {
    const auto object = "/dev/shm/" + shm::group_object_name(group_name());
    if (file.starts_with("/memfd:") || file == object || file == object + ".lock") return true;
    if (file == "anon_inode:[eventfd]") return operation == Operation::watch_port_enforcement;
    if (file == folder.path("keys.log")) return key_log_allowed;
    for (const auto* name : {"ca.pem", "client.pem", "client.key", "crl.pem", "passphrase", "authorities/one.pem",
                             "authorities/two.pem", "more/three.pem", "state/listener"}) {
      if (file == folder.path(name)) return true;
    }
    return false;
  }

  test::TemporaryFolder folder{"/dev/shm"};
  std::uint16_t port = 0;
  shm::UniqueFd stranger = make_listener();
};

// One for all inputs: to make it is to look at all sockets of the machine. As at first unless a candidate was adopted.
struct Ports {
  explicit Ports(const config::Config& config) : enforcement(config.engine, ::geteuid(), log) {
    enforcement.apply(config);
  }

  void begin(const config::Config& config) {
    log.set_level(config::LogLevel::error);
    if (std::exchange(is_changed, false)) enforcement.apply(config);
  }

  engine::Log log{config::LogLevel::error, shm::UniqueFd(::open("/dev/null", O_WRONLY | O_CLOEXEC)),
                  engine::Log::Mode::synchronous};
  engine::broker::PortEnforcement enforcement;
  bool is_changed = false;
};

struct Desk {
  Desk(const Files& files, Ports& shared_ports, bool key_log_allowed)
      : config(files.config()),
        ports(shared_ports),
        path(files.folder.path("config.json")),
        scope{.config = config,
              .log = ports.log,
              .engine_uid = ::geteuid(),
              .engine_gid = ::getegid(),
              .key_log_allowed = key_log_allowed,
              .candidate = &candidate,
              .ports = &ports.enforcement,
              .predecessors = &*predecessors,
              .trace_locks = &trace_locks} {
    ports.begin(config);
    requests.emplace(scope);
  }

  // What comes to the broker from elsewhere, or is done with what it has given.
  void happen(std::uint8_t what, fuzz::Choices& choices) {
    switch (what % 8) {
      case 0: return ports.enforcement.repair();
      case 1: return ports.enforcement.on_deaths();
      case 2:
      case 6: return predecessors->keep_all(config.groups);
      case 4: return write_tables(choices);
      case 5: return is_shortened();
      case 7: predecessors.emplace(::geteuid(), &store); break;  // another tlsmuxd
      default: predecessors->engine_died(); break;
    }
    requests.emplace(scope);
  }

  void take(Answer answer) {
    if (answer.reply.operation == Operation::adopt_candidate && answer.reply.error == 0) ports.is_changed = true;
    if (answer.reply.operation != Operation::create_group_object || answer.descriptors.empty()) return;
    object = std::move(answer.descriptors.front());
  }

  // Rows of ports, of which some bytes may be others, or the end may be missing.
  void write_tables(fuzz::Choices& choices) const {
    if (!object) return;
    const auto how = choices.next();
    const shm::GroupTables tables{.ports = how % 8U};
    const auto bytes = tables.total_bytes();
    fuzz::require(::ftruncate(object.get(), 0) == 0 && ::ftruncate(object.get(), static_cast<off_t>(bytes)) == 0,
                  "the engine's own object cannot be made anew");
    {
      const auto memory = shm::Mapping::map(object.get(), bytes, shm::Access::read_write);
      fuzz::require(memory.has_value(), "the engine's own object cannot be mapped");
      const auto part =
          shm::GroupPart::format(memory->bytes(), tables, {.group = (how & 8) == 0 ? group_name() : "others"});
      for (auto& row : part.ports()) {
        shm::PortRow value{};
        value.port = choices.next();
        value.flags = choices.next();
        shm::set_text(value.label, (value.flags & 64) != 0 ? "pos" : "");
        shm::write_row(row, value);
      }
      if ((how & 16) != 0) choices.bend(memory->bytes().first(2048));
    }
    if ((how & 32) == 0) return;
    const auto length = choices.next_16() % bytes;
    fuzz::require(::ftruncate(object.get(), static_cast<off_t>(length)) == 0, "the object cannot be shortened");
  }

  void is_shortened() const {
    for (const auto& shortened : predecessors->shortened()) {
      fuzz::require(shortened.group == group_name() && shortened.bytes < shortened.bytes_made, "not shortened at all");
    }
  }

  // Sockets of the broker's own, on the group's port.
  [[nodiscard]] std::vector<std::uint64_t> own_sockets() const {
    return config.groups.empty() ? std::vector<std::uint64_t>{}
                                 : ports.enforcement.levels_of(config.groups[0]).holder_sockets;
  }

  config::Config config;
  Ports& ports;
  std::string path;
  engine::broker::GroupLocks locks{{}};
  engine::broker::PortTableStore store{config.engine.state_directory, "/run/tlsmux/fuzz.sock", ports.log};
  std::optional<engine::broker::PredecessorObjects> predecessors{std::in_place, ::geteuid(), &store};
  engine::broker::CandidateConfig candidate{config, locks, path, &ports.enforcement};
  engine::broker::TraceLocks trace_locks;
  engine::broker::RequestScope scope;
  std::optional<engine::broker::BrokerRequests> requests;
  shm::UniqueFd object;  // of the group, that was made last; the engine may write to it
};

// Those that only some operations use.
void add_numbers(Request& request, const Files& files, const Desk& desk, fuzz::Choices& choices) {
  if (request.operation == Operation::admit_to_guard || request.operation == Operation::dismiss_from_guard) {
    const auto how = choices.next();
    request.pid = how % 2 == 0 ? static_cast<std::uint32_t>(::getpid()) : std::uint32_t{how} << 24;
  }
  if (request.operation == Operation::find_socket_owners) {
    const auto own = desk.own_sockets();
    const auto count = choices.next() % (request.sockets.size() + 1);
    for (std::size_t i = 0; i < count; ++i) {
      const auto how = choices.next();
      const bool is_own = how % 3 == 0 && !own.empty();
      request.sockets[i] = is_own ? own.front() : how % 3 == 1 ? inode_of(files.stranger) : how;
    }
  }
  if (request.operation == Operation::reserve_trace_numbers) {
    for (auto* held : {&request.held.all, &request.held.kept}) {
      held->count = choices.next() % 3U;
      for (std::size_t i = 0; i < held->count; ++i) {
        const std::uint32_t first = choices.next_16();
        held->ranges[i] = {.first = first, .last = first + choices.next()};
      }
    }
  }
}

// Mostly a request that could be one.
shm::Packet make_packet(std::uint8_t shape, const Files& files, const Desk& desk, fuzz::Choices& choices) {
  Request request{.operation = static_cast<Operation>(shape % 20), .sequence = shape};
  const auto set = choices.next();
  if ((set & 1) != 0) request.index = choices.next() % 4;
  if ((set & 2) != 0) request.file = static_cast<engine::broker::FileKind>(choices.next() % 9);
  if ((set & 4) != 0) request.entry = choices.next() % 5;
  if ((set & 8) != 0) request.blocks = choices.next();
  if ((set & 16) != 0) request.bytes = (choices.next() % 8) * shm::kPageBytes;
  if ((set & 32) != 0) request.candidate = 1;
  if ((set & 64) != 0) request.begins = 1;
  add_numbers(request, files, desk, choices);
  shm::Packet packet;
  packet.bytes.resize(sizeof request);
  std::memcpy(packet.bytes.data(), &request, sizeof request);
  if ((set & 128) != 0) {
    choices.bend(packet.bytes);
    packet.bytes.resize(std::min<std::size_t>(packet.bytes.size(), choices.next() * 4));
  }
  return packet;
}

void check_owners(const Files& files, const Desk& desk, const Answer& answer) {
  fuzz::require(answer.reply.owner_count <= engine::broker::kSocketOwnersMax, "too many owners");
  const auto own = desk.own_sockets();
  for (const auto& owner : std::span(answer.reply.owners).first(answer.reply.owner_count)) {
    fuzz::require(owner.socket_inode != inode_of(files.stranger), "the owner of a socket that is none of its business");
    fuzz::require(std::ranges::find(own, owner.socket_inode) != own.end(), "the owner of an unknown socket");
  }
}

// What is kept of a group's tables is small, and reads as it is.
void check_kept(const shm::UniqueFd& kept) {
  struct stat status{};
  fuzz::require(::fstat(kept.get(), &status) == 0 &&
                    std::cmp_less_equal(status.st_size, engine::broker::port_table_image_bytes_max()),
                "what is kept is too long");
  std::string bytes(static_cast<std::size_t>(status.st_size), 0);
  fuzz::require(::pread(kept.get(), bytes.data(), bytes.size(), 0) == status.st_size, "what is kept cannot be read");
  const auto image =
      engine::broker::make_port_table_image(kept.get(), group_name(), engine::broker::PortTableContents::all);
  fuzz::require(image.has_value() && *image == bytes, "what is kept is no group's part");
}

void check(const Files& files, const Desk& desk, const shm::Packet& packet, const Answer& answer) {
  fuzz::require(answer.descriptors.size() <= shm::kControlDescriptorsMax, "too many descriptors");
  fuzz::require(answer.reply.error == 0 || answer.descriptors.empty(), "a refusal with descriptors");
  if (packet.bytes.size() == sizeof(Request)) {
    Request request;
    std::memcpy(&request, packet.bytes.data(), sizeof request);
    if (request.magic == engine::broker::kBrokerMagic) {
      fuzz::require(answer.reply.sequence == request.sequence, "an answer to another request");
    }
  } else {
    fuzz::require(answer.reply.error == EPROTO, "half a request was answered");
  }
  check_owners(files, desk, answer);
  for (const auto& descriptor : answer.descriptors) {
    const auto link = std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(descriptor.get())).string();
    const auto file = link.substr(0, link.find(" (deleted)"));
    fuzz::require(files.may_be_given(file, answer.reply.operation, desk.scope.key_log_allowed),
                  "a descriptor of what the configuration does not name: " + file);
    if (answer.reply.operation == Operation::open_predecessor && file.starts_with("/memfd:")) check_kept(descriptor);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const fuzz::OwnNetwork network;
  static const Files files;
  static Ports ports(files.config());
  fuzz::Choices choices({data, size});
  Desk desk(files, ports, choices.next() % 2 != 0);
  const shm::UniqueFd listener(::open(files.folder.path("state/listener").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  for (int count = 0; count < 16 && !choices.empty(); ++count) {
    if (count == 3) desk.requests->set_listener(listener.get());
    const auto shape = choices.next();
    if (shape >= 240) {
      desk.happen(shape, choices);
      continue;
    }
    const auto packet = make_packet(shape, files, desk, choices);
    auto answer = desk.requests->answer(packet);
    check(files, desk, packet, answer);
    desk.take(std::move(answer));
  }
  desk.predecessors->forget_others({});
  desk.store.remove_others({});
  shm::remove_group_object(group_name());
  return 0;
}
