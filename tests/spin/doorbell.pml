/* Sleep and wake between one client's threads and a data loop: shm/doorbell.hpp and who uses it.
 *
 * Each thread has a channel, sends REQUESTS requests, and sleeps when it waits for outcomes and there are none. The loop
 * sleeps when nothing is to be done. Whoever is told too little sleeps for ever, and spin reports an invalid end state.
 * With EXPOSED the application sleeps by itself now and then, on the channel's descriptor.
 *
 * Deliberate bugs: NO_FENCE_CLIENT_RINGS, NO_FENCE_CLIENT_ARMS, NO_FENCE_ENGINE_RINGS, NO_FENCE_ENGINE_ARMS,
 * NO_SECOND_LOOK_CLIENT, NO_SECOND_LOOK_ENGINE, NO_WAKE_AGAIN, NO_BACKLOG, RING_BEFORE_READY, READY_READ_THEN_WRITTEN,
 * DESCRIPTOR_NOT_NUDGED, DESCRIPTOR_WAKE_TAKEN_LATE.
 */
#ifndef CHANNELS
#define CHANNELS 1
#endif
#ifndef REQUESTS
#define REQUESTS 2
#endif
#define TAKES_MAX 1 /* Intake::kRequestsPerTakeMax */

#define ENGINE CHANNELS
#define PROCESSES (CHANNELS + 1)
#define BUFFERED 3
/* Words of shared memory. */
#define READY 0
#define ENGINE_ARMED 1
#define CLIENT_ARMED(channel) (2 + channel)
#define REQUESTS_TAIL(channel) (2 + CHANNELS + channel)
#define COMPLETIONS_TAIL(channel) (2 + 2 * CHANNELS + channel)
#define WORDS (2 + 3 * CHANNELS)
#include "store_buffer.pml"

/* The kernel's. The doorbell is a multishot poll on an eventfd that nobody reads: each write tells the loop once more. A
 * wake is a write that the ring carries out later and reports then. */
bit doorbell_rung;
bit wake_submitted[CHANNELS];
bit wake_completed[CHANNELS];
bit wake_event[CHANNELS]; /* edge-triggered in the thread's epoll; with EXPOSED, the count of the eventfd */
bit nudge[CHANNELS];

/* Attachment::announce, mark_ready; must_ring */
inline mark_ready(channel) { or_release(channel, READY, 1 << channel) }

inline ring_if_engine_armed(channel) {
#ifndef NO_FENCE_CLIENT_RINGS
  fence(channel);
#endif
  load(channel, ENGINE_ARMED, armed);
  if
  :: armed ->
    exchange_relaxed(channel, ENGINE_ARMED, 0, armed);
    if
    :: armed -> doorbell_rung = 1
    :: else
    fi
  :: else
  fi;
  armed = 0
}

/* AttachedChannel::push and publish */
inline submit(channel) {
  sent++;
  store_release(channel, REQUESTS_TAIL(channel), sent);
#ifdef RING_BEFORE_READY
  ring_if_engine_armed(channel);
  mark_ready(channel)
#else
  mark_ready(channel);
  ring_if_engine_armed(channel)
#endif
}

inline arm_client(channel) {
  store_relaxed(channel, CLIENT_ARMED(channel), 1);
#ifndef NO_FENCE_CLIENT_ARMS
  fence(channel);
#endif
}

/* Channel::sleep_until. What it sees while it spins is what it may see at the second look. */
inline sleep_in_library(channel) {
  arm_client(channel);
#ifndef NO_SECOND_LOOK_CLIENT
  load(channel, COMPLETIONS_TAIL(channel), tail);
#endif
  if
  :: tail == collected ->
    atomic {
      wake_event[channel] || nudge[channel] ->
        wake_event[channel] = 0;
        nudge[channel] = 0
    }
  :: else
  fi;
  store_relaxed(channel, CLIENT_ARMED(channel), 0)
}

/* Channel::look_at_events, then finish_taking with prepare_descriptor, then the application's own sleep. */
inline sleep_in_application(channel) {
  if
  :: wake_event[channel] || nudge[channel] ->
    wake_event[channel] = 0;
    nudge[channel] = 0;
    load(channel, COMPLETIONS_TAIL(channel), tail)
  :: else
  fi;
  if
  :: tail == collected ->
    load(channel, CLIENT_ARMED(channel), armed);
    if
    :: !armed ->
#ifdef DESCRIPTOR_WAKE_TAKEN_LATE
      arm_client(channel);
      wake_event[channel] = 0
#else
      wake_event[channel] = 0;
      arm_client(channel)
#endif
    :: else
    fi;
    armed = 0;
#ifndef DESCRIPTOR_NOT_NUDGED
    load(channel, COMPLETIONS_TAIL(channel), tail);
    if
    :: tail != collected -> nudge[channel] = 1
    :: else
    fi;
#endif
    wake_event[channel] || nudge[channel]
  :: else
  fi
}

proctype Thread(byte channel) {
  byte sent, collected, tail;
  bit armed;
  do
  :: sent < REQUESTS -> submit(channel)
  :: collected < sent ->
    load(channel, COMPLETIONS_TAIL(channel), tail);
    if
    :: tail == collected ->
#ifdef EXPOSED
      if
      :: true -> sleep_in_application(channel)
      :: true -> sleep_in_library(channel)
      fi
#else
      sleep_in_library(channel)
#endif
    :: else
    fi;
    collected = tail
  :: collected == REQUESTS -> break
  od
}

