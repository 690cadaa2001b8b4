// shm/slot_word.hpp and client/decide.cpp under relaxed memory: a client that gives requests up, by a deadline or since it
// believes the engine dead, and an engine that sends, answers, refuses or loses them in the same moment, or dies at any
// step. The slot is used again as soon as the engine has returned it.
#include "client/decide.hpp"
#include "shm/ring.hpp"

#include "tests/relacy/exploration.hpp"

using namespace tlsmux;
using namespace tlsmux::shm;
using test::Weakening;

namespace {

constexpr std::uint64_t kUses = 2;
constexpr std::uint32_t kSlotBytes = 64;
constexpr unsigned kStepsMax = 12;  // of the engine, for all uses; it may die before each

struct alignas(8) Request {
  std::uint64_t generation = 0;
};

struct alignas(8) Completion {
  std::uint64_t generation = 0;
  std::uint64_t outcome = 0;  // none: the slots come back, and nothing else
};

struct Shared {
  RingIndexes requests;
  RingIndexes completions;
  std::array<Request, 1> request_entries;
  std::array<Completion, 1> completion_entries;
  SlotControl control;
};

std::uint32_t answer_to(std::uint64_t generation) { return static_cast<std::uint32_t>(10 + generation); }

// Why the client gives up this use.
Reason reason_of(std::uint64_t generation) { return generation % 2 == 0 ? Reason::cancelled : Reason::deadline; }

// What happened to one use of the slot.
struct Use {
  bool on_the_wire = false;
  bool answer_is_the_engines = false;  // it won the edge to ANSWERED
  Outcome told = Outcome::none;        // to the application
  unsigned times_told = 0;
};

template <bool engine_may_die>
struct SlotSuite : rl::test_suite<SlotSuite<engine_may_die>, 2> {
  test::WatchedWords words;
  Shared& shared = test::made_anew<Shared>();
  RingProducer<Request> requests_out{&shared.requests, shared.request_entries};
  RingConsumer<Request> requests_in{&shared.requests, shared.request_entries};
  RingProducer<Completion> completions_out{&shared.completions, shared.completion_entries};
  RingConsumer<Completion> completions_in{&shared.completions, shared.completion_entries};
  rl::var<std::uint64_t> request_bytes{0};
  rl::var<std::uint64_t> answer_bytes{0};
  Use uses[kUses + 1];
  bool engine_is_dead = false;  // as the kernel knows
  unsigned steps_to_live = engine_may_die ? rl::rand(kStepsMax) : kStepsMax;

  SlotSuite() {
    for (auto* indexes : {&shared.requests, &shared.completions}) {
      words.watch(indexes->tail);
      words.watch(indexes->head);
    }
    words.watch_words_of(shared.request_entries);
    words.watch_words_of(shared.completion_entries);
    words.watch(shared.control.word);
    words.watch(shared.control.result_length);
    words.watch(shared.control.result_reason);
    words.watch(shared.control.clients_reason);
  }

  static std::vector<std::string> roles() { return {"client", "engine"}; }
  void thread(unsigned index) { index == 0 ? be_client() : be_engine(); }

  // ---- The client ----

  void be_client() {
    for (std::uint64_t generation = 1; generation <= kUses; ++generation) {
      request_bytes(RL_INFO) = generation;
      shared.control.word.start(generation);
      requests_out.push({.generation = generation});
      requests_out.publish();
      const bool has_decided = rl::rand(2) == 0;
      if (has_decided) tell(generation, client::decide(shared.control, generation, reason_of(generation), kSlotBytes));
      if (!collect(generation, has_decided)) return settle(generation, has_decided);
    }
  }

  void tell(std::uint64_t generation, const client::Verdict& verdict) {
    auto& use = uses[generation];
    ++use.times_told;
    use.told = verdict.outcome;
    if (verdict.outcome != Outcome::answered) return;
    RL_ASSERT(verdict.length == answer_to(generation));
    RL_ASSERT(answer_bytes(RL_INFO) == answer_to(generation));
  }

  // As AttachedChannel::collect and accept. False: the engine is dead and nothing has come.
  bool collect(std::uint64_t generation, bool has_decided) {
    for (;;) {
      const bool last = engine_is_dead;
      const auto available = completions_in.available();
      RL_ASSERT(available.has_value());
      if (*available != 0) break;
      if (last) return false;
      rl::yield(1, RL_INFO);
    }
    const auto completion = completions_in.take();
    completions_in.release();
    RL_ASSERT(completion.generation == generation);
    const auto outcome = static_cast<Outcome>(completion.outcome);
    RL_ASSERT(has_decided || outcome != Outcome::none);
    if (!has_decided) tell(generation, {.outcome = outcome, .length = answer_to(generation)});
    return true;
  }

  void settle(std::uint64_t generation, bool has_decided) {
    if (!has_decided) tell(generation, client::decide(shared.control, generation, Reason::engine_died, kSlotBytes));
  }

  // ---- The engine ----

  bool dies() {
    engine_is_dead = steps_to_live == 0;
    if (engine_may_die && !engine_is_dead) --steps_to_live;
    return engine_is_dead;
  }

  void be_engine() {
    for (std::uint64_t generation = 1; generation <= kUses; ++generation) {
      if (dies()) return;
      for (;;) {
        const auto available = requests_in.available();
        RL_ASSERT(available.has_value());
        if (*available != 0) break;
        rl::yield(1, RL_INFO);
      }
      RL_ASSERT(requests_in.take().generation == generation);
      requests_in.release();
      if (!serve(generation)) return;
    }
  }

