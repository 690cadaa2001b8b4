/* What becomes of a client that leaves, dies or breaks a rule: engine/shard/shard_departures.cpp, engine/shard/shard.cpp (DismissClient,
 * woken), engine/control/client_registry.cpp (end, on_process_end, on_offence, on_released) and Notices::keep_orphans.
 *
 * A process with REQUESTS requests at the first shard, served by SHARDS shards, that may do any of this at any moment. The
 * kernel closes a dying process's socket some time before it reports the death, but no longer than the parting time. In
 * the end the client's memory is released once, by everybody, with nothing of the kernel's left that refers to it, and each
 * request that was announced is either told to the application or an orphan: one of the two, once.
 *
 * Deliberate bugs: NO_PARTING, DEATH_AFTER_LEAVING_IGNORED, ANNOUNCED_NOT_TAKEN, ORPHANS_THOUGH_SEEN, UNSEEN_FORGOTTEN,
 * OPEN_FORGOTTEN, INHERITED_TWICE, RELEASED_WHILE_WAKING, RELEASED_WHILE_WATCHED, WOKEN_NOT_LOOKED_AT,
 * DISMISSED_NOT_LOOKED_AT, FREED_AT_FIRST_RELEASE.
 */
#ifndef SHARDS
#define SHARDS 2
#endif
#ifndef REQUESTS
#define REQUESTS 2
#endif

mtype = { admit, dismiss, dismiss_dead, offended, released };
chan commands[SHARDS] = [3] of { mtype };
chan replies = [8] of { mtype, byte };

/* The process, and what it has written into its memory. */
byte announced;
bit ended_by_client[REQUESTS], ended_by_engine[REQUESTS]; /* who won the slot word */
bit seen[REQUESTS];                                       /* marked as handed to the application */
bit breaks_rule;
bit socket_is_closed, is_dying, is_dead;

/* The control thread's. */
bit is_connected = 1;
bit was_detached;

/* The shards'. */
#define SERVED 1
#define PARTING 2
#define LEAVING 3
byte stage[SHARDS]; /* 0: it has none */
bit taken[REQUESTS], open[REQUESTS], is_told[REQUESTS];
byte orphans[REQUESTS];
bit orphan_is_open[REQUESTS];
bit was_offended;

/* The kernel's, for each shard: the poll of the doorbell, and a write that wakes the client. */
bit poll_is_active[SHARDS], poll_is_cancelled[SHARDS], poll_has_ended[SHARDS];
bit wake_is_under_way[SHARDS], wake_is_done[SHARDS];

#define TOUCH_MEMORY assert(is_connected)

/* client/attached_channel.cpp, client/engine_link.cpp */
proctype Process() {
  byte i;
  do
  :: announced < REQUESTS && !socket_is_closed -> announced++
  :: atomic {
       /* collect and hand_over, or the application takes what the library had decided */
       i = 0;
       do
       :: i < REQUESTS && (ended_by_engine[i] || ended_by_client[i]) && !seen[i] ->
         seen[i] = 1;
         i = 0;
         break
       :: i < REQUESTS -> i++
       :: i == REQUESTS ->
         i = 0;
         break
       od
     }
  :: atomic {
       /* decide, for a deadline */
       announced > 0 && !ended_by_engine[0] -> ended_by_client[0] = 1
     }
  :: !socket_is_closed -> breaks_rule = 1
  :: atomic {
       /* lost, or closed: all that is open is settled, and told */
       !socket_is_closed || was_detached ->
         i = 0;
         do
         :: i < announced ->
           if
           :: !ended_by_engine[i] -> ended_by_client[i] = 1
           :: else
           fi;
           seen[i] = 1;
           i++
         :: else -> break
         od;
         i = 0;
         was_detached = 0;
         socket_is_closed = 1
     }
  :: break
  od;
  is_dying = 1;
  socket_is_closed = 1;
  is_dead = 1
}

/* ClientRegistry::end */
inline end_connection(command) {
  d_step {
    shard = 0;
    do
    :: shard < SHARDS ->
      if
      :: is_served[shard] -> commands[shard]!command
      :: else
      fi;
      shard++
    :: else -> break
    od;
    shard = 0;
    is_serving = 0
  }
}