/* Shard::heat and cool, Intake::has_more */
inline heat() {
  if
  :: !is_hot ->
    is_hot = 1;
    store_relaxed(ENGINE, ENGINE_ARMED, 0)
  :: else
  fi
}

inline cool() {
  store_relaxed(ENGINE, ENGINE_ARMED, 1);
#ifndef NO_FENCE_ENGINE_ARMS
  fence(ENGINE);
#endif
#ifdef NO_SECOND_LOOK_ENGINE
  found = 0;
#else
  load(ENGINE, READY, found);
#endif
  if
  :: found || backlog -> store_relaxed(ENGINE, ENGINE_ARMED, 0)
  :: else -> is_hot = 0
  fi;
  found = 0
}

/* Shard::ring */
inline ring_client(which) {
  if
  :: waking[which] ->
#ifndef NO_WAKE_AGAIN
    wake_again[which] = 1
#endif
  :: else ->
    waking[which] = 1;
    wake_submitted[which] = 1
  fi
}

/* Loop::rung, Shard::rung and woken */
inline tell_events() {
  if
  :: doorbell_rung ->
    doorbell_rung = 0;
    heat()
  :: else
  fi;
  channel = 0;
  do
  :: channel < CHANNELS ->
    if
    :: wake_completed[channel] ->
      wake_completed[channel] = 0;
      waking[channel] = 0;
      if
      :: wake_again[channel] ->
        wake_again[channel] = 0;
        ring_client(channel)
      :: else
      fi
    :: else
    fi;
    channel++
  :: else -> break
  od;
  channel = 0
}

/* Intake::take and take_channel */
inline take_requests() {
  load(ENGINE, READY, found);
  if
  :: found ->
#ifdef READY_READ_THEN_WRITTEN
    store_relaxed(ENGINE, READY, 0)
#else
    exchange_relaxed(ENGINE, READY, 0, found)
#endif
  :: else
  fi;
  found = found | backlog;
  backlog = 0;
  channel = 0;
  do
  :: channel < CHANNELS ->
    if
    :: found & (1 << channel) ->
      load(ENGINE, REQUESTS_TAIL(channel), tail);
      if
      :: tail > taken[channel] ->
        taken[channel]++;
        is_busy = 1;
#ifndef NO_BACKLOG
        backlog = backlog | (1 << channel)
#endif
      :: else
      fi
    :: else
    fi;
    channel++
  :: else -> break
  od;
  channel = 0;
  found = 0;
  tail = 0
}

/* Outlet::publish, for any number of the requests that the host has answered by now */
inline publish_completions() {
  channel = 0;
  do
  :: channel < CHANNELS ->
    tail = answered[channel];
    do
    :: answered[channel] < taken[channel] -> answered[channel]++
    :: break
    od;
    if
    :: answered[channel] > tail ->
      store_release(ENGINE, COMPLETIONS_TAIL(channel), answered[channel]);
#ifndef NO_FENCE_ENGINE_RINGS
      fence(ENGINE);
#endif
      load(ENGINE, CLIENT_ARMED(channel), found);
      if
      :: found ->
        exchange_relaxed(ENGINE, CLIENT_ARMED(channel), 0, found);
        if
        :: found -> ring_client(channel)
        :: else
        fi
      :: else
      fi
    :: else
    fi;
    channel++
  :: else -> break
  od;
  channel = 0;
  found = 0;
  tail = 0
}

#define ANSWER_IS_DUE(channel) (answered[channel] < taken[channel])
#if CHANNELS == 1
#define HAS_COMPLETION (doorbell_rung || wake_completed[0] || ANSWER_IS_DUE(0))
#else
#define HAS_COMPLETION \
  (doorbell_rung || wake_completed[0] || ANSWER_IS_DUE(0) || wake_completed[1] || ANSWER_IS_DUE(1))
#endif

/* Loop::run. A loop that is not busy may look on for a while, or sleep. */
proctype DataLoop() {
  byte taken[CHANNELS], answered[CHANNELS];
  bit waking[CHANNELS], wake_again[CHANNELS];
  byte channel, tail, found, backlog;
  bit is_hot = 1;
  bit is_busy = 1;
  do
  :: if
     :: !is_busy && is_hot -> cool()
     :: !is_busy
     :: is_busy
     fi;
     if
     :: !is_busy && !is_hot ->
end_asleep:
       HAS_COMPLETION
     :: else
     fi;
     is_busy = 0;
     tell_events();
     if
     :: is_hot -> take_requests()
     :: else
     fi;
     publish_completions()
  od
}

proctype Kernel() {
end:
  do
  :: atomic {
       wake_submitted[0] ->
         wake_submitted[0] = 0;
         wake_event[0] = 1;
         wake_completed[0] = 1
     }
#if CHANNELS == 2
  :: atomic {
       wake_submitted[1] ->
         wake_submitted[1] = 0;
         wake_event[1] = 1;
         wake_completed[1] = 1
     }
#endif
  od
}

init {
  atomic {
    run Thread(0);
    run StoreBuffer(0);
#if CHANNELS == 2
    run Thread(1);
    run StoreBuffer(1);
#endif
    run DataLoop();
    run StoreBuffer(ENGINE);
    run Kernel()
  }
}