  // False: it has died.
  bool serve(std::uint64_t generation) {
    auto& word = shared.control.word;
    // What an earlier use has left behind does not move the word.
    RL_ASSERT(!word.try_move(generation - 1, SlotState::queued, SlotState::sending));
    const auto fate = rl::rand(3);
    if (fate == 0) return end(generation, {SlotState::queued, SlotState::refused}, Outcome::not_sent);
    // As Outlet::take.
    if (!word.try_move(generation, SlotState::queued, SlotState::sending)) {
      RL_ASSERT(word.load().state == SlotState::withdrawn);
      return decided_by_caller(generation);
    }
    if (dies()) return false;
    RL_ASSERT(request_bytes(RL_INFO) == generation);
    uses[generation].on_the_wire = true;
    if (dies()) return false;
    if (fate == 1) return end(generation, {SlotState::sending, SlotState::lost}, Outcome::maybe_sent);
    answer_bytes(RL_INFO) = answer_to(generation);
    return end(generation, {SlotState::sending, SlotState::answered}, Outcome::answered);
  }

  // As Outlet::settle.
  bool end(std::uint64_t generation, std::pair<SlotState, SlotState> edge, Outcome outcome) {
    auto& control = shared.control;
    const auto length = outcome == Outcome::answered ? answer_to(generation) : 0;
    std::atomic_ref(control.result_length).store(length, std::memory_order_relaxed);
    std::atomic_ref(control.result_reason).store(Reason::overload, std::memory_order_relaxed);
    if (!control.word.try_move(generation, edge.first, edge.second)) return decided_by_caller(generation);
    uses[generation].answer_is_the_engines = outcome == Outcome::answered;
    if (dies()) return false;
    return give_back(generation, outcome);
  }

  // As Outlet::decided_by_caller and own_reason.
  bool decided_by_caller(std::uint64_t generation) {
    const auto truth = shared.control.word.load();
    RL_ASSERT(truth.generation == generation);
    RL_ASSERT(truth.state == SlotState::withdrawn || truth.state == SlotState::expired);
    const auto reason = std::atomic_ref(shared.control.clients_reason).load(std::memory_order_relaxed);
    RL_ASSERT(reason == reason_of(generation));
    return give_back(generation, Outcome::none);
  }

  bool give_back(std::uint64_t generation, Outcome outcome) {
    completions_out.push({.generation = generation, .outcome = static_cast<std::uint64_t>(outcome)});
    completions_out.publish();
    return !dies();
  }

  // ---- What must hold ----

  void after() {
    for (std::uint64_t generation = 1; generation <= kUses; ++generation) {
      const auto& use = uses[generation];
      if (use.times_told == 0) continue;  // never asked, since the engine died before
      RL_ASSERT(use.times_told == 1);
      RL_ASSERT(use.told != Outcome::none);
      RL_ASSERT((use.told == Outcome::answered) == use.answer_is_the_engines);
      RL_ASSERT(use.told != Outcome::not_sent || !use.on_the_wire);
      RL_ASSERT(use.told != Outcome::answered || use.on_the_wire);
    }
    RL_ASSERT(uses[1].times_told == 1);
    RL_ASSERT(engine_is_dead || uses[kUses].times_told == 1);
  }
};

}  // namespace

TEST_CASE("relacy.slot word gives each use of a slot one true outcome") {
  test::check_nothing_is_found<SlotSuite<false>>("both live, up to 2 preemptions", test::BoundedSearch{2});
  test::check_nothing_is_found<SlotSuite<false>>("both live", test::RandomSearch{100'000});
}

TEST_CASE("relacy.slot word gives one true outcome whenever the engine dies") {
  test::check_nothing_is_found<SlotSuite<true>>("the engine dies at any step, 1 preemption", test::BoundedSearch{1});
  test::check_nothing_is_found<SlotSuite<true>>("the engine dies at any step", test::RandomSearch{100'000});
}

TEST_CASE("relacy.slot word needs each of its memory orders") {
  constexpr auto kClientLoad = "client: slot_word.hpp SlotWord::load load(acquire)";
  constexpr auto kClientSwap = "client: slot_word.hpp SlotWord::try_move compare_exchange(acq_rel)";
  constexpr auto kEngineLoad = "engine: slot_word.hpp SlotWord::load load(acquire)";
  constexpr auto kEngineSwap = "engine: slot_word.hpp SlotWord::try_move compare_exchange(acq_rel)";
  constexpr auto kTwice = "whoever loses the swap loads the word afterwards: one of the two must acquire";
  test::check_each_order_is_needed<SlotSuite<true>>(
      20'000, {"slot_word.hpp", "decide.cpp"},
      {{{"client: slot_word.hpp SlotWord::start store(release)", Weakening::no_release}, "the ring orders it already"},
       {{kClientLoad, Weakening::no_acquire}, kTwice},
       {{kClientSwap, Weakening::no_failure_acquire}, kTwice},
       {{kClientSwap, Weakening::no_acquire}, "a client that wins uses nothing that the engine wrote"},
       {{kEngineLoad, Weakening::no_acquire}, kTwice},
       {{kEngineSwap, Weakening::no_failure_acquire}, kTwice},
       {{kEngineSwap, Weakening::no_acquire}, "the request's bytes came by the ring"}});
  test::check_one_is_needed<SlotSuite<true>>(
      20'000, {{kClientLoad, Weakening::no_acquire}, {kClientSwap, Weakening::no_failure_acquire}});
  test::check_one_is_needed<SlotSuite<true>>(
      20'000, {{kEngineLoad, Weakening::no_acquire}, {kEngineSwap, Weakening::no_failure_acquire}});
}
