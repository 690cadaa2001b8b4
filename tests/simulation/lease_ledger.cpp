#include "tests/simulation/lease_ledger.hpp"

#include <algorithm>
#include <string>
#include <utility>

#include "tests/simulation/ledger.hpp"

namespace tlsmux::simulation {

using config::FramingKind;
using config::StreamReuse;
using shm::Reason;

namespace {
constexpr auto kOwed = "its session goes back with an answer owed";
constexpr auto kSaidLast = "its session goes back, though its messages say that it ends";
}  // namespace

void LeaseLedger::object(std::uint64_t stream, const Tenant& tenant, const std::string& what) {
  throw Violation("stream " + std::to_string(stream) + " (leased, upstream " + std::to_string(tenant.upstream) +
                  ", connection " + std::to_string(tenant.connection) + "): " + what);
}

bool LeaseLedger::knows_messages(std::uint32_t upstream) const {
  return config_->upstreams[upstream].framing.kind != FramingKind::none;
}

// ---- Processes ----

void LeaseLedger::opened(std::uint64_t stream, std::uint32_t upstream) { tenants_[stream].upstream = upstream; }

void LeaseLedger::composed(std::uint64_t stream, std::span<const std::byte> message) {
  auto& tenant = tenants_.at(stream);
  tenant.text.insert(tenant.text.end(), message.begin(), message.end());
  tenant.ends.push_back(tenant.text.size());
}

// ---- Connections ----

void LeaseLedger::connected(std::uint64_t number, std::uint32_t upstream, const WireReader& reader) {
  auto& connection = connections_[number];
  connection.upstream = upstream;
  connection.reader = reader;
}

LeaseLedger::Part LeaseLedger::sealed(std::uint64_t number, std::span<const std::byte> bytes) {
  auto& connection = connections_.at(number);
  if (connection.stream == 0) throw Violation("bytes go out on a leased session that no stream has had");
  auto& tenant = tenants_.at(connection.stream);
  if (connection.said_close) object(connection.stream, tenant, "its bytes go out behind a close_notify");
  const auto rest = std::span(tenant.text).subspan(tenant.sealed);
  if (tenant.connection != number || rest.size() < bytes.size() ||
      !std::ranges::equal(rest.first(bytes.size()), bytes)) {
    object(connection.stream, tenant, "other bytes than its own go out on its session");
  }
  tenant.sealed += bytes.size();
  return {.stream = connection.stream, .end = tenant.sealed};
}

void LeaseLedger::sealed_close(std::uint64_t connection) { connections_.at(connection).said_close = true; }

void LeaseLedger::started(const Part& part) {
  auto& tenant = tenants_.at(part.stream);
  tenant.started = part.end;
  if (tenant.lost_not_sent) check_not_sent(part.stream, tenant);
}

void LeaseLedger::host_said(std::uint64_t number, std::span<const std::byte> bytes, bool ends_answer) {
  auto& connection = connections_.at(number);
  connection.said.insert(connection.said.end(), bytes.begin(), bytes.end());
  if (ends_answer) connection.answer_ends.push_back(connection.said.size());
}

void LeaseLedger::lied(std::uint64_t number) {
  auto& connection = connections_.at(number);
  connection.has_lied = true;
  liars_.insert(connection.upstream);
}

void LeaseLedger::told(std::uint64_t number, std::span<const std::byte> wire) {
  auto& connection = connections_.at(number);
  connection.wire.insert(connection.wire.end(), wire.begin(), wire.end());
  while (!connection.is_wire_lost && !connection.host_closed) {
    const auto record = connection.reader.first(connection.wire);
    connection.is_wire_lost = !record.has_value();
    if (!record || !*record) return;
    connection.wire.erase(connection.wire.begin(), connection.wire.begin() + std::ptrdiff_t((*record)->bytes));
    if ((*record)->kind == RecordKind::close_notify) connection.host_closed = true;
    if ((*record)->kind != RecordKind::data) continue;
    connection.told += (*record)->content.size();
    const bool may_greet = !knows_messages(connection.upstream) && connection.stream == 0;
    if (!connection.is_leased && !may_greet) connection.is_intruded = true;
  }
}

// ---- The engine ----

void LeaseLedger::observe(const SessionView& view, const config::StreamSettings& settings) {
  auto& connection = connections_.at(view.connection);
  const auto present = connection.is_leased ? connection.stream : 0;
  if (present != view.stream) {
    // It may have been in the pool within the turn, and not be up any more.
    if (present != 0) leave(connection, view, settings);
    if (view.stream != 0) enter(view, connection, settings);
  }
  if (view.stream == 0) return;
  const auto& tenant = tenants_.at(view.stream);
  const auto waiting = connection.told - tenant.from - std::min(tenant.delivered, connection.told - tenant.from);
  if (waiting >= settings.buffer_bytes && view.is_up && !tenant.has_left && !connection.is_wire_lost && !view.is_held) {
    object(view.stream, tenant, "it has " + std::to_string(waiting) + " bytes to read, and its host is not held up");
  }
}

void LeaseLedger::check_held(const SessionView& view) {
  if (view.is_held && !view.has_output) {
    throw Violation("connection " + std::to_string(view.connection) + " of stream " + std::to_string(view.stream) +
                    " is held up for nothing");
  }
}

void LeaseLedger::enter(const SessionView& view, Connection& connection, const config::StreamSettings& settings) {
  const auto stream = view.stream;
  auto& tenant = tenants_.at(stream);
  if (tenant.connection != 0) object(stream, tenant, "it gets a second session");
  if (connection.is_over) object(stream, tenant, "it gets a session that was not fit for the pool");
  if (connection.host_closed) object(stream, tenant, "it gets a session that the host has closed");
  if (connection.is_intruded) object(stream, tenant, "it gets a session on which the host has spoken unasked");
  if (connection.is_muddy && settings.reuse != StreamReuse::always)
    object(stream, tenant, "it gets a session on which another has left something");
  if (connection.stream != 0) ++reused_;
  tenant.connection = view.connection;
  tenant.from = connection.stream == 0 ? 0 : connection.told;
  connection.stream = stream;
  connection.is_leased = true;
}

void LeaseLedger::leave(Connection& connection, const SessionView& view, const config::StreamSettings& settings) {
  const bool is_in_pool = view.is_up || view.stream != 0;
  const auto number = connection.stream;
  auto& tenant = tenants_.at(number);
  tenant.to = connection.told;
  connection.is_leased = false;
  connection.is_over = !is_in_pool;
  if (!is_in_pool) return;
  if (connection.host_closed) object(number, tenant, "its session goes back, which the host has closed");
  if (connection.said_close) object(number, tenant, "its session goes back, which was told that it ends");
  if (settings.reuse == StreamReuse::never)
    object(number, tenant, "its session goes back, which may not be used again");
  if (settings.reuse == StreamReuse::at_boundary) {
    // Else its host has answered before it had all: not all that the engine has sealed is known here yet.
    if (!view.is_sending) check_boundary(connection, number, tenant);
    return;
  }
  check_left(connection, number, tenant);
  const bool is_between = std::ranges::find(tenant.ends, tenant.sealed) != tenant.ends.end() || tenant.sealed == 0;
  if (!is_between || view.is_sending || answered(connection, tenant) < tenant.ends.size()) connection.is_muddy = true;
}

// Where nobody minds.
void LeaseLedger::check_left(const Connection& connection, std::uint64_t number, const Tenant& tenant) const {
  if (!knows_messages(tenant.upstream) || connection.has_lied || connection.is_muddy) return;
  const bool has_heard_all = connection.told == connection.said.size();
  if (connection.must_close && has_heard_all && tenant.from + tenant.delivered == connection.told) {
    object(number, tenant, kSaidLast);
  }
  if (config_->upstreams[tenant.upstream].framing.kind != FramingKind::http1) return;
  const auto asked = std::ranges::count_if(tenant.ends, [&](auto end) { return end <= tenant.sealed; });
  if (std::cmp_less(answered(connection, tenant), asked)) object(number, tenant, kOwed);
}

void LeaseLedger::check_boundary(const Connection& connection, std::uint64_t number, const Tenant& tenant) const {
  const bool is_untouched = tenant.sealed == 0 && connection.told == tenant.from;
  if (is_untouched || connection.has_lied || connection.is_muddy) return;
  if (!knows_messages(tenant.upstream)) object(number, tenant, "its session goes back, whose messages nobody knows");
  if (connection.must_close) object(number, tenant, kSaidLast);
  const auto last = std::ranges::find(tenant.ends, tenant.sealed);
  if (last == tenant.ends.end()) object(number, tenant, "its session goes back within a message of its own");
  const auto messages = static_cast<std::size_t>(last - tenant.ends.begin()) + 1;
  if (answered(connection, tenant) != messages) object(number, tenant, kOwed);
  if (std::ranges::find(connection.answer_ends, connection.told) == connection.answer_ends.end()) {
    object(number, tenant, "its session goes back within an answer");
  }
}

std::size_t LeaseLedger::answered(const Connection& connection, const Tenant& tenant) const {
  if (!knows_messages(tenant.upstream)) return 0;
  const auto to = tenant.to.value_or(connection.told);
  return static_cast<std::size_t>(
      std::ranges::count_if(connection.answer_ends, [&](auto end) { return end > tenant.from && end <= to; }));
}

// ---- What comes down ----

void LeaseLedger::delivered(std::uint64_t number, std::span<const std::byte> bytes) {
  auto& tenant = tenants_.at(number);
  const auto at = tenant.delivered;
  tenant.delivered += bytes.size();
  if (tenant.connection == 0) return;  // it had one for less than a turn: a greeting at most
  const auto& connection = connections_.at(tenant.connection);
  const auto end = tenant.to.value_or(connection.told);
  if (tenant.from + tenant.delivered > end) object(number, tenant, "it gets more than its host has said to it");
  if (!std::ranges::equal(std::span(connection.said).subspan(tenant.from + at, bytes.size()), bytes)) {
    object(number, tenant, "it gets other bytes than its host has said to it");
  }
}

void LeaseLedger::closed(std::uint64_t number, bool has_finished, bool is_told_by_end) {
  const auto& tenant = tenants_.at(number);
  if (tenant.connection == 0) {
    if (!has_finished) object(number, tenant, "it is told that all is said, without a session");
    return;
  }
  const auto& connection = connections_.at(tenant.connection);
  if (connection.has_lied || connection.is_muddy || connection.is_wire_lost) return;
  const auto to = tenant.to.value_or(connection.told);
  if (tenant.from + tenant.delivered != to)
    object(number, tenant, "it is told that all is said, and was not given all");
  if (connection.host_closed) return;
  if (!has_finished) object(number, tenant, "it is told that its host sends no more, which has not said so");
  const bool is_untouched = tenant.sealed == 0 && to == tenant.from;
  if (is_untouched || (is_told_by_end && !knows_messages(tenant.upstream))) return;
  const bool all_answered = knows_messages(tenant.upstream) && answered(connection, tenant) == tenant.ends.size();
  if (!all_answered) object(number, tenant, "it is told that all is said, with an answer owed");
}

void LeaseLedger::lost(std::uint64_t number, Reason reason, bool maybe_sent) {
  auto& tenant = tenants_.at(number);
  // What is ended at once may not be looked into.
  const bool is_cut_off = reason == Reason::engine_draining || reason == Reason::upstream_removed;
  if (maybe_sent && tenant.started == 0 && !is_cut_off) {
    object(number, tenant, "it is told that something may have been sent, but nothing of it was");
  }
  tenant.lost_not_sent = !maybe_sent;
  if (!maybe_sent) check_not_sent(number, tenant);
}

void LeaseLedger::check_not_sent(std::uint64_t number, const Tenant& tenant) const {
  if (tenant.connection == 0) return;
  const auto& connection = connections_.at(tenant.connection);
  if (connection.has_lied || connection.is_muddy) return;
  const auto count = std::min(answered(connection, tenant), tenant.ends.size());
  const auto end = count == 0 ? 0 : tenant.ends[count - 1];
  if (tenant.started > end)
    object(number, tenant, "it is told that nothing was sent, but bytes without an answer were");
}

std::string LeaseLedger::describe(std::uint64_t number) const {
  const auto found = tenants_.find(number);
  if (found == tenants_.end()) return {};
  const auto& tenant = found->second;
  auto text = " (" + std::to_string(tenant.sealed) + " of " + std::to_string(tenant.text.size()) + " bytes sealed, " +
              std::to_string(tenant.delivered) + " came down";
  if (tenant.connection == 0) return text + ")";
  const auto& connection = connections_.at(tenant.connection);
  return text + " of " + std::to_string(connection.told - tenant.from) + ", " +
         std::to_string(answered(connection, tenant)) + " of " + std::to_string(tenant.ends.size()) + " answers)";
}

bool LeaseLedger::is_satisfied(std::uint64_t number) const {
  const auto& tenant = tenants_.at(number);
  if (tenant.text.empty()) return true;
  if (tenant.connection == 0 || tenant.sealed < tenant.text.size()) return false;
  const auto& connection = connections_.at(tenant.connection);
  const auto to = tenant.to.value_or(connection.told);
  if (tenant.from + tenant.delivered < to) return false;
  if (knows_messages(tenant.upstream)) return answered(connection, tenant) >= tenant.ends.size();
  return tenant.delivered >= tenant.text.size();
}

}  // namespace tlsmux::simulation