proctype ControlThread() {
  byte shard;
  bit is_served[SHARDS] = 1;
  bit is_serving = 1;
  bit has_socket = 1;
  bit has_pidfd = 1;
  do
  :: has_socket && socket_is_closed ->
    has_socket = 0;
    end_connection(dismiss)
  :: has_pidfd && is_dead ->
    has_pidfd = 0;
    has_socket = 0;
#ifdef DEATH_AFTER_LEAVING_IGNORED
    if
    :: is_serving -> end_connection(dismiss_dead)
    :: else
    fi
#else
    end_connection(dismiss_dead)
#endif
  :: replies?offended(shard) ->
    if
    :: is_serving ->
      has_socket = 0;
      was_detached = 1;
      end_connection(dismiss)
    :: else
    fi
  :: replies?released(shard) ->
    atomic {
      is_served[shard] = 0;
      shard = 0;
      do
#ifdef FREED_AT_FIRST_RELEASE
      :: true ->
#else
      :: shard < SHARDS && is_served[shard] -> break
      :: shard < SHARDS && !is_served[shard] -> shard++
      :: shard == SHARDS ->
#endif
        is_connected = 0;
        break
      od;
      shard = 0
    };
    if
    :: !is_connected -> break
    :: else
    fi
  od;
  /* What still comes of it finds nobody. */
end:
  do
  :: replies?_(shard)
  od
}

/* Shard::take_all_of */
inline take_announced() {
  i = 0;
  do
  :: i < announced ->
    TOUCH_MEMORY;
    if
    :: !taken[i] ->
      taken[i] = 1;
      open[i] = 1
    :: else
    fi;
    i++
  :: else -> break
  od;
  i = 0
}

/* Shard::stop_serving */
inline stop_serving() {
  if
  :: stage[self] == SERVED ->
    stage[self] = PARTING;
    poll_is_cancelled[self] = 1
  :: else
  fi
}

/* Shard::leave: the open requests go on without it. */
inline leave() {
  stop_serving();
  stage[self] = LEAVING;
  if
  :: self == 0 ->
    i = 0;
    do
    :: i < REQUESTS ->
      open[i] = 0;
      i++
    :: else -> break
    od;
    i = 0
  :: else
  fi;
  looks_at_leaving = 1
}

/* Shard::inherit_from; Notices::keep_unseen and keep_open */
inline inherit() {
  stop_serving();
  if
  :: self == 0 && stage[self] != LEAVING ->
    i = 0;
    do
    :: i < REQUESTS ->
      TOUCH_MEMORY;
      if
#ifndef UNSEEN_FORGOTTEN
#ifdef ORPHANS_THOUGH_SEEN
      :: is_told[i] -> orphans[i]++
#else
      :: is_told[i] && !seen[i] -> orphans[i]++
#endif
#endif
#ifndef OPEN_FORGOTTEN
      :: open[i] && !seen[i] ->
        orphans[i]++;
        orphan_is_open[i] = 1;
        open[i] = 0
#endif
      :: open[i] && seen[i] -> open[i] = 0
      :: else
      fi;
      i++
    :: else -> break
    od;
    i = 0
  :: else
  fi;
#ifdef INHERITED_TWICE
  if
  :: stage[self] != LEAVING -> stage[self] = PARTING
  :: else
  fi;
  looks_at_leaving = 1
#else
  leave()
#endif
}

/* Shard::part_with */
inline part() {
  if
  :: stage[self] == SERVED ->
    stop_serving();
    has_open = 0;
    if
    :: self == 0 ->
      i = 0;
      do
      :: i < REQUESTS ->
        has_open = has_open || open[i] || (is_told[i] && !seen[i]);
        i++
      :: else -> break
      od;
      i = 0
    :: else
    fi;
#ifdef NO_PARTING
    leave();
#else
    if
    :: has_open
    :: else -> leave()
    fi;
#endif
    has_open = 0
  :: else
  fi
}

inline dismiss_client(client_is_dead) {
  atomic {
    if
    :: stage[self] == 0 -> replies!released(self)
    :: else ->
      is_dismissed = 1;
#ifndef ANNOUNCED_NOT_TAKEN
      if
      :: stage[self] == SERVED && self == 0 -> take_announced()
      :: else
      fi;
#endif
      if
#ifdef DISMISSED_NOT_LOOKED_AT
      :: stage[self] == LEAVING
#else
      :: stage[self] == LEAVING -> looks_at_leaving = 1
#endif
      :: stage[self] != LEAVING && client_is_dead -> inherit()
      :: stage[self] != LEAVING && !client_is_dead -> part()
      fi
    fi
  }
}

