/* Attaching, and the order in which a client's memory is closed to it: engine/control/client_memory.cpp,
 * engine/control/client_registry.cpp and client_requests.cpp (on_attach, on_mapped, admit, give_to_shard, end, forget),
 * client/attach_attempt.cpp (take_reply), shm/segment.cpp.
 *
 * The client may be honest or hostile, and die at any step. The data loop must never meet a page that is not there: what it
 * touches is sealed and allocated. Memory and the place among the group's clients are given back once, also when the
 * client ends while it maps, or is dismissed before the shard was given it.
 *
 * Deliberate bugs: SERVED_UNSEALED, SEALED_BEFORE_MAPPED, NOT_ALLOCATED_AGAIN, ALLOCATED_BEFORE_SEALED, NOT_VERIFIED,
 * SIZE_NOT_SEALED, DISMISSED_BEFORE_ADMITTED, FORGOTTEN_WHILE_SERVED, FORGOTTEN_TWICE.
 */
#define ARRIVED 0
#define MAPPING 1
#define SERVING 2
#define LEAVING 3

mtype = { attach_request, attach_reply, mapped, admit, dismiss, released };
chan to_engine = [3] of { mtype };
chan to_client = [2] of { mtype };
chan commands = [4] of { mtype };
chan replies = [4] of { mtype };

/* The memfd, as the kernel keeps it. */
bit exists;
bit size_is_sealed;    /* F_SEAL_SHRINK | F_SEAL_GROW */
bit writing_is_sealed; /* F_SEAL_FUTURE_WRITE: maps made before stay writable; no hole is punched any more */
bit seals_are_sealed;  /* F_SEAL_SEAL */
bit is_whole;          /* no hole, full size */
bit client_has_descriptor;
bit client_has_mapping;

/* The client. */
bit is_hostile;
bit socket_is_closed, is_dead;
bit was_refused_mapping;

/* The engine. */
bit has_socket = 1;
bit is_served; /* by the shard, which touches the memory */
bit counts;    /* among the group's clients */
byte times_freed;
bit was_admitted;

/* What the kernel lets a client do that has the descriptor. */
inline do_harm() {
  if
  :: client_has_descriptor && exists ->
    if
    :: atomic { !size_is_sealed -> is_whole = 0 } /* ftruncate */
    :: atomic { !writing_is_sealed -> is_whole = 0 } /* fallocate with FALLOC_FL_PUNCH_HOLE, MADV_REMOVE */
    :: atomic { !seals_are_sealed -> seals_are_sealed = 1 }
    :: atomic { !seals_are_sealed -> writing_is_sealed = 1 }
    :: skip /* EPERM */
    fi
  :: else
  fi
}

inline map_memory() {
  if
  :: atomic {
       client_has_descriptor && exists && !writing_is_sealed -> client_has_mapping = 1
     }
  :: client_has_descriptor && exists && writing_is_sealed -> was_refused_mapping = 1
  :: else
  fi
}

/* AttachAttempt::start and take_reply; a hostile one does anything in any order. */
proctype Client() {
  {
    if
    :: is_hostile = 1
    :: is_hostile = 0
    fi;
    to_engine!attach_request;
    if
    :: to_client?attach_reply -> client_has_descriptor = 1
    :: !has_socket -> goto leave
    fi;
    if
    :: is_hostile ->
      do
      :: true -> do_harm()
      :: true -> map_memory()
      :: nfull(to_engine) -> to_engine!mapped
      :: nfull(to_engine) -> to_engine!attach_request
      :: break
      od
    :: else ->
      map_memory();
      assert(!was_refused_mapping);
      to_engine!mapped
    fi;
leave:
    skip
  } unless { is_dead };
  is_dead = 1;
  client_has_descriptor = 0;
  client_has_mapping = 0;
  socket_is_closed = 1
}

/* SIGKILL at any time. A process that ends by itself closes its socket a moment before its death is told. */
proctype Death() {
end:
  if
  :: socket_is_closed = 1
  :: true
  fi;
  is_dead = 1
}

