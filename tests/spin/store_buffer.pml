/* Shared memory with a store buffer for each process, for models in which fences matter.
 *
 * What a process stores waits in its own buffer, where only it sees it, and reaches memory at any later time. A fence waits
 * until the buffer is empty.
 *   TSO defined: in the order of the stores, and a read-modify-write waits for the buffer, as on x86.
 *   else: relaxed stores overtake each other and read-modify-writes overtake stores, as on ARM; a release store or
 *   read-modify-write waits for all before it, and may itself be late for loads behind it.
 * Loads are in order; tests/relacy looks at those that are not.
 *
 * To be defined before: PROCESSES, WORDS, and BUFFERED, the stores that may wait.
 */
typedef Buffer {
  byte word[BUFFERED];
  byte value[BUFFERED];
  bit is_or[BUFFERED];
  bit is_release[BUFFERED];
  byte length;
}
Buffer buffers[PROCESSES];
byte memory[WORDS];
byte scratch;

inline append(process, which, what, with_or, with_release) {
  atomic {
    buffers[process].length < BUFFERED;
    d_step {
      buffers[process].word[buffers[process].length] = which;
      buffers[process].value[buffers[process].length] = what;
      buffers[process].is_or[buffers[process].length] = with_or;
      buffers[process].is_release[buffers[process].length] = with_release;
      buffers[process].length++
    }
  }
}

inline store_relaxed(process, which, what) { append(process, which, what, 0, 0) }
inline store_release(process, which, what) { append(process, which, what, 0, 1) }

/* A fetch_or whose result nobody looks at. */
inline or_release(process, which, bits) {
#ifdef TSO
  atomic { buffers[process].length == 0; memory[which] = memory[which] | bits }
#else
  append(process, which, bits, 1, 1)
#endif
}

/* The newest own store, else memory. */
inline load(process, which, into) {
  d_step {
    into = memory[which];
    scratch = 0;
    do
    :: scratch < buffers[process].length ->
      if
      :: buffers[process].word[scratch] == which -> into = buffers[process].value[scratch]
      :: else
      fi;
      scratch++
    :: else -> break
    od;
    scratch = 0
  }
}

#define HOLDS(process, which, at) (at < buffers[process].length && buffers[process].word[at] == which)

/* Own stores to the same word have to be there before. */
inline exchange_relaxed(process, which, what, into) {
  atomic {
#ifdef TSO
    buffers[process].length == 0;
#else
    !HOLDS(process, which, 0) && !HOLDS(process, which, 1) && !HOLDS(process, which, 2);
#endif
    into = memory[which];
    memory[which] = what
  }
}

/* A compare-and-swap with acq_rel: what was stored before is there when it moves the word. */
inline compare_exchange(process, which, from, to, won) {
  atomic {
    buffers[process].length == 0;
    won = (memory[which] == from);
    if
    :: won -> memory[which] = to
    :: else
    fi
  }
}

/* The same, relaxed: what was stored before to other words may still be on its way. */
inline compare_exchange_relaxed(process, which, from, to, won) {
  atomic {
#ifdef TSO
    buffers[process].length == 0;
#else
    !HOLDS(process, which, 0) && !HOLDS(process, which, 1) && !HOLDS(process, which, 2);
#endif
    won = (memory[which] == from);
    if
    :: won -> memory[which] = to
    :: else
    fi
  }
}

#define HAS_DRAINED(process) (buffers[process].length == 0)
inline fence(process) { HAS_DRAINED(process) }

inline write_back(process, at) {
  d_step {
    if
    :: buffers[process].is_or[at] ->
      memory[buffers[process].word[at]] = memory[buffers[process].word[at]] | buffers[process].value[at]
    :: else -> memory[buffers[process].word[at]] = buffers[process].value[at]
    fi;
    scratch = at;
    buffers[process].length--;
    do
    :: scratch < buffers[process].length ->
      buffers[process].word[scratch] = buffers[process].word[scratch + 1];
      buffers[process].value[scratch] = buffers[process].value[scratch + 1];
      buffers[process].is_or[scratch] = buffers[process].is_or[scratch + 1];
      buffers[process].is_release[scratch] = buffers[process].is_release[scratch + 1];
      scratch++
    :: else -> break
    od;
    buffers[process].word[scratch] = 0;
    buffers[process].value[scratch] = 0;
    buffers[process].is_or[scratch] = 0;
    buffers[process].is_release[scratch] = 0;
    scratch = 0
  }
}

#define MAY_OVERTAKE(process, at, earlier) \
  (!buffers[process].is_release[at] && buffers[process].word[at] != buffers[process].word[earlier])

proctype StoreBuffer(byte process) {
end:
  do
  :: buffers[process].length > 0 -> write_back(process, 0)
#ifndef TSO
  :: atomic { buffers[process].length > 1 && MAY_OVERTAKE(process, 1, 0) -> write_back(process, 1) }
  :: atomic {
       buffers[process].length > 2 && MAY_OVERTAKE(process, 2, 0) && MAY_OVERTAKE(process, 2, 1) ->
         write_back(process, 2)
     }
#endif
  od
}