/* The multiplexer ends it; Outlet::settle and give_back, or the orphan store. */
inline end_request(which) {
  atomic {
    if
    :: orphan_is_open[which] -> orphan_is_open[which] = 0
    :: else ->
      TOUCH_MEMORY;
      open[which] = 0;
      if
      :: !ended_by_client[which] -> ended_by_engine[which] = 1
      :: else
      fi;
      is_told[which] = 1;
      /* Outlet::publish */
      if
      :: !is_waking ->
        is_waking = 1;
        wake_is_under_way[self] = 1
      :: true
      fi
    fi
  }
}

/* Shard::release_if_done */
#ifdef RELEASED_WHILE_WAKING
#define NOT_WAKING true
#else
#define NOT_WAKING !is_waking
#endif
#ifdef RELEASED_WHILE_WATCHED
#define NOT_WATCHED true
#else
#define NOT_WATCHED !is_watched
#endif

proctype Shard(byte self) {
  byte i;
  bit is_dismissed, is_watched, is_waking, looks_at_leaving, has_open;
end:
  do
  :: atomic {
       commands[self]?admit ->
         stage[self] = SERVED;
         is_watched = 1;
         poll_is_active[self] = 1
     }
  :: commands[self]?dismiss -> dismiss_client(false)
  :: commands[self]?dismiss_dead -> dismiss_client(true)
  :: atomic { self == 0 && stage[self] == SERVED && announced > 0 && !taken[announced - 1] -> take_announced() }
  :: self == 0 && (open[0] || orphan_is_open[0]) -> end_request(0)
#if REQUESTS == 2
  :: self == 0 && (open[1] || orphan_is_open[1]) -> end_request(1)
#endif
  :: atomic {
       /* Shard::handle_offences */
       stage[self] == SERVED && breaks_rule && self == 0 ->
         was_offended = 1;
         replies!offended(self);
         leave()
     }
  :: atomic {
       /* Shard::end_partings: later than the report of a death that is under way */
       stage[self] == PARTING && is_dismissed && !is_dying -> leave()
     }
  :: atomic {
       poll_has_ended[self] ->
         poll_has_ended[self] = 0;
         is_watched = 0;
         looks_at_leaving = 1
     }
  :: atomic {
       wake_is_done[self] ->
         wake_is_done[self] = 0;
         is_waking = 0;
#ifndef WOKEN_NOT_LOOKED_AT
         if
         :: stage[self] == LEAVING -> looks_at_leaving = 1
         :: else
         fi
#endif
     }
  :: atomic {
       looks_at_leaving ->
         looks_at_leaving = 0;
         if
         :: stage[self] == LEAVING && is_dismissed && NOT_WATCHED && NOT_WAKING ->
           assert(!poll_is_active[self] && !wake_is_under_way[self]);
           stage[self] = 0;
           is_dismissed = 0;
           replies!released(self)
         :: else
         fi
     }
  od
}

proctype Kernel(byte shard) {
end:
  do
  :: atomic {
       poll_is_active[shard] && poll_is_cancelled[shard] ->
         poll_is_active[shard] = 0;
         poll_is_cancelled[shard] = 0;
         poll_has_ended[shard] = 1
     }
  :: atomic {
       wake_is_under_way[shard] ->
         wake_is_under_way[shard] = 0;
         wake_is_done[shard] = 1
     }
  od
}

/* When nothing moves any more. */
proctype Judge() {
  byte i;
  timeout;
  assert(is_dead);
  assert(!is_connected);
  do
  :: i < SHARDS ->
    assert(stage[i] == 0);
    i++
  :: else -> break
  od;
  i = 0;
  do
  :: i < announced ->
    assert(!open[i] && !orphan_is_open[i]);
    assert(seen[i] + orphans[i] <= 1);
    assert(seen[i] + orphans[i] == 1 || was_offended);
    i++
  :: else -> break
  od
}

init {
  byte shard;
  atomic {
    do
    :: shard < SHARDS ->
      commands[shard]!admit;
      run Shard(shard);
      run Kernel(shard);
      shard++
    :: else -> break
    od;
    run Process();
    run ControlThread();
    run Judge()
  }
}
