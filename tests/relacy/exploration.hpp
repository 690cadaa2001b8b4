#pragma once

// Runs a relacy test suite over many executions, and over its mutants.

#include <doctest/doctest.h>

#include "tests/relacy/mutation.hpp"
#include "tests/relacy/watched_words.hpp"

namespace tlsmux::test {

// TLSMUX_RELACY_FACTOR: so many times as many executions as ctest has time for.
inline std::uint64_t executions_factor() {
  const char* const factor = std::getenv("TLSMUX_RELACY_FACTOR");
  return factor == nullptr ? 1 : std::strtoull(factor, nullptr, 10);
}

// So many executions, each with its own schedule and its own choice of which written value each load returns.
struct RandomSearch {
  std::uint64_t executions = 0;

  template <unsigned threads>
  using Scheduler = rl::random_scheduler<threads>;
  void apply_to(rl::test_params& parameters) const {
    parameters.search_type = rl::random_scheduler_type;
    parameters.iteration_count = static_cast<rl::iteration_t>(executions * executions_factor());
  }
};

// All executions there are with up to so many preemptions (switches away from a thread that could go on), in which a load
// returns the newest value or the one before it.
struct BoundedSearch {
  unsigned preemptions = 0;

  template <unsigned threads>
  using Scheduler = rl::context_bound_scheduler<threads>;
  void apply_to(rl::test_params& parameters) const {
    parameters.search_type = rl::fair_context_bound_scheduler_type;
    parameters.context_bound = preemptions;
  }
};

struct Exploration {
  rl::test_result_e result = rl::test_result_success;
  std::uint64_t executions = 0;
  std::string history;  // of the execution that failed

  [[nodiscard]] bool found_nothing() const { return result == rl::test_result_success; }
};

// As rl::simulate, but only with the scheduler that is wanted, since each takes its time to compile.
template <typename Suite, typename Search>
Exploration explore(const Search& search) {
  using Scheduler = typename Search::template Scheduler<Suite::params::thread_count>;
  rl::ostringstream output;  // std's would take memory from relacy and give it back elsewhere
  rl::ostringstream state;
  rl::test_params parameters;
  parameters.output_stream = &output;
  parameters.progress_stream = &output;
  parameters.execution_depth_limit = 10'000;
  search.apply_to(parameters);
  const auto result = rl::run_test<Suite, Scheduler>(parameters, state, false);
  const auto executions = static_cast<std::uint64_t>(parameters.stop_iteration);
  if (result != rl::test_result_success) {
    parameters.initial_state = state.str();
    parameters.collect_history = true;
    output.str({});
    rl::run_test<Suite, Scheduler>(parameters, state, true);
  }
  return {.result = result, .executions = executions, .history = output.str().c_str()};
}

template <typename Suite, typename Search>
void check_nothing_is_found(const char* what, const Search& search) {
  const auto exploration = explore<Suite>(search);
  std::printf("%s: %llu executions\n", what, static_cast<unsigned long long>(exploration.executions));
  INFO(what << "\n" << exploration.history);
  CHECK(exploration.found_nothing());
}

template <typename Suite>
Exploration explore_mutant(const std::vector<Mutation>& mutations, std::uint64_t executions) {
  REQUIRE(set_mutations(mutations));
  auto exploration = explore<Suite>(RandomSearch{executions});
  set_mutations({});
  return exploration;
}

// One weakening that makes no difference by itself, and why.
struct NotNeeded {
  Mutation mutation;
  const char* why = "";
};

// Makes each access of these files weaker in turn. Relacy must find each of these bugs within so many random executions,
// except those that are named: they are stronger than this use of them needs, and it must not find those.
template <typename Suite>
void check_each_order_is_needed(std::uint64_t executions, std::vector<std::string> files,
                                std::vector<NotNeeded> not_needed) {
  start_listing_mutations(Suite::roles());
  CHECK(explore<Suite>(RandomSearch{1000}).found_nothing());
  const auto mutations = listed_mutations();
  CHECK(!mutations.empty());
  for (const auto& mutation : mutations) {
    if (std::ranges::none_of(files, [&](const auto& file) { return mutation.place.contains(" " + file + " "); }))
      continue;
    const auto exploration = explore_mutant<Suite>({mutation}, executions);
    const auto known = std::ranges::find(not_needed, mutation, &NotNeeded::mutation);
    const bool is_needed = known == not_needed.end();
    std::printf("%-75s %s: %s after %llu executions\n", mutation.place.c_str(), name(mutation.weakening).c_str(),
                rl::test_result_str(exploration.result), static_cast<unsigned long long>(exploration.executions));
    INFO(mutation.place << " " << name(mutation.weakening));
    CHECK(exploration.found_nothing() != is_needed);
    if (is_needed) continue;
    std::printf("  as known: %s\n", known->why);
    not_needed.erase(known);
  }
  for (const auto& unknown : not_needed) {
    INFO(unknown.mutation.place << " " << name(unknown.mutation.weakening) << ": no such access was seen");
    CHECK(false);
  }
}

// Of accesses that stand in for each other, one is needed. After check_each_order_is_needed, which knows where they are.
template <typename Suite>
void check_one_is_needed(std::uint64_t executions, const std::vector<Mutation>& mutations) {
  const auto exploration = explore_mutant<Suite>(mutations, executions);
  for (const auto& mutation : mutations)
    std::printf("and %s %s\n", mutation.place.c_str(), name(mutation.weakening).c_str());
  std::printf("  together: %s after %llu executions\n", rl::test_result_str(exploration.result),
              static_cast<unsigned long long>(exploration.executions));
  CHECK_FALSE(exploration.found_nothing());
}

}  // namespace tlsmux::test
