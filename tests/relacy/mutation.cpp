#include "tests/relacy/mutation.hpp"

#include "shm/assert.hpp"

namespace tlsmux::test {
namespace {

using Order = std::memory_order;
using Where = std::source_location;

enum class Operation { load, store, exchange, fetch_or, compare_exchange, fence };

constexpr std::string_view kOperationNames[] = {"load", "store", "exchange", "fetch_or", "compare_exchange", "fence"};

std::vector<std::string> role_of_thread;

const std::string& own_role() { return role_of_thread[rl::thread_index()]; }

struct Site {
  const std::string* role = nullptr;
  const char* file = nullptr;
  unsigned line = 0;
  Operation operation{};

  bool is(const Where& where, Operation other) const {
    return line == where.line() && operation == other && *role == own_role() &&
           std::strcmp(file, where.file_name()) == 0;
  }
};

// An access that was seen, with the strongest orders that it had.
struct Seen {
  Site site;
  const char* function = nullptr;
  Order order{};
  Order failure{};
};

// Filled and read within an execution, where relacy's allocator would take part: so of fixed size.
std::array<Seen, 256> seen_accesses;
std::size_t seen_count = 0;
bool is_listing = false;

struct InForce {
  Weakening weakening{};
  Site site;
};
std::vector<InForce> in_force;
std::vector<Seen> known_accesses;

// "std::expected<...> tlsmux::shm::RingProducer<Entry>::room() [with ...]" -> "RingProducer::room"
std::string short_name(std::string_view function) {
  std::string plain;
  int depth = 0;
  for (const char letter : function) {
    if (letter == '(' && depth == 0) break;
    if (letter == '<') ++depth;
    if (depth == 0) plain += letter;
    if (letter == '>') --depth;
  }
  plain = plain.substr(plain.rfind(' ') + 1);
  for (const std::string_view space : {"tlsmux::", "shm::", "ports::", "client::", "detail::"}) {
    if (plain.starts_with(space)) plain = plain.substr(space.size());
  }
  return plain;
}

// By Order's values.
constexpr std::string_view kOrderNames[] = {"relaxed", "consume", "acquire", "release", "acq_rel", "seq_cst"};

std::string place_of(const Seen& seen) {
  const std::string_view file = seen.site.file;
  return *seen.site.role + ": " + std::string(file.substr(file.rfind('/') + 1)) + " " + short_name(seen.function) +
         " " + std::string(kOperationNames[static_cast<std::size_t>(seen.site.operation)]) + "(" +
         std::string(kOrderNames[static_cast<std::size_t>(seen.order)]) + ")";
}

void note(const Where& where, Operation operation, Order order, Order failure = Order::relaxed) {
  if (!is_listing) return;
  for (std::size_t i = 0; i < seen_count; ++i) {
    if (seen_accesses[i].site.is(where, operation)) return;
  }
  RL_ASSERT(seen_count < seen_accesses.size());
  seen_accesses[seen_count++] = {.site = {&own_role(), where.file_name(), where.line(), operation},
                                 .function = where.function_name(),
                                 .order = order,
                                 .failure = failure};
}

bool applies(Weakening weakening, const Where& where, Operation operation) {
  return std::ranges::any_of(
      in_force, [&](const InForce& each) { return each.weakening == weakening && each.site.is(where, operation); });
}

bool acquires(Order order) { return order == Order::acquire || order == Order::acq_rel || order == Order::seq_cst; }
bool releases(Order order) { return order == Order::release || order == Order::acq_rel || order == Order::seq_cst; }

Order weakened(Order order, const Where& where, Operation operation) {
  const bool acquire = acquires(order) && !applies(Weakening::no_acquire, where, operation);
  const bool release = releases(order) && !applies(Weakening::no_release, where, operation);
  if (acquire == acquires(order) && release == releases(order)) return order;
  if (acquire) return Order::acquire;
  return release ? Order::release : Order::relaxed;
}

rl::memory_order to_relacy(Order order) {
  switch (order) {
    case Order::relaxed: return rl::mo_relaxed;
    case Order::consume:
    case Order::acquire: return rl::mo_acquire;
    case Order::release: return rl::mo_release;
    case Order::acq_rel: return rl::mo_acq_rel;
    case Order::seq_cst: return rl::mo_seq_cst;
  }
  return rl::mo_seq_cst;
}

rl::debug_info info_of(const Where& where) { return {where.function_name(), where.file_name(), where.line()}; }

bool is_rmw(Operation operation) {
  return operation == Operation::exchange || operation == Operation::fetch_or ||
         operation == Operation::compare_exchange;
}

std::vector<Weakening> weakenings_of(const Seen& seen) {
  if (seen.site.operation == Operation::fence) {
    if (seen.order != Order::seq_cst) return {Weakening::no_fence};
    return {Weakening::no_fence, Weakening::no_total_order};
  }
  std::vector<Weakening> all;
  if (acquires(seen.order)) all.push_back(Weakening::no_acquire);
  if (releases(seen.order)) all.push_back(Weakening::no_release);
  if (acquires(seen.failure)) all.push_back(Weakening::no_failure_acquire);
  if (is_rmw(seen.site.operation)) all.push_back(Weakening::not_atomic);
  return all;
}

}  // namespace

std::string name(Weakening weakening) {
  switch (weakening) {
    case Weakening::no_acquire: return "does not acquire";
    case Weakening::no_release: return "does not release";
    case Weakening::no_failure_acquire: return "does not acquire when it fails";
    case Weakening::not_atomic: return "is a read, then a write";
    case Weakening::no_total_order: return "is no more than acq_rel";
    case Weakening::no_fence: return "is missing";
  }
  return {};
}

void start_listing_mutations(std::vector<std::string> roles) {
  role_of_thread = std::move(roles);
  seen_count = 0;
  is_listing = true;
}

std::vector<Mutation> listed_mutations() {
  is_listing = false;
  known_accesses.assign(seen_accesses.begin(), seen_accesses.begin() + static_cast<std::ptrdiff_t>(seen_count));
  std::vector<Mutation> all;
  for (const auto& seen : known_accesses) {
    for (const auto weakening : weakenings_of(seen)) all.push_back({.place = place_of(seen), .weakening = weakening});
  }
  std::ranges::sort(all);
  TMX_ASSERT(std::ranges::adjacent_find(all) == all.end());
  return all;
}

bool set_mutations(const std::vector<Mutation>& mutations) {
  in_force.clear();
  for (const auto& mutation : mutations) {
    const auto seen = std::ranges::find(known_accesses, mutation.place, place_of);
    if (seen == known_accesses.end()) return false;
    in_force.push_back({.weakening = mutation.weakening, .site = seen->site});
  }
  return true;
}

// ---- What the stand-ins for std::atomic call ----

std::uint64_t load_shadow(Shadow& shadow, const Access& access) {
  note(access.where, Operation::load, access.order);
  return shadow.load(to_relacy(weakened(access.order, access.where, Operation::load)), info_of(access.where));
}

void store_shadow(Shadow& shadow, std::uint64_t value, const Access& access) {
  note(access.where, Operation::store, access.order);
  shadow.store(value, to_relacy(weakened(access.order, access.where, Operation::store)), info_of(access.where));
}

std::uint64_t exchange_shadow(Shadow& shadow, std::uint64_t value, const Access& access) {
  note(access.where, Operation::exchange, access.order);
  const auto info = info_of(access.where);
  if (applies(Weakening::not_atomic, access.where, Operation::exchange)) {
    const auto before = shadow.load(acquires(access.order) ? rl::mo_acquire : rl::mo_relaxed, info);
    shadow.store(value, releases(access.order) ? rl::mo_release : rl::mo_relaxed, info);
    return before;
  }
  return shadow.exchange(value, to_relacy(weakened(access.order, access.where, Operation::exchange)), info);
}

std::uint64_t or_shadow(Shadow& shadow, std::uint64_t bits, const Access& access) {
  note(access.where, Operation::fetch_or, access.order);
  const auto info = info_of(access.where);
  if (applies(Weakening::not_atomic, access.where, Operation::fetch_or)) {
    const auto before = shadow.load(acquires(access.order) ? rl::mo_acquire : rl::mo_relaxed, info);
    shadow.store(before | bits, releases(access.order) ? rl::mo_release : rl::mo_relaxed, info);
    return before;
  }
  return shadow.fetch_or(bits, to_relacy(weakened(access.order, access.where, Operation::fetch_or)), info);
}

bool compare_exchange_shadow(Shadow& shadow, std::uint64_t& expected, std::uint64_t value, Order failure,
                             const Access& access) {
  constexpr auto kOperation = Operation::compare_exchange;
  note(access.where, kOperation, access.order, failure);
  const auto info = info_of(access.where);
  if (applies(Weakening::not_atomic, access.where, kOperation)) {
    const auto found = shadow.load(acquires(access.order) ? rl::mo_acquire : rl::mo_relaxed, info);
    const bool won = found == expected;
    if (won) shadow.store(value, releases(access.order) ? rl::mo_release : rl::mo_relaxed, info);
    expected = found;
    return won;
  }
  // Relacy wants a failure order that is no stronger than the other.
  const auto success = weakened(access.order, access.where, kOperation);
  const bool loses_acquire = applies(Weakening::no_failure_acquire, access.where, kOperation) || !acquires(success);
  if (loses_acquire) failure = Order::relaxed;
  return shadow.compare_exchange(rl::bool_t<false>(), expected, value, to_relacy(success), to_relacy(failure), info);
}

void fence(Order order, const Where& where) {
  note(where, Operation::fence, order);
  if (applies(Weakening::no_fence, where, Operation::fence)) return;
  if (applies(Weakening::no_total_order, where, Operation::fence)) order = Order::acq_rel;
  kRelacyFence(to_relacy(order), info_of(where));
}

}  // namespace tlsmux::test
