#include "tests/simulation/port_life.hpp"

#include <algorithm>
#include <cerrno>

#include "engine/ports/predecessor.hpp"
#include "shm/port_lease.hpp"

namespace tlsmux::simulation {

using shm::PortState;
using test::tcp;

namespace {

constexpr std::uint16_t kFirstPort = 1000;
constexpr std::uint16_t kLastPort = 1015;
constexpr std::uint32_t kStrangerPid = 88;
constexpr std::size_t kProcessesMax = 6;
constexpr int kSweepsToFree = 40;
constexpr std::uint64_t kSweepMs = 1000;

config::GroupSettings make_settings(Random& random) {
  auto settings = test::ebanking();
  settings.ports.static_ports.clear();
  settings.ports.dynamic = {{.from = kFirstPort, .to = kLastPort, .protocols = config::PortProtocols::tcp}};
  settings.ports.leases_per_process = static_cast<std::uint32_t>(random.below(5));
  settings.ports.reuse_delay_ms = static_cast<std::uint32_t>(random.below(3) * 1500);
  return settings;
}

}  // namespace

PortLife::PortLife(std::uint64_t seed)
    : random_(seed), settings_(make_settings(random_)), room_(std::make_unique<test::DeskRoom>(settings_, &world_)) {
  world_.start(kStrangerPid, {.uid = test::kStrangerUid, .gids = {700}, .program = "stranger"});
}

PortLife::Counts PortLife::run() {
  for (auto steps = random_.between(50, 300); steps > 0; --steps) {
    const auto what = static_cast<Act>(random_.below(kActs));
    const bool is_rare = what == Act::scribble || what == Act::engine_dies || what == Act::kernel_mutes;
    if (is_rare && random_.below(4) != 0) continue;
    if (act(what)) ++done_[static_cast<std::size_t>(what)];
    if (random_.below(3) != 0) settle();
  }
  end();
  return done_;
}

bool PortLife::act(Act what) {
  switch (what) {
    case Act::attach: return attach();
    case Act::claim: return claim(0);
    case Act::claim_number: return claim(static_cast<std::uint16_t>(random_.between(kFirstPort, kLastPort)));
    case Act::take_lease: return take_lease();
    case Act::bind: return bind();
    case Act::close: return close();
    case Act::release: return release();
    case Act::release_foreign: return release_foreign();
    case Act::doubt: return doubt();
    case Act::fork: return fork();
    case Act::die: return die();
    case Act::tell_death: return tell_death();
    case Act::squat: return squat();
    case Act::leave_squat: return leave_squat();
    case Act::scribble: return scribble();
    case Act::kernel_mutes: world_.is_mute = !world_.is_mute; return true;
    case Act::engine_dies: return lose_engine();
    case Act::pass_time: world_.pass(random_.below(3) == 0 ? random_.below(20'000) : random_.below(1500)); return true;
  }
  return false;
}

PortLife::Process* PortLife::some(bool is_child) {
  std::vector<Process*> which;
  for (auto& process : processes_) {
    if (process.is_child == is_child) which.push_back(&process);
  }
  return which.empty() ? nullptr : random_.pick(which);
}

// ---- What processes do ----

bool PortLife::attach() {
  if (processes_.size() >= kProcessesMax) return false;
  auto& process = processes_.emplace_back();
  process.client = room_->attach({.uid = test::kMemberUid, .gids = {test::kMemberUid}}, 0, ++last_pid_);
  return true;
}

bool PortLife::claim(std::uint16_t number) {
  auto* const process = some();
  if (process == nullptr) return false;
  auto request = test::claim_of(number);
  request.leases = static_cast<std::uint32_t>(random_.below(2));
  const auto reply = room_->claim(process->client, request);
  if (!reply) return false;
  granted(*process, static_cast<std::uint16_t>(reply->port));
  return true;
}

// And binds it: a port that is neither bound nor told of is nobody's when the engine dies.
bool PortLife::take_lease() {
  auto* const process = some();
  if (process == nullptr || process->is_mad) return false;
  const auto port = shm::take_lease(process->client.leases->tcp);
  if (!port) return false;
  granted(*process, *port);
  bind(*process, *port);
  return true;
}

bool PortLife::bind() {
  auto* const process = some();
  if (process == nullptr || process->claims.empty()) return false;
  const std::vector<std::uint16_t> claims(process->claims.begin(), process->claims.end());
  const auto port = claims[random_.below(claims.size())];
  if (process->sockets.contains(port)) return false;
  bind(*process, port);
  return true;
}

void PortLife::bind(Process& process, std::uint16_t port) {
  if (process.sockets.contains(port)) return;
  if (!squats_.contains(port)) {
    process.sockets[port] = world_.bind(process.client.pid, tcp(port));
  } else {
    process.claims.erase(port);
    room_->release(process.client, tcp(port), true);
  }
}

// Without a word: some sweeps later the port is not its own any more.
bool PortLife::close() {
  auto* const process = some(random_.below(4) == 0);
  if (process == nullptr || process->sockets.empty()) return false;
  const auto [port, inode] = *process->sockets.begin();
  for (const auto& other : processes_) {
    if (&other != process && other.sockets.contains(port)) return false;  // a socket that they share stays open
  }
  world_.close(inode);
  process->sockets.erase(port);
  process->claims.erase(port);
  return true;
}

// Sometimes with the socket still open.
bool PortLife::release() {
  auto* const process = some();
  if (process == nullptr || process->claims.empty()) return false;
  const auto port = *process->claims.begin();
  process->claims.erase(port);
  room_->release(process->client, tcp(port));
  return true;
}

// What is another's, or nobody's: that changes nothing.
bool PortLife::release_foreign() {
  auto* const process = some();
  const auto port = static_cast<std::uint16_t>(random_.between(kFirstPort, kLastPort));
  if (process == nullptr || process->is_mad || process->claims.contains(port) || process->sockets.contains(port))
    return false;
  room_->release(process->client, tcp(port), random_.below(2) == 0);
  return true;
}

// It could not bind what it has bound already.
bool PortLife::doubt() {
  auto* const process = some();
  if (process == nullptr || process->sockets.empty()) return false;
  const auto port = process->sockets.begin()->first;
  if (!process->claims.contains(port)) return false;
  room_->report_in_use(process->client, tcp(port));
  return true;
}

bool PortLife::fork() {
  auto* const parent = some();
  if (parent == nullptr || parent->sockets.empty() || processes_.size() >= kProcessesMax) return false;
  Process child;
  child.client.pid = ++last_pid_;
  child.sockets = parent->sockets;
  child.is_child = true;
  world_.start(child.client.pid, {.uid = test::kMemberUid, .gids = {test::kMemberUid}, .program = "child"});
  for (const auto& [port, inode] : child.sockets) world_.share(inode, child.client.pid);
  processes_.push_back(std::move(child));
  return true;
}

bool PortLife::die() {
  if (processes_.empty()) return false;
  const auto index = random_.below(processes_.size());
  auto dead = std::move(processes_[index]);
  processes_.erase(processes_.begin() + static_cast<std::ptrdiff_t>(index));
  world_.end(dead.client.pid);
  if (!dead.is_child) untold_.push_back(dead.client);
  return true;
}

bool PortLife::tell_death() {
  if (untold_.empty()) return false;
  const auto dead = untold_.back();
  untold_.pop_back();
  auto& desk = room_->desk;
  desk.client_left(dead.id);
  if (random_.below(2) == 0) settle();
  desk.client_died(dead.id);
  desk.client_forgotten(dead.id, {});
  return true;
}

bool PortLife::squat() {
  const auto port = static_cast<std::uint16_t>(random_.between(kFirstPort, kLastPort));
  const auto has_it = [&](const Process& process) { return process.sockets.contains(port); };
  if (squats_.contains(port) || std::ranges::any_of(processes_, has_it)) return false;
  squats_[port] = world_.bind(kStrangerPid, tcp(port));
  return true;
}

bool PortLife::leave_squat() {
  if (squats_.empty()) return false;
  world_.close(squats_.begin()->second);
  squats_.erase(squats_.begin());
  return true;
}

// Over the words of its leases. What it has it may lose; nobody else may.
bool PortLife::scribble() {
  auto* const process = some();
  if (process == nullptr) return false;
  process->is_mad = true;
  for (auto count = random_.between(1, 6); count > 0; --count) {
    auto& word = process->client.leases->tcp[random_.below(8)];
    const shm::PortLease lease{.generation = static_cast<std::uint32_t>(random_.below(4)),
                               .port = static_cast<std::uint16_t>(random_.between(kFirstPort, kLastPort)),
                               .state = static_cast<shm::LeaseState>(random_.below(4))};
    word.store(random_.below(4) == 0 ? random_.next() : shm::pack(lease));
  }
  return true;
}

// ---- Engines ----

bool PortLife::lose_engine() {
  world_.end(1);
  world_.engine_died();
  const auto left = engine::read_predecessor(room_->tables(), settings_.name, test::kWallOffsetS);
  before_ = std::move(room_);
  untold_.clear();
  // Until they learn of its death, its clients may take what it has offered them.
  for (int i = 0; i < 2; ++i) {
    auto* const process = some();
    if (process == nullptr || process->is_mad) continue;
    const auto port = shm::take_lease(process->client.leases->tcp);
    if (!port || squats_.contains(*port)) continue;
    process->claims.insert(*port);
    process->sockets.try_emplace(*port, world_.bind(process->client.pid, tcp(*port)));
  }
  room_ = std::make_unique<test::DeskRoom>(settings_, &world_, left);
  for (auto& process : processes_) {
    if (!process.is_child) reattach(process);
  }
  return true;
}

// As the same process.
void PortLife::reattach(Process& process) {
  auto owner = world_.identify(process.client.pid)->owner;
  process.client = room_->attach_again(owner);
}

void PortLife::end() {
  world_.is_mute = false;
  while (leave_squat()) {
  }
  release_all();
  while (!processes_.empty()) die();
  while (tell_death()) {
  }
  room_->sweep(kSweepsToFree);
  if (!room_->rows().empty()) throw Violation("ports are held after everybody's death");
  if (room_->free_count() != kLastPort - kFirstPort + 1U) throw Violation("free ports are miscounted");
}

// Then nobody has a port but those that are on lease.
void PortLife::release_all() {
  for (auto& process : processes_) {
    for (const auto& [port, inode] : process.sockets) world_.close(inode);
    process.sockets.clear();
    process.claims.clear();
    for (auto port = kFirstPort; port <= kLastPort && !process.is_child; ++port)
      room_->release(process.client, tcp(port));
  }
  while (tell_death()) {
  }
  for (int i = 0; i < kSweepsToFree; ++i) {
    world_.pass(kSweepMs);
    settle();
  }
  for (const auto* const row : room_->rows()) {
    const bool is_mads =
        std::ranges::any_of(processes_, [&](const auto& each) { return each.is_mad && each.client.pid == row->pid; });
    if (row->state == PortState::leased || is_mads) continue;
    throw Violation("port " + std::to_string(row->port) + " of process " + std::to_string(row->pid) +
                    " was released, and is not free");
  }
}

// ---- Checks ----

void PortLife::granted(Process& process, std::uint16_t port) {
  const auto text = "port " + std::to_string(port) + " comes to process " + std::to_string(process.client.pid);
  for (const auto& other : processes_) {
    if (&other == &process || other.is_mad) continue;
    const auto whose = " while process " + std::to_string(other.client.pid);
    if (other.claims.contains(port)) throw Violation(text + whose + " has it");
    if (other.sockets.contains(port) && !process.sockets.contains(port)) {
      throw Violation(text + whose + " has a socket on it");
    }
  }
  process.claims.insert(port);
}

void PortLife::settle() {
  room_->settle();
  for (const auto& offence : room_->desk.take_offences()) {
    const auto offender = std::ranges::find(
        processes_, offence.client, [](const Process& process) { return process.is_child ? 0 : process.client.id; });
    if (offender == processes_.end()) continue;  // it died meanwhile
    if (!offender->is_mad) throw Violation("a process that has done nothing is detached: " + offence.rule);
    const auto pid = offender->client.pid;
    untold_.push_back(offender->client);
    world_.end(pid);
    processes_.erase(offender);
  }
  check_rows();
}

void PortLife::check_rows() const {
  for (const auto& process : processes_) {
    if (process.is_mad) continue;
    for (const auto port : process.claims) {
      const auto* const row = room_->row(tcp(port));
      const auto text = "port " + std::to_string(port) + " of process " + std::to_string(process.client.pid);
      if (row == nullptr) throw Violation(text + " is shown as free");
      if (row->state == PortState::quarantine) throw Violation(text + " is shown as nobody's");
      if (row->pid != process.client.pid && !squats_.contains(port)) {
        throw Violation(text + " is shown as that of process " + std::to_string(row->pid));
      }
    }
  }
}

}  // namespace tlsmux::simulation