/* close_to_client, seal_client_memory */
inline seal() {
  if
  :: atomic {
       !seals_are_sealed ->
         writing_is_sealed = 1;
         seals_are_sealed = 1
     }
  :: else -> is_sound = 0 /* EPERM */
  fi;
#ifdef NOT_VERIFIED
  is_sound = 1;
#endif
}

inline allocate() { is_whole = 1 }

inline close_to_client() {
  is_sound = 1;
#if defined(SERVED_UNSEALED)
  allocate()
#elif defined(NOT_ALLOCATED_AGAIN)
  seal()
#elif defined(ALLOCATED_BEFORE_SEALED)
  allocate();
  seal()
#else
  seal();
  if
  :: is_sound -> allocate()
  :: else
  fi
#endif
}

/* ClientRegistry::forget */
inline forget() {
  atomic {
    if
    :: stage != ARRIVED ->
      assert(!is_served);
      assert(counts);
      counts = 0;
      exists = 0;
      times_freed++;
      assert(times_freed == 1);
#ifndef FORGOTTEN_TWICE
      is_known = 0
#endif
    :: else -> is_known = 0
    fi
  }
}

/* ClientRegistry::end; the shard may still have to be given the client, which it is before it is dismissed. */
inline end_connection() {
  has_socket = 0;
#ifndef DISMISSED_BEFORE_ADMITTED
  give_to_shard();
#endif
  if
  :: stage == ARRIVED || stage == MAPPING -> forget()
  :: stage == SERVING || (stage == LEAVING && !has_pidfd) ->
    commands!dismiss;
    stage = LEAVING;
#ifdef FORGOTTEN_WHILE_SERVED
    forget()
#endif
#ifdef DISMISSED_BEFORE_ADMITTED
    give_to_shard()
#endif
  :: else
  fi
}

inline give_to_shard() {
  if
  :: is_due_at_shard ->
    is_due_at_shard = 0;
    commands!admit
  :: else
  fi
}

proctype ControlThread() {
  byte stage = ARRIVED;
  bit is_known = 1;
  bit has_pidfd = 1;
  bit is_due_at_shard, is_sound;
  do
  :: !is_known -> break
  :: atomic { has_socket && is_known && to_engine?[attach_request] -> to_engine?attach_request };
    if
    :: stage == ARRIVED ->
      /* on_attach, prepare, create_client_memory */
      atomic {
        exists = 1;
        is_whole = 1;
#ifndef SIZE_NOT_SEALED
        size_is_sealed = 1;
#endif
#ifdef SEALED_BEFORE_MAPPED
        writing_is_sealed = 1;
#endif
        counts = 1;
        stage = MAPPING
      };
      to_client!attach_reply
    :: else -> end_connection()
    fi
  :: atomic { has_socket && is_known && to_engine?[mapped] -> to_engine?mapped };
    if
    :: stage == MAPPING ->
      close_to_client();
      if
      :: is_sound ->
        /* admit */
        stage = SERVING;
        is_due_at_shard = 1;
        was_admitted = 1
      :: else -> end_connection()
      fi
    :: else -> end_connection()
    fi
  :: is_known && is_due_at_shard -> give_to_shard() /* do_what_has_waited, or the first channel */
  :: has_socket && is_known && socket_is_closed && empty(to_engine) -> end_connection()
  :: has_socket && is_known && stage == MAPPING -> end_connection() /* it took too long */
  :: has_pidfd && is_known && is_dead && stage != ARRIVED ->
    has_pidfd = 0;
    end_connection()
  :: replies?released ->
    if
    :: is_known -> forget()
    :: else
    fi
  od;
end:
  do
  :: replies?released
  :: to_engine?_
  od
}

/* engine/shard/shard.cpp: AdmitClient, DismissClient */
proctype Shard() {
end:
  do
  :: commands?admit -> is_served = 1
  :: is_served -> assert(exists && is_whole && size_is_sealed && writing_is_sealed) /* a request is served */
  :: commands?dismiss ->
    is_served = 0;
    replies!released
  od
}

proctype Judge() {
  timeout;
  assert(!is_served && !counts);
  assert(!exists);
  assert(!was_admitted || times_freed == 1)
}

init {
  atomic {
    run Client();
    run Death();
    run ControlThread();
    run Shard();
    run Judge()
  }
}
