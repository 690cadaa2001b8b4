/* How each request ends once, whoever ends it and whenever the engine dies: client/decide.cpp, shm/slot_word.hpp, and the
 * engine's side of the slot word in engine/shard/outlet.cpp.
 *
 * One pair of slots, used USES times. The client may give a request up at any time, and settles what is open when it knows
 * that the engine is dead. The engine seals (SENDING), has bytes accepted by the kernel or not, answers, refuses or loses,
 * and may die before any step. What it had stored reaches memory before the kernel reports its death.
 *
 * Deliberate bugs: ENGINE_READS_THEN_STORES, CLIENT_READS_THEN_STORES, RESULT_BEHIND_WORD, SWAP_NOT_RELEASED,
 * SEND_BEFORE_TAKE, REFUSE_AFTER_BYTES, REUSE_BEFORE_RETURN, OUTCOME_AFTER_DECISION, SETTLE_AFTER_DECISION,
 * WITHDRAW_WHILE_SENDING.
 */
#ifndef USES
#define USES 2
#endif

#define CLIENT 0
#define ENGINE 1
#define PROCESSES 2
#define BUFFERED 5
#define WORD 0
#define REQUESTS_TAIL 1
#define COMPLETIONS_TAIL 2
#define COMPLETION 3 /* the entry: there is never more than one */
#define RESULT 4
#define ANSWER_BYTES 5
#define WORDS 6
#include "store_buffer.pml"

/* States of the word; shm/slot_word.hpp */
#define QUEUED 1
#define SENDING 2
#define ANSWERED 3
#define WITHDRAWN 4
#define EXPIRED 5
#define REFUSED 6
#define LOST 7
#define PACKED(generation, state) (generation * 8 + state)

/* Outcomes: what is told to the application, and what a completion says. */
#define NONE 0
#define TOLD_ANSWERED 1
#define TOLD_NOT_SENT 2
#define TOLD_MAYBE_SENT 3

/* What is true, by generation. */
byte told[USES + 1];
bit on_the_wire[USES + 1];
byte present_use;
bit engine_is_dead;
bit death_is_reported;

#ifdef SWAP_NOT_RELEASED
#define SWAP compare_exchange_relaxed
#else
#define SWAP compare_exchange
#endif

inline read_then_store(process, which, from, to, won) {
  load(process, which, won);
  if
  :: won == from ->
    store_release(process, which, to);
    won = 1
  :: else -> won = 0
  fi
}

#ifdef CLIENT_READS_THEN_STORES
#define CLIENT_MOVES(from, to, won) read_then_store(CLIENT, WORD, PACKED(generation, from), PACKED(generation, to), won)
#else
#define CLIENT_MOVES(from, to, won) SWAP(CLIENT, WORD, PACKED(generation, from), PACKED(generation, to), won)
#endif
#ifdef ENGINE_READS_THEN_STORES
#define ENGINE_MOVES(from, to, won) read_then_store(ENGINE, WORD, PACKED(generation, from), PACKED(generation, to), won)
#else
#define ENGINE_MOVES(from, to, won) SWAP(ENGINE, WORD, PACKED(generation, from), PACKED(generation, to), won)
#endif

inline tell(outcome) {
  atomic {
    assert(told[generation] == NONE);
    told[generation] = outcome;
    assert(outcome != TOLD_NOT_SENT || !on_the_wire[generation])
  }
}

inline tell_answer() {
  load(CLIENT, ANSWER_BYTES, word);
  assert(word == generation);
  tell(TOLD_ANSWERED)
}

/* decide() */
inline decide() {
  CLIENT_MOVES(QUEUED, WITHDRAWN, won);
#ifdef WITHDRAW_WHILE_SENDING
  if
  :: !won -> CLIENT_MOVES(SENDING, WITHDRAWN, won)
  :: else
  fi;
#endif
  if
  :: won -> tell(TOLD_NOT_SENT)
  :: else ->
    CLIENT_MOVES(SENDING, EXPIRED, won);
    if
    :: won -> tell(TOLD_MAYBE_SENT)
    :: else ->
      load(CLIENT, WORD, word);
      if
      :: word == PACKED(generation, ANSWERED) ->
        load(CLIENT, RESULT, word);
        assert(word == PACKED(generation, TOLD_ANSWERED));
        tell_answer()
      :: word == PACKED(generation, REFUSED) ->
        load(CLIENT, RESULT, word);
        assert(word == PACKED(generation, TOLD_NOT_SENT));
        tell(TOLD_NOT_SENT)
      :: word == PACKED(generation, LOST) ->
        load(CLIENT, RESULT, word);
        assert(word == PACKED(generation, TOLD_MAYBE_SENT));
        tell(TOLD_MAYBE_SENT)
      :: else ->
        tell(TOLD_MAYBE_SENT);
        assert(false) /* right to say, but nobody lies here */
      fi
    fi
  fi;
  won = 0;
  word = 0
}

