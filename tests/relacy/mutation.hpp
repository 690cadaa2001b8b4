#pragma once

// Deliberate bugs that need no change of the code: one access of it, named by where it stands and by whose thread it is, is
// weaker than written.

#include <compare>
#include <source_location>
#include <string>
#include <vector>

namespace tlsmux::test {

enum class Weakening {
  no_acquire,          // what was written before the value that is read need not be seen
  no_release,          // what was written before need not be seen by who reads the value
  no_failure_acquire,  // no_acquire for a lost compare-and-swap
  not_atomic,          // read, then write, instead of one exchange
  no_total_order,      // a sequentially consistent fence only acquires and releases
  no_fence,
};

std::string name(Weakening weakening);

struct Mutation {
  std::string place;  // "client: ring.hpp RingProducer::publish store(release)"
  Weakening weakening{};

  friend auto operator<=>(const Mutation&, const Mutation&) = default;
};

// Forgets what was seen, and watches out anew. The roles are those of the suite's threads.
void start_listing_mutations(std::vector<std::string> roles);
// Each weakening that makes a difference to an access that was seen since.
std::vector<Mutation> listed_mutations();

// From now on these are in force; none: the code as it is. False: there is no such access.
bool set_mutations(const std::vector<Mutation>& mutations);

}  // namespace tlsmux::test