/* AttachedChannel::collect, accept */
inline collect() {
  load(CLIENT, COMPLETIONS_TAIL, word);
  if
  :: word == collected + 1 ->
    collected++;
    load(CLIENT, COMPLETION, word);
    if
#ifdef OUTCOME_AFTER_DECISION
    :: word == TOLD_ANSWERED -> tell_answer()
    :: word == TOLD_NOT_SENT || word == TOLD_MAYBE_SENT -> tell(word)
    :: else
#else
    :: !has_decided && word == TOLD_ANSWERED -> tell_answer()
    :: !has_decided && (word == TOLD_NOT_SENT || word == TOLD_MAYBE_SENT) -> tell(word)
    :: !has_decided && word == NONE -> assert(false)
    :: else
#endif
    fi;
    is_returned = 1
  :: else
  fi;
  word = 0
}

proctype Client() {
  byte generation, collected, word, won;
  bit has_decided, is_returned, knows_death;
  do
  :: generation < USES && !knows_death ->
    /* AttachedChannel::push and publish */
    generation++;
    present_use = generation;
    has_decided = 0;
    is_returned = 0;
    store_release(CLIENT, WORD, PACKED(generation, QUEUED));
    store_release(CLIENT, REQUESTS_TAIL, generation);
    do
    :: !has_decided && !is_returned ->
      decide();
      has_decided = 1
#ifdef REUSE_BEFORE_RETURN
    :: has_decided -> break
#endif
    :: is_returned -> break
    :: !is_returned && memory[COMPLETIONS_TAIL] > collected -> collect()
    :: !is_returned && death_is_reported ->
      /* Channel::retire, AttachedChannel::settle */
      knows_death = 1;
      collect();
#ifndef SETTLE_AFTER_DECISION
      if
      :: !has_decided && !is_returned -> decide()
      :: else
      fi;
#else
      if
      :: !is_returned -> decide()
      :: else
      fi;
#endif
      break
    od;
    assert(told[generation] != NONE)
  :: generation == USES || knows_death -> break
  od
}

/* Outlet::settle and give_back */
inline settle(from, to, outcome) {
  assert(present_use == generation);
#ifndef RESULT_BEHIND_WORD
  store_relaxed(ENGINE, RESULT, PACKED(generation, outcome));
#endif
  ENGINE_MOVES(from, to, won);
#ifdef RESULT_BEHIND_WORD
  store_relaxed(ENGINE, RESULT, PACKED(generation, outcome));
#endif
  if
  :: won -> store_relaxed(ENGINE, COMPLETION, outcome)
  :: else -> store_relaxed(ENGINE, COMPLETION, NONE)
  fi;
  store_release(ENGINE, COMPLETIONS_TAIL, generation)
}

inline have_bytes_accepted() {
  atomic {
    on_the_wire[generation] = 1;
    assert(told[generation] != TOLD_NOT_SENT)
  }
}

/* The bytes of the answer come from the host, and are written into the slot; Outlet::answer */
inline answer() {
  assert(present_use == generation);
  store_relaxed(ENGINE, ANSWER_BYTES, generation);
  settle(SENDING, ANSWERED, TOLD_ANSWERED)
}

/* Outlet::take, when a session seals the request */
inline serve() {
  generation++;
  if
  :: settle(QUEUED, REFUSED, TOLD_NOT_SENT)
  :: true ->
#ifdef SEND_BEFORE_TAKE
    have_bytes_accepted();
#endif
    ENGINE_MOVES(QUEUED, SENDING, won);
    if
    :: !won ->
      store_relaxed(ENGINE, COMPLETION, NONE);
      store_release(ENGINE, COMPLETIONS_TAIL, generation)
    :: else ->
      if
      :: settle(SENDING, REFUSED, TOLD_NOT_SENT) /* the session is lost, no byte was accepted, and there is no other */
      :: have_bytes_accepted();
        if
        :: answer()
        :: settle(SENDING, LOST, TOLD_MAYBE_SENT)
#ifdef REFUSE_AFTER_BYTES
        :: settle(SENDING, REFUSED, TOLD_NOT_SENT)
#endif
        fi
      fi
    fi
  fi
}

proctype Engine() {
  byte generation, won, tail;
  {
    do
    :: generation == USES -> break
    :: generation < USES && memory[REQUESTS_TAIL] > generation -> serve()
    od;
end_idle:
    false
  } unless { engine_is_dead }
}

/* SIGKILL at any time. The kernel reports it when the processor has written back what the engine had stored. */
proctype Death() {
end:
  engine_is_dead = 1;
  HAS_DRAINED(ENGINE);
  death_is_reported = 1
}

init {
  atomic {
    run Client();
    run Engine();
    run StoreBuffer(CLIENT);
    run StoreBuffer(ENGINE);
    run Death()
  }
}
